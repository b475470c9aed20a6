"""Jobs in the project's database: every change is one guarded statement or one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from django.db import IntegrityError, connections
from django.utils import timezone
from rq.exceptions import DuplicateJobError

from ..jobs import JobSnapshot
from ..models import FallbackJob
from ..models.fallback_job import State
from ..models.finish import Finish
from ..outcomes import Ending, Settlement
from .base import Claim, Claimant, Verdict, boottime
from .claiming import Claiming
from .ends import GOOD, Ends
from .rows import Entry, kept_for
from .table import Table
from .watch import Watch


class DatabaseStore(Table):
    """The store contract over the table of fallback jobs."""

    def __init__(
        self,
        *,
        broker: str = "",
        watch: Watch | None = None,
        timeout: float | None = None,
        in_hand: Callable[[], Collection[str]] = tuple,
    ) -> None:
        super().__init__(timeout=timeout)
        self.ends = Ends(self)
        self.claiming = Claiming(self, self.ends, broker=broker, watch=watch, in_hand=in_hand)

    # ---- in ------------------------------------------------------------------------------------

    def insert(self, entry: Entry) -> None:
        """Write a job's row, over that of an earlier enqueue of the same id.

        Raises DuplicateJobError for a unique job whose id has a row.
        """
        row = entry.row()
        in_transaction = connections[self.alias].in_atomic_block
        try:
            with self.transaction() if in_transaction else self.statement():
                # IntegrityError passes through the savepoint before it is sorted.
                self._insert(row)
        except _Taken:
            if entry.unique and not self._has(entry.snapshot):
                raise DuplicateJobError(entry.snapshot.job_id) from None
            self._replace(row)

    def insert_all(self, entries: Sequence[Entry]) -> None:
        """Write many rows, or none of them."""
        with self.transaction():
            taken = set(
                self.rows.filter(job_id__in=[e.snapshot.job_id for e in entries]).values_list(
                    "job_id", flat=True
                )
            )
            fresh = [e.row() for e in entries if e.snapshot.job_id not in taken]
            self.rows.bulk_create(fresh, batch_size=500)
        for entry in entries:
            if entry.snapshot.job_id in taken:
                self.insert(entry)

    def insert_missing(self, entry: Entry) -> None:
        """Write the row of a job that Redis has, unless its id has one."""
        with self.statement():
            self.rows.bulk_create([entry.row()], ignore_conflicts=True)

    def has_any(self, job_ids: Collection[str]) -> bool:
        """Tell whether one of these waits here, is executed from here, or has ended here."""
        in_transaction = connections[self.alias].in_atomic_block
        with self.transaction() if in_transaction else self.statement():
            return self.rows.filter(job_id__in=job_ids).exclude(state=State.DISPATCHED).exists()

    def has_row_of(self, job_ids: Collection[str]) -> bool:
        """Tell whether one of these has a row, wherever the job is."""
        with self.statement():
            return self.rows.filter(job_id__in=job_ids).exists()

    def delete(self, snapshot: JobSnapshot) -> None:
        """Take back the row of a job that was not accepted."""
        with self.statement():
            self.rows.of(snapshot.job_id, snapshot.generation).filter(version=0).delete()

    def forget_waiting(self, queue_name: str, job_ids: Sequence[str]) -> None:
        """Drop the rows of a queue that was emptied: those ids, and what waits only here."""
        with self.transaction():
            rows = self.rows.on_queues([queue_name])
            for start in range(0, len(job_ids), 500):
                batch = job_ids[start : start + 500]
                rows.dispatched().filter(job_id__in=batch).delete()
            rows.ready().delete()

    def mark_ready(self, snapshots: Sequence[JobSnapshot]) -> None:
        """Redis surely has no copies: the jobs may be executed from here."""
        with self.statement():
            for start in range(0, len(snapshots), 400):  # SQLite takes 999 parameters
                self.rows.mark_ready(snapshots[start : start + 400])

    def _insert(self, row: FallbackJob) -> None:
        try:
            row.save(force_insert=True, using=self.alias)
        except IntegrityError as error:
            raise _Taken from error

    def _has(self, snapshot: JobSnapshot) -> bool:
        """Tell whether the row is of this very enqueue: an insert without a reply is repeated."""
        with self.statement():
            return self.rows.of(snapshot.job_id, snapshot.generation).exists()

    def _replace(self, row: FallbackJob) -> None:
        with self.transaction():
            if not self.rows.filter(job_id=row.job_id).update(**row.as_values()):
                row.pk = None
                self._insert(row)  # the other row went away between the two

    # ---- the contract --------------------------------------------------------------------------

    def claim(self, claimant: Claimant, queue_names: Sequence[str], limit: int) -> list[Claim]:
        """Take jobs that are due: ready ones, and dispatched ones while no worker uses Redis."""
        asked_at = boottime()
        claims = self.claiming.claim(claimant, queue_names, limit)
        return [replace(claim, taken_at=asked_at) for claim in claims]

    def renew(self, claimant: Claimant, claims: Collection[Claim]) -> set[str]:
        """Return the tokens of lapsed claims. The lease itself is the worker's heartbeat row,
        which lists each claim by job id and token."""
        with self.statement():
            mine = self.rows.claimed().filter(job_id__in=[claim.job_id for claim in claims])
            kept = set(mine.values_list("job_id", "claim_token"))
        return {claim.token for claim in claims if (claim.job_id, claim.token) not in kept}

    def release(self, claim: Claim) -> bool:
        """Give a claimed row back."""
        with self.transaction():
            return self.claimed_by(claim).give_back(timezone.now()) == 1

    def settle(self, claim: Claim, settlement: Settlement, *, unknown: bool = False) -> Verdict:
        """Record the end of an attempt: of a job claimed here or, Redis being away, there.

        *unknown*: Redis was asked and holds nothing of the job. Then a failure is recorded only
        where the job is still known here; no copy and no row means that it has ended.
        """
        with self.transaction():
            rows = self.claimed_by(claim) if claim.store == self.name else self.held_by_redis(claim)
            found = rows.values_list("pk", "redis_copy").first()
            if found is not None:
                copy = bool(found[1]) or claim.store != self.name
                self.ends.record(self.rows.filter(pk=found[0]), claim, settlement, copy=copy)
                return Verdict.WON
            if claim.store == self.name or self._has_row(claim) or self._has_letter(claim):
                return Verdict.LOST
            good = settlement.ending in GOOD
            if unknown and not good and not claim.bare:
                return Verdict.LOST
            self._insert(Entry(claim.snapshot, State.DISPATCHED, redis_copy=True).row())
            row = self.rows.of(claim.job_id, claim.snapshot.generation)
            self.ends.record(row, claim, settlement, copy=True)
            return Verdict.WON

    def settle_all(
        self, ended: Sequence[tuple[Claim, Settlement]]
    ) -> Iterator[tuple[tuple[Claim, Settlement], Verdict]]:
        """Record many ends; yields each with its verdict, once it is committed."""
        plain = [end for end in ended if self._is_plain(*end)]
        if len(plain) > 1:
            yield from zip(plain, self._finish_all(plain), strict=True)
            ended = [end for end in ended if not self._is_plain(*end)]
        for end in ended:
            yield end, self.settle(*end)

    def save_meta(self, claim: Claim, meta: bytes) -> None:
        """Note what a running job saved about itself."""
        with self.statement():
            self.claimed_by(claim).update(payload=claim.snapshot.changed({"meta": meta}).dump())

    # ---- private -------------------------------------------------------------------------------

    def _is_plain(self, claim: Claim, end: Settlement) -> bool:
        """Tell whether an end is one guarded UPDATE, whatever else the row says."""
        is_plain = end.ending is Ending.FINISHED and end.ttl != 0 and claim.attempt == 0
        return is_plain and claim.store == self.name and claim.snapshot.letter is None

    def _finish_all(self, ended: Sequence[tuple[Claim, Settlement]]) -> list[Verdict]:
        now = timezone.now()
        with self.transaction():
            won = self.rows.finish_all(
                [
                    Finish(
                        claim.job_id,
                        claim.snapshot.generation,
                        claim.token,
                        end.dump(),
                        now + kept_for(end),
                    )
                    for claim, end in ended
                ]
            )
        if won == len(ended):
            return [Verdict.WON] * won
        with self.statement():
            finished = self.rows.finished().filter(job_id__in=[c.job_id for c, _ in ended])
            over = set(finished.values_list("job_id", "generation"))
        return [
            Verdict.WON if (claim.job_id, claim.snapshot.generation) in over else Verdict.LOST
            for claim, _ in ended
        ]

    def _has_row(self, claim: Claim) -> bool:
        return self.rows.filter(job_id=claim.job_id).exists()

    def _has_letter(self, claim: Claim) -> bool:
        return self.letters.filter(
            job_id=claim.job_id, generation=claim.snapshot.generation
        ).exists()


class _Taken(Exception):
    """The id has a row."""
