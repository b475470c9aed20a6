"""How a job is accepted: the row, the push, and what counts when one of them fails.

A job is accepted if either store accepts it. The breaker decides which is tried first; only both
refusing refuses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from rq.exceptions import DuplicateJobError

from . import events
from .breaker import CircuitState, Permit
from .conf import settings
from .exceptions import (
    EnqueueUncertain,
    StoreAmbiguous,
    StoreError,
    StoreRefused,
    StoresUnavailableError,
)
from .jobs import JobSnapshot
from .meter import Key, Kind
from .models.fallback_job import State
from .stores import measures
from .stores.brokers import Broker
from .stores.database import DatabaseStore
from .stores.keys import Keys
from .stores.pushes import BACK, FRONT, Answer, Push
from .stores.rows import DEPENDENCIES, Entry

REDIS, DATABASE = "redis", "database"
_LATER = Answer("later", "", 0.0)  # nothing was pushed, and reconcile will


@dataclass(frozen=True, slots=True)
class Request:
    """One job that somebody enqueues. ``place`` is an end of the list, or the second it is due.

    ``push_by_rq`` pushes a job that waits for others or for a rate limit the way rq does it.
    ``told`` hears which store has the job.
    """

    snapshot: JobSnapshot
    told: Callable[[str], None]
    place: str | int = BACK
    unique: bool = False
    push_by_rq: Callable[[Push], Answer] | None = None

    def entry(self, state: str, *, redis_copy: bool = False) -> Entry:
        """The row of the job."""
        due_at = datetime.fromtimestamp(self.place, UTC) if isinstance(self.place, int) else None
        return Entry(
            self.snapshot,
            state,
            due_at=due_at,
            at_front=self.place == FRONT,
            redis_copy=redis_copy,
            unique=self.unique,
            waits_for=DEPENDENCIES if self.push_by_rq and self.snapshot.dependency_ids else "",
        )

    def push(self, *, bare: bool) -> Push:
        """The job on its way into Redis."""
        return Push(self.snapshot, place=str(self.place), bare=bare, unique=self.unique)


class Intake:
    """Accepts the jobs of one call, for the queues of one Redis."""

    def __init__(self, broker: Broker, keys: Keys) -> None:
        self.broker = broker
        self.keys = keys
        self.table = DatabaseStore()
        self._begun = time.perf_counter()
        self._spent = 0.0  # seconds until the caller's transaction went on

    def accept(self, requests: Sequence[Request], *, commit_first: bool) -> None:
        """Take the jobs into a store, all from one queue.

        With *commit_first*, inside a transaction: the rows join it, the push waits for its commit.
        Raises StoresUnavailableError when both stores refuse, EnqueueUncertain when one may have
        taken the job, DuplicateJobError for a unique id that is there.
        """
        if not requests:
            return
        self._begun = time.perf_counter()
        alias = _open_transaction(self.table.alias) if commit_first else None
        if alias is None:
            self._accept_now(requests)
        elif alias == self.table.alias:
            self._accept_in_transaction(requests)
        else:  # the rows live in another database: a rollback could not take them back
            self._on_commit(lambda: self._accept_now(requests), robust=False, alias=alias)

    # ---- outside of a transaction --------------------------------------------------------------

    def _accept_now(self, requests: Sequence[Request]) -> None:
        if self._waits_here(requests) and not self._store(requests, State.READY, redis_copy=False):
            self._accepted(requests, DATABASE)
            return
        self.broker.look_for_recovery()
        permit = self.broker.permit()
        cause: StoreError | None = None
        stored = False
        if not permit or self._wants_rows(requests):
            state = State.DISPATCHED if permit else State.READY
            cause = self._store(requests, state, redis_copy=bool(permit))
            stored = cause is None
        if permit or not stored:
            self._push(requests, permit, stored=stored, cause=cause)
        else:
            self._accepted(requests, DATABASE)

    def _store(
        self, requests: Sequence[Request], state: str, *, redis_copy: bool
    ) -> StoreError | None:
        """Write the rows; a failure is returned, for Redis may still take the jobs."""
        entries = [request.entry(state, redis_copy=redis_copy) for request in requests]
        try:
            if len(entries) == 1:
                self._insert(entries[0])
            else:
                self.table.insert_all(entries)
        except StoreError as error:
            return error
        return None

    def _waits_here(self, requests: Sequence[Request]) -> bool:
        """Tell whether a job waits for one that Redis does not know yet: rq would take it for done.
        It goes to Redis with that one."""
        waiting = [each.snapshot for each in requests if each.push_by_rq]
        ids = [job_id for snapshot in waiting for job_id in snapshot.dependency_ids]
        try:
            return bool(ids) and self.table.has_any(ids)
        except StoreError:  # Redis may still take the job
            return False

    def _insert(self, entry: Entry) -> None:
        try:
            self.table.insert(entry)
        except StoreAmbiguous:
            if connections[self.table.alias].in_atomic_block:
                raise
            # A connection that the server has closed since its last use fails once. Writing the
            # same row again is harmless.
            self.table.insert(entry)

    # ---- inside a transaction ------------------------------------------------------------------

    def _accept_in_transaction(self, requests: Sequence[Request]) -> None:
        closed = self.broker.is_in_use and not self._waits_here(requests)
        if closed and not self._wants_rows(requests):
            self._on_commit(lambda: self._accept_now(requests), robust=False)
            return
        state = State.DISPATCHED if closed else State.READY
        cause = self._store(requests, state, redis_copy=closed)
        if cause is not None:
            # The push waits for the commit whatever happened to the row: a job of a transaction
            # that rolls back must not run. If it fails then, the caller has to hear of it.
            self._on_commit(lambda: self._accept_bare(requests, cause), robust=False)
            return
        _tell(requests, DATABASE)
        then = self._push_committed if closed else self._probe
        self._on_commit(lambda: then(requests), robust=True)

    def _push_committed(self, requests: Sequence[Request]) -> None:
        permit = self.broker.permit()
        if permit:
            self._push(requests, permit, stored=True, cause=None)
        else:
            self._mark_ready(requests)
            self._accepted(requests, DATABASE)

    def _accept_bare(self, requests: Sequence[Request], cause: StoreError) -> None:
        permit = self.broker.permit()
        self._push(requests, permit, stored=False, cause=cause)

    def _probe(self, requests: Sequence[Request]) -> None:
        """Let a producer whose every job is in a transaction find out that Redis is back."""
        self._accepted(requests, DATABASE)
        self.broker.look_for_recovery()
        if self.broker.breaker.state is CircuitState.CLOSED:
            return
        permit = self.broker.permit()
        if permit:
            try:
                self.broker.probe()
            except StoreError as error:
                self.broker.report_failure(permit, error)
            else:
                self.broker.breaker.record_success(permit)

    def _on_commit(self, then: Callable[[], None], *, robust: bool, alias: str = "") -> None:
        def go_on() -> None:  # what the caller did meanwhile is no part of the enqueue
            self._begun = time.perf_counter()
            then()

        self._spent = time.perf_counter() - self._begun
        transaction.on_commit(go_on, using=alias or self.table.alias, robust=robust)

    # ---- the push and what follows from its answer ---------------------------------------------

    def _push(
        self,
        requests: Sequence[Request],
        permit: Permit,
        *,
        stored: bool,
        cause: StoreError | None,
    ) -> None:
        bare = not stored and self._wants_rows(requests)
        answers = self._answers(requests, bare=bare, stored=stored)
        self._count(answers, permit)
        if bare:
            events.JOBS_UNPROTECTED.log(count=len(requests), cause=cause)
        refused = [r for r, a in zip(requests, answers, strict=True) if _refused(r, a)]
        if stored and refused:
            self._mark_ready(refused)
        problems: list[Exception] = []
        for request, answer in zip(requests, answers, strict=True):
            try:
                self._conclude(request, answer, stored=stored, cause=cause)
            except Exception as problem:  # noqa: BLE001 - the other jobs have their own answers
                problems.append(problem)
        if problems:
            raise problems[0]

    def _answers(self, requests: Sequence[Request], *, bare: bool, stored: bool) -> list[Any]:
        by_rq = requests[0].push_by_rq
        if by_rq is None:
            return self.broker.push([request.push(bare=bare) for request in requests], self.keys)
        try:
            if stored and self._redis_lost_what_it_waits_for(requests[0].snapshot):
                return [_LATER]
            return [by_rq(requests[0].push(bare=bare))]
        except Exception as error:  # noqa: BLE001 - an answer like any other: its row is taken back
            return [error]

    def _redis_lost_what_it_waits_for(self, snapshot: JobSnapshot) -> bool:
        """Tell whether Redis has lost such a job, whose row is there: it comes back before this one
        where reconcile, which finds both rows, pushes them."""
        ids = snapshot.dependency_ids
        found = self.broker.link.call_all([("EXISTS", self.keys.job_prefix + i) for i in ids])
        missing = [job_id for job_id, answer in zip(ids, found, strict=True) if answer == 0]
        try:
            return bool(missing) and self.table.has_row_of(missing)
        except StoreError:
            return False

    def _count(self, answers: Sequence[Any], permit: Permit) -> None:
        failures = [answer for answer in answers if isinstance(answer, StoreError)]
        if failures:
            self.broker.report_failure(permit, failures[0])
        else:
            self.broker.breaker.record_success(permit)

    def _conclude(
        self, request: Request, answer: Any, *, stored: bool, cause: StoreError | None
    ) -> None:
        problem = _problem(request, answer)
        if problem is None:
            self._accepted([request], DATABASE if answer is _LATER else REDIS)
            if not stored and self._wants_rows([request]):
                measures.count(Key(Kind.UNPROTECTED, request.snapshot.queue_name))
        elif not isinstance(problem, StoreError):  # not accepted, and not for want of a store
            if stored:
                self._take_back(request)
            raise problem
        elif stored:
            self._accepted([request], DATABASE)
        else:
            self._fall_back(request, problem, cause)

    def _fall_back(self, request: Request, answer: StoreError, cause: StoreError | None) -> None:
        """Redis did not take a job that has no row: write the row now, or refuse the job."""
        refused = isinstance(answer, StoreRefused)
        state = State.READY if refused else State.DISPATCHED
        late = self._store([request], state, redis_copy=not refused)
        if late is None:
            self._accepted([request], DATABASE)
            return
        both = (answer, cause or late, late)
        surely = all(isinstance(error, StoreRefused) for error in both)
        kind = StoresUnavailableError if surely else EnqueueUncertain
        detail = "refused" if surely else "uncertain"
        measures.count(Key(Kind.REFUSED, request.snapshot.queue_name, detail=detail))
        raise kind(request.snapshot.job_id, answer, late)

    def _mark_ready(self, requests: Sequence[Request]) -> None:
        try:
            self.table.mark_ready([request.snapshot for request in requests])
        except StoreError as error:  # the rows stay dispatched: reconcile finds them
            events.ROWS_NOT_READY.log(count=len(requests), cause=error)

    def _take_back(self, request: Request) -> None:
        try:
            self.table.delete(request.snapshot)
        except StoreError as error:
            snapshot = request.snapshot
            events.ROW_NOT_TAKEN_BACK.log(snapshot.about(), job_id=snapshot.job_id, cause=error)

    def _accepted(self, requests: Sequence[Request], store: str) -> None:
        """A store has the jobs for good: no rollback can take them back any more."""
        seconds = self._spent + time.perf_counter() - self._begun
        for request in requests:
            request.told(store)
            measures.count_enqueued(request.snapshot, store, seconds)

    def _wants_rows(self, requests: Sequence[Request]) -> bool:
        return settings.outbox_for(requests[0].snapshot.queue_name)


def _open_transaction(alias: str) -> str | None:
    """Name the database whose transaction the caller is in: ours first, then the default one."""
    for name in (alias, DEFAULT_DB_ALIAS):
        if connections[name].in_atomic_block:
            return name
    return None


def _problem(request: Request, answer: Any) -> Exception | None:
    """Say why a push did not put the job into Redis; None when Redis has it."""
    if isinstance(answer, Exception):
        return answer
    if answer.word == "duplicate":
        return DuplicateJobError(request.snapshot.job_id)
    if answer.word in ("epoch", "expired"):  # refused by the script: surely there is no copy
        return StoreRefused(TimeoutError(f"the push was refused: {answer.word}"))
    return None


def _refused(request: Request, answer: Any) -> bool:
    return isinstance(_problem(request, answer), StoreRefused)


def _tell(requests: Sequence[Request], store: str) -> None:
    for request in requests:
        request.told(store)
