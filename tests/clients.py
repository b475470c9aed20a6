"""Somebody who asks for the admin's pages, without a browser."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client


def client_of(*permissions: str, **options: Any) -> Client:
    """A member of staff with these permissions alone."""
    user = User.objects.create(username=f"user-{User.objects.count()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client(**options)
    client.force_login(user)
    return client
