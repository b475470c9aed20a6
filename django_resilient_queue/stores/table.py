"""The tables of jobs and of letters: each statement is bounded in time, and its errors sorted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from ..conf import settings
from ..models import DeadLetter, FallbackJob
from ..models.dead_letter import DeadLetterQuerySet
from ..models.fallback_job import FallbackJobQuerySet
from .base import Claim
from .guard import database_errors


class Table:
    """Those of one database, for one process."""

    name = "database"  # of the store, in claims

    def __init__(self, *, timeout: float | None = None) -> None:
        self.alias = settings.DATABASE
        self.timeout = timeout

    @property
    def rows(self) -> FallbackJobQuerySet:
        """The table."""
        return FallbackJob.objects.using(self.alias)

    @property
    def letters(self) -> DeadLetterQuerySet:
        """The dead letters."""
        return DeadLetter.objects.using(self.alias)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction whose errors are sorted; a savepoint inside the caller's."""
        with database_errors(self.alias, timeout=self.timeout), transaction.atomic(self.alias):
            yield

    @contextmanager
    def statement(self) -> Iterator[None]:
        """One statement on its own."""
        with database_errors(self.alias, timeout=self.timeout):
            yield

    def claimed_by(self, claim: Claim) -> FallbackJobQuerySet:
        """The row that a claim holds, as long as it does."""
        row = self.rows.of(claim.job_id, claim.snapshot.generation)
        return row.claimed().filter(claim_token=claim.token)

    def held_by_redis(self, claim: Claim) -> FallbackJobQuerySet:
        """The row of a job that was claimed in Redis, unless it is at a later attempt."""
        row = self.rows.of(claim.job_id, claim.snapshot.generation)
        return row.dispatched().filter(attempt__lte=claim.attempt)
