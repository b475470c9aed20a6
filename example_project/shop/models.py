"""What the shop sells: orders."""

from __future__ import annotations

import secrets

from django.db import models


def new_number() -> str:
    """An order number that nobody can guess from the one before."""
    return secrets.token_hex(6).upper()


class Order(models.Model):
    """An order as the customer placed it."""

    number = models.CharField(max_length=32, unique=True, default=new_number, editable=False)
    email = models.EmailField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return self.number
