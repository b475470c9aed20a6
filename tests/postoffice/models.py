"""What jobs of the tests work on."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models

from tests import jobs


class ParcelQuerySet(models.QuerySet["Parcel"]):
    """Records each query for rows, and waits for a gate before the second, where told so."""

    _ledger = _gate = ""
    _asked = 0

    def watched(self, ledger: str, gate: str) -> Self:
        ParcelQuerySet._asked = 0
        found = self.all()
        found._ledger, found._gate = ledger, gate
        return found

    def _clone(self) -> Any:
        found = super()._clone()  # type: ignore[misc]
        found._ledger, found._gate = self._ledger, self._gate
        return found

    def _fetch_all(self) -> None:
        if self._ledger and self._result_cache is None:
            ParcelQuerySet._asked += 1
            if self._asked == 2:
                jobs.record_when_released(self._ledger, "released", self._gate)
            jobs.record(self._ledger, "fetch")
        super()._fetch_all()


class Round(models.Model):
    """A postman's, of a day."""

    pk = models.CompositePrimaryKey("postman", "day")
    postman = models.CharField(max_length=60)
    day = models.DateField()

    objects: ClassVar[models.Manager[Round]] = models.Manager()

    def __str__(self) -> str:
        return f"{self.postman} {self.day}"


class Parcel(models.Model):
    code = models.CharField(max_length=60, unique=True)
    note = models.TextField(blank=True, default="")
    weight = models.DecimalField(max_digits=20, decimal_places=4, null=True)
    pieces = models.BigIntegerField(default=1)
    size = models.FloatField(null=True)
    is_fragile = models.BooleanField(default=False)
    posted_on = models.DateField(null=True)
    seen_at = models.DateTimeField(null=True)
    stamps = models.JSONField(null=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True)

    objects = ParcelQuerySet.as_manager()

    class Meta:
        ordering = ("code",)

    def __str__(self) -> str:
        return self.code
