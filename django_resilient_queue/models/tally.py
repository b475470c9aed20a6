"""Counts of ended attempts: a live worker has its own, each Redis those of the workers gone."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models
from django.utils.translation import gettext_lazy as _

COUNTED = ("jobs_finished", "jobs_failed", "jobs_retried", "jobs_from_database")


class Tally(models.Model):
    """The columns. An attempt from the database counts there and, by its end, in one more."""

    jobs_finished = models.PositiveBigIntegerField(_("jobs finished"), default=0)
    jobs_failed = models.PositiveBigIntegerField(_("jobs failed"), default=0)
    jobs_retried = models.PositiveBigIntegerField(_("attempts retried"), default=0)
    jobs_from_database = models.PositiveBigIntegerField(_("run from the database"), default=0)

    class Meta:
        abstract = True


def difference(counts: Mapping[str, int], base: Mapping[str, int]) -> dict[str, int]:
    """Say for each count how much it is above that of *base*."""
    return {name: counts.get(name, 0) - base.get(name, 0) for name in COUNTED}
