"""Answers that were given to requests with an Idempotency-Key, so that a repeat gets the same."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

KEPT = timedelta(hours=24)
# A request that is older and has no answer is taken for dead: its process was killed.
LONGEST = timedelta(seconds=30)


class IdempotentRequestQuerySet(models.QuerySet["IdempotentRequest"]):
    """Guarded changes, which say whether they won."""

    def begin(self, digest: str, body_digest: str) -> IdempotentRequest | None:
        """Take a key that is new, that has had its time, or whose request died with its process;
        None when it is taken. A died request's key stays bound to its body."""
        now, token = timezone.now(), secrets.token_hex(16)
        values = {"body_digest": body_digest, "token": token, "began_at": now}
        row, is_new = self.get_or_create(digest=digest, defaults=values)
        if is_new:
            return row
        died = Q(status=None, began_at__lt=now - LONGEST, body_digest=body_digest)
        free = self.filter(pk=row.pk).filter(died | Q(began_at__lt=now - KEPT))
        won = free.update(**values, status=None, answer=None, location="")
        return self.get(pk=row.pk) if won and self._is(row.pk, token) else None

    def answer(self, row: IdempotentRequest, status: int, answer: Any, location: str) -> bool:
        """Keep the answer, unless another request has taken the key over."""
        mine = self.filter(pk=row.pk, token=row.token, status=None)
        return mine.update(status=status, answer=answer, location=location) == 1

    def give_up(self, row: IdempotentRequest) -> None:
        """Nothing was made: a repeat is a first request again."""
        self.filter(pk=row.pk, token=row.token, status=None).delete()

    def prune(self, now: datetime, limit: int = 5000) -> int:
        """Delete those that have had their time; returns how many."""
        old = self.filter(began_at__lt=now - KEPT).values_list("pk", flat=True)[:limit]
        return self.filter(pk__in=list(old)).delete()[0]

    def _is(self, pk: int, token: str) -> bool:
        return self.filter(pk=pk, token=token).exists()


class IdempotentRequest(models.Model):
    """One key of one user on one route; ``status`` is null while the first request is at work."""

    digest = models.CharField(max_length=64, unique=True)  # of user, route and key
    body_digest = models.CharField(max_length=64)
    token = models.CharField(max_length=32)  # of the request that has the key
    began_at = models.DateTimeField(db_index=True)
    status = models.PositiveSmallIntegerField(null=True, default=None)
    answer = models.JSONField(null=True, default=None)
    location = models.CharField(max_length=500, blank=True, default="")

    objects = IdempotentRequestQuerySet.as_manager()

    class Meta:
        verbose_name = _("idempotent request")
        verbose_name_plural = _("idempotent requests")
        default_permissions = ()

    def __str__(self) -> str:
        return self.digest[:12]
