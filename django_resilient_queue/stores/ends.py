"""What becomes of a row, of the job's letter and of its history of attempts when a job ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.utils import timezone

from ..conf import settings
from ..jobs import JobSnapshot
from ..models import DeadLetter, FailedAttempt, FallbackJob
from ..models.fallback_job import FallbackJobQuerySet, State
from ..outcomes import Ending, Failure, Reason, Settlement
from .base import Claim
from .measures import count_death
from .rows import attempt_of, columns_again, kept_for, letter_of
from .table import Table

GOOD = (Ending.FINISHED, Ending.REPEAT)
_BAD = (Ending.RETRY, Ending.DEAD)


class Ends:
    """Written into one table, inside a transaction of the caller's where one end is many rows."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def record(
        self, row: FallbackJobQuerySet, claim: Claim, end: Settlement, *, copy: bool
    ) -> None:
        """Record an end of which Redis is to hear when it holds a *copy*."""
        if end.ending is Ending.DEAD:
            self.table.letters.record([letter_of(claim, end)])
        self._note_attempts([(claim, end)])
        self._recover([(claim, end)])
        freed: dict[str, object] = {"claimed_by": "", "claim_token": "", "redis_copy": copy}
        now = timezone.now()
        if end.ending is Ending.RETRY or (end.ending is Ending.REPEAT and not copy):
            row.update(**freed, **columns_again(claim, end, now, copy=copy))
        elif copy or self._is_awaited(end) or (end.ttl != 0 and end.ending is not Ending.DEAD):
            # A row that Redis need not hear of is kept as long as rq keeps a result.
            if claim.store != self.table.name:  # the job may have changed its meta there
                freed["payload"] = claim.snapshot.dump()
            row.update(
                state=State.FINISHED, outcome=end.dump(), check_at=now + kept_for(end), **freed
            )
        else:
            row.delete()

    def follow(self, ended: Sequence[tuple[Claim, Settlement]]) -> list[DeadLetter]:
        """Bring the rows in line with what Redis has recorded; returns the new dead letters."""
        letters = [letter_of(claim, end) for claim, end in ended if end.ending is Ending.DEAD]
        over = [claim for claim, end in ended if end.ending is not Ending.RETRY]
        with self.table.transaction():
            if letters:
                self.table.letters.record(letters)
            self._note_attempts(ended)
            self._recover(ended)
            if over and settings.KEEP_FINISHED_UNTIL_FSYNC:
                self._keep_until_written(ended)
            elif over:
                self.table.rows.filter(
                    job_id__in=sorted(claim.job_id for claim in over),
                    generation__in=[claim.snapshot.generation for claim in over],
                ).delete()
            for claim, end in ended:
                if end.ending is Ending.RETRY:
                    self._note_retry(claim, end)
        return letters

    def bury(self, row: FallbackJob, error: Exception) -> None:
        """Settle a row that can't be read: its bytes go to a dead letter as they are."""
        failure = Failure(Reason.UNDECODABLE, type(error).__name__, str(error))
        letter = DeadLetter.of_row(row, failure)
        self._end_by_letter(row, letter, None)

    def has_expired(self, row: FallbackJob, snapshot: JobSnapshot) -> bool:
        """Settle a job that has outlived its ``ttl`` (rq drops it without a word); False if not."""
        ttl = snapshot.number("ttl")
        if not ttl or timezone.now() - row.created_at < timedelta(seconds=ttl):
            return False
        failure = Failure(Reason.EXPIRED, "", f"not started within its ttl of {ttl} seconds")
        letter = DeadLetter.of(snapshot, failure, attempts=row.attempt)
        self._end_by_letter(row, letter, snapshot)
        return True

    # ---- private -------------------------------------------------------------------------------

    def _is_awaited(self, end: Settlement) -> bool:
        """Tell whether a death matters to jobs that wait: rq takes one it never heard of for done,
        and would run what depends on it."""
        good = end.ending is Ending.FINISHED
        return not good and self.table.rows.exclude(waits_for="").exists()

    def _note_attempts(self, ended: Iterable[tuple[Claim, Settlement]]) -> None:
        """Keep the history of jobs that fail, as long as they have not finished."""
        attempts = FailedAttempt.objects.using(self.table.alias)
        failed = [attempt_of(claim, end) for claim, end in ended if end.ending in _BAD]
        if failed:
            attempts.record(failed)
        attempts.forget(c.snapshot for c, end in ended if end.ending in GOOD and c.attempt > 0)

    def _recover(self, ended: Iterable[tuple[Claim, Settlement]]) -> None:
        """Tell the letters whose jobs were requeued that those have finished."""
        good = [claim.snapshot.letter for claim, end in ended if end.ending in GOOD]
        letters = [pk for pk in good if pk is not None]
        if letters:
            self.table.letters.recover(letters)

    def _keep_until_written(self, ended: Iterable[tuple[Claim, Settlement]]) -> None:
        for claim, end in ended:
            if end.ending is not Ending.RETRY:
                self.table.rows.of(claim.job_id, claim.snapshot.generation).update(
                    state=State.FINISHED,
                    outcome=end.dump(),
                    redis_copy=True,
                    check_at=timezone.now(),
                )

    def _note_retry(self, claim: Claim, end: Settlement) -> None:
        rows = self.table.held_by_redis(claim)
        rows.update(
            attempt=claim.attempt + 1,
            payload=claim.snapshot.changed(end.fields).dump(),
            due_at=timezone.now() + timedelta(seconds=end.delay),
        )

    def _end_by_letter(self, row: FallbackJob, letter: DeadLetter, job: JobSnapshot | None) -> None:
        self.table.letters.record([letter])
        if self.table.rows.filter(pk=row.pk).delete()[0]:
            count_death(job, row.queue_name, self.table.name, alias=self.table.alias)
