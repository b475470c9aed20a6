"""Jobs in the project's database: every change is one guarded statement or one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from django.db import IntegrityError, connections, transaction
from django.utils import timezone
from rq.exceptions import DuplicateJobError

from ..conf import settings
from ..exceptions import UndecodableSnapshot
from ..jobs import JobSnapshot
from ..models import BrokerState, DeadLetter, FailedAttempt, FallbackJob, PausedQueue
from ..models.dead_letter import DeadLetterQuerySet
from ..models.fallback_job import FallbackJobQuerySet, State
from ..models.finish import Finish
from ..outcomes import Ending, Failure, Reason, Settlement
from .base import Claim, Claimant, Verdict, boottime
from .candidates import Candidates
from .guard import database_errors
from .measures import count_death
from .rows import Entry, attempt_of, columns_again, kept_for, letter_of
from .watch import Watch

_GOOD = (Ending.FINISHED, Ending.REPEAT)
_BAD = (Ending.RETRY, Ending.DEAD)


class DatabaseStore:
    """The store contract over the table of fallback jobs."""

    name = "database"

    def __init__(
        self,
        *,
        broker: str = "",
        watch: Watch | None = None,
        timeout: float | None = None,
        in_hand: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self.alias = settings.DATABASE
        self.broker = broker
        self.watch = watch
        self._expects_more = False  # the last claim took as many rows as it might
        self.in_hand = in_hand  # ids that this worker has, whichever store they came from
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
        claims = self._claim_due(claimant, queue_names, limit)
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
            return self._claimed(claim).give_back(timezone.now()) == 1

    def settle(self, claim: Claim, settlement: Settlement, *, unknown: bool = False) -> Verdict:
        """Record the end of an attempt: of a job claimed here or, Redis being away, there.

        *unknown*: Redis was asked and holds nothing of the job. Then a failure is recorded only
        where the job is still known here; no copy and no row means that it has ended.
        """
        with self.transaction():
            rows = self._claimed(claim) if claim.store == self.name else self._held_by_redis(claim)
            found = rows.values_list("pk", "redis_copy").first()
            if found is not None:
                copy = bool(found[1]) or claim.store != self.name
                self._end(self.rows.filter(pk=found[0]), claim, settlement, copy=copy)
                return Verdict.WON
            if claim.store == self.name or self._has_row(claim) or self._has_letter(claim):
                return Verdict.LOST
            good = settlement.ending in _GOOD
            if unknown and not good and not claim.bare:
                return Verdict.LOST
            self._insert(Entry(claim.snapshot, State.DISPATCHED, redis_copy=True).row())
            row = self.rows.of(claim.job_id, claim.snapshot.generation)
            self._end(row, claim, settlement, copy=True)
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
            self._claimed(claim).update(payload=claim.snapshot.changed({"meta": meta}).dump())

    # ---- after Redis has settled ---------------------------------------------------------------

    def follow(self, ended: Sequence[tuple[Claim, Settlement]]) -> list[DeadLetter]:
        """Bring the rows in line with what Redis has recorded; returns the new dead letters."""
        letters = [letter_of(claim, end) for claim, end in ended if end.ending is Ending.DEAD]
        over = [claim for claim, end in ended if end.ending is not Ending.RETRY]
        with self.transaction():
            if letters:
                self.letters.record(letters)
            self._note_attempts(ended)
            self._recover(ended)
            if over and settings.KEEP_FINISHED_UNTIL_FSYNC:
                self._keep_until_written(ended)
            elif over:
                self.rows.filter(
                    job_id__in=sorted(claim.job_id for claim in over),
                    generation__in=[claim.snapshot.generation for claim in over],
                ).delete()
            for claim, end in ended:
                if end.ending is Ending.RETRY:
                    self._note_retry(claim, end)
        return letters

    def _note_attempts(self, ended: Iterable[tuple[Claim, Settlement]]) -> None:
        """Keep the history of jobs that fail, as long as they have not finished."""
        attempts = FailedAttempt.objects.using(self.alias)
        failed = [attempt_of(claim, end) for claim, end in ended if end.ending in _BAD]
        if failed:
            attempts.record(failed)
        attempts.forget(c.snapshot for c, end in ended if end.ending in _GOOD and c.attempt > 0)

    def _recover(self, ended: Iterable[tuple[Claim, Settlement]]) -> None:
        """Tell the letters whose jobs were requeued that those have finished."""
        good = [claim.snapshot.letter for claim, end in ended if end.ending in _GOOD]
        letters = [pk for pk in good if pk is not None]
        if letters:
            self.letters.recover(letters)

    def _keep_until_written(self, ended: Iterable[tuple[Claim, Settlement]]) -> None:
        for claim, end in ended:
            if end.ending is not Ending.RETRY:
                self.rows.of(claim.job_id, claim.snapshot.generation).update(
                    state=State.FINISHED,
                    outcome=end.dump(),
                    redis_copy=True,
                    check_at=timezone.now(),
                )

    def _note_retry(self, claim: Claim, end: Settlement) -> None:
        rows = self._held_by_redis(claim)
        rows.update(
            attempt=claim.attempt + 1,
            payload=claim.snapshot.changed(end.fields).dump(),
            due_at=timezone.now() + timedelta(seconds=end.delay),
        )

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

    def _can_skip_locked(self) -> bool:
        with self.statement():  # on MariaDB the answer depends on the server, and so connects to it
            return bool(connections[self.alias].features.has_select_for_update_skip_locked)

    def _claim_due(self, claimant: Claimant, queue_names: Sequence[str], limit: int) -> list[Claim]:
        with self.statement():
            queue_names = PausedQueue.objects.using(self.alias).open_among(queue_names)
        if not queue_names:
            return []
        candidates = self._candidates(queue_names)
        can_skip = self._can_skip_locked()
        if not can_skip:
            claims = self._claim_ready(claimant, candidates, limit)
            if claims is not None:
                return claims
        elif not (self._expects_more or self._exist(candidates)):
            return []  # without a lock: this is asked many times a second
        claims = None
        if not candidates.alone and can_skip:
            with self.transaction():
                rows = candidates.first(limit, lock=True)
                if not any(row.rate_limit_key for row in rows):
                    claims = self._take_first(rows, claimant, limit)
        return self._claim_alone(claimant, queue_names, limit) if claims is None else claims

    def _claim_alone(
        self, claimant: Claimant, queue_names: Sequence[str], limit: int
    ) -> list[Claim]:
        """Claim while nobody else may: rows that Redis may hold, or that count against a limit."""
        with self.transaction():
            # The lock that a change of mode takes: nobody becomes a user of Redis meanwhile. And
            # before any row's: whoever waited for it with rows in hand could be waited for.
            BrokerState.objects.using(self.alias).lock(self.broker)
            candidates = self._candidates(queue_names)
            if candidates.alone and self.watch is not None:
                self.watch.look()
                candidates = self._candidates(queue_names)
            rows = candidates.first(limit, lock=self._can_skip_locked())
            return self._take_first(rows, claimant, limit)

    def _candidates(self, queue_names: Sequence[str]) -> Candidates:
        alone = self.watch is not None and not self.watch.somebody_uses_redis()
        live = self.watch.live() if self.watch is not None else []
        others = [job_id for worker in live for job_id, _ in worker.in_flight]
        return Candidates(self.rows, queue_names, [*self.in_hand(), *others], alone)

    def _exist(self, candidates: Candidates) -> bool:
        with self.statement():
            return candidates.exist()

    def _claim_ready(
        self, claimant: Claimant, candidates: Candidates, limit: int
    ) -> list[Claim] | None:
        """Where one lock is for all writers, producers wait for it: rows are found before it is
        taken. None when that is not enough, as Redis may hold a row or its rate limit counts."""
        with self.statement():
            found = candidates.first(limit, lock=False)
        if not found:
            return []
        if any(row.state != State.READY or row.rate_limit_key for row in found):
            return None
        token = secrets.token_hex(16)
        with self.transaction():
            return self._claims(self._won_unchanged(found, claimant, token), token) or None

    def _won_unchanged(
        self, found: list[FallbackJob], claimant: Claimant, token: str
    ) -> list[FallbackJob]:
        pks = [row.pk for row in found]
        self.rows.claim(pks, state=State.READY, worker_name=claimant.name, token=token)
        mine = self.rows.filter(pk__in=pks, claim_token=token).claimed()
        taken = {
            pk: (generation, version)
            for pk, generation, version in mine.values_list("pk", "generation", "version")
        }
        won = [row for row in found if taken.get(row.pk) == (row.generation, row.version + 1)]
        if len(won) < len(taken):
            # Of a row that is ready again, or of another enqueue, what was found is out of date.
            mine.exclude(pk__in=[row.pk for row in won]).give_back(timezone.now())
        return won

    def _take_first(self, rows: list[FallbackJob], claimant: Claimant, limit: int) -> list[Claim]:
        self._expects_more = len(rows) == limit
        token = secrets.token_hex(16)
        return self._claims(self._won(rows, claimant, token), token)

    def _claims(self, rows: list[FallbackJob], token: str) -> list[Claim]:
        claims = []
        for row in rows:
            try:
                snapshot = JobSnapshot.load(bytes(row.payload))
            except UndecodableSnapshot as error:
                self.bury(row, error)
                continue
            if self.has_expired(row, snapshot):
                continue
            claims.append(
                Claim(snapshot, self.name, token, row.attempt, row.version + 1, row.rescues)
            )
        return claims

    def _won(self, rows: list[FallbackJob], claimant: Claimant, token: str) -> list[FallbackJob]:
        won = 0
        for state in (State.READY, State.DISPATCHED):
            pks = [row.pk for row in rows if row.state == state]
            if pks:
                won += self.rows.claim(pks, state=state, worker_name=claimant.name, token=token)
        if won == len(rows):
            return rows
        # A drain was faster with some of them, where a database locks no rows for a reader.
        mine = self.rows.filter(pk__in=[row.pk for row in rows], claim_token=token)
        kept = set(mine.values_list("pk", flat=True))
        return [row for row in rows if row.pk in kept]

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

    def _end_by_letter(self, row: FallbackJob, letter: DeadLetter, job: JobSnapshot | None) -> None:
        self.letters.record([letter])
        if self.rows.filter(pk=row.pk).delete()[0]:
            count_death(job, row.queue_name, self.name, alias=self.alias)

    def _claimed(self, claim: Claim) -> FallbackJobQuerySet:
        row = self.rows.of(claim.job_id, claim.snapshot.generation)
        return row.claimed().filter(claim_token=claim.token)

    def _held_by_redis(self, claim: Claim) -> FallbackJobQuerySet:
        row = self.rows.of(claim.job_id, claim.snapshot.generation)
        return row.dispatched().filter(attempt__lte=claim.attempt)

    def _has_row(self, claim: Claim) -> bool:
        return self.rows.filter(job_id=claim.job_id).exists()

    def _has_letter(self, claim: Claim) -> bool:
        return self.letters.filter(
            job_id=claim.job_id, generation=claim.snapshot.generation
        ).exists()

    def _end(self, row: FallbackJobQuerySet, claim: Claim, end: Settlement, *, copy: bool) -> None:
        if end.ending is Ending.DEAD:
            self.letters.record([letter_of(claim, end)])
        self._note_attempts([(claim, end)])
        self._recover([(claim, end)])
        freed: dict[str, object] = {"claimed_by": "", "claim_token": "", "redis_copy": copy}
        now = timezone.now()
        if end.ending is Ending.RETRY or (end.ending is Ending.REPEAT and not copy):
            row.update(**freed, **columns_again(claim, end, now, copy=copy))
        elif copy or self._is_awaited(end) or (end.ttl != 0 and end.ending is not Ending.DEAD):
            # A row that Redis need not hear of is kept as long as rq keeps a result.
            if claim.store != self.name:  # the job may have changed its meta there
                freed["payload"] = claim.snapshot.dump()
            row.update(
                state=State.FINISHED, outcome=end.dump(), check_at=now + kept_for(end), **freed
            )
        else:
            row.delete()

    def _is_awaited(self, end: Settlement) -> bool:
        """Tell whether a death matters to jobs that wait: rq takes one it never heard of for done,
        and would run what depends on it."""
        good = end.ending is Ending.FINISHED
        return not good and self.rows.exclude(waits_for="").exists()


class _Taken(Exception):
    """The id has a row."""
