"""How rows are claimed: by guarded statements, alone where Redis or a rate limit has a say."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence

from django.db import connections
from django.utils import timezone

from ..exceptions import UndecodableSnapshot
from ..jobs import JobSnapshot
from ..models import BrokerState, FallbackJob, PausedQueue
from ..models.fallback_job import State
from .base import Claim, Claimant
from .candidates import Candidates
from .ends import Ends
from .table import Table
from .watch import Watch


class Claiming:
    """Claims of one worker, or of somebody who asks once."""

    def __init__(
        self,
        table: Table,
        ends: Ends,
        *,
        broker: str,
        watch: Watch | None,
        in_hand: Callable[[], Collection[str]],
    ) -> None:
        self.table, self.ends = table, ends
        self.broker, self.watch = broker, watch
        self.in_hand = in_hand  # ids that this worker has, whichever store they came from
        self._expects_more = False  # the last claim took as many rows as it might

    def claim(self, claimant: Claimant, queue_names: Sequence[str], limit: int) -> list[Claim]:
        """Take rows that are due: ready ones, and dispatched ones while no worker uses Redis."""
        with self.table.statement():
            queue_names = PausedQueue.objects.using(self.table.alias).open_among(queue_names)
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
            with self.table.transaction():
                rows = candidates.first(limit, lock=True)
                if not any(row.rate_limit_key for row in rows):
                    claims = self._take_first(rows, claimant, limit)
        return self._claim_alone(claimant, queue_names, limit) if claims is None else claims

    def _can_skip_locked(self) -> bool:
        # On MariaDB the answer depends on the server, and so connects to it.
        with self.table.statement():
            return bool(connections[self.table.alias].features.has_select_for_update_skip_locked)

    def _claim_alone(
        self, claimant: Claimant, queue_names: Sequence[str], limit: int
    ) -> list[Claim]:
        """Claim while nobody else may: rows that Redis may hold, or that count against a limit."""
        with self.table.transaction():
            # The lock that a change of mode takes: nobody becomes a user of Redis meanwhile. And
            # before any row's: whoever waited for it with rows in hand could be waited for.
            BrokerState.objects.using(self.table.alias).lock(self.broker)
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
        return Candidates(self.table.rows, queue_names, [*self.in_hand(), *others], alone)

    def _exist(self, candidates: Candidates) -> bool:
        with self.table.statement():
            return candidates.exist()

    def _claim_ready(
        self, claimant: Claimant, candidates: Candidates, limit: int
    ) -> list[Claim] | None:
        """Where one lock is for all writers, producers wait for it: rows are found before it is
        taken. None when that is not enough, as Redis may hold a row or its rate limit counts."""
        with self.table.statement():
            found = candidates.first(limit, lock=False)
        if not found:
            return []
        if any(row.state != State.READY or row.rate_limit_key for row in found):
            return None
        token = secrets.token_hex(16)
        with self.table.transaction():
            return self._claims(self._won_unchanged(found, claimant, token), token) or None

    def _won_unchanged(
        self, found: list[FallbackJob], claimant: Claimant, token: str
    ) -> list[FallbackJob]:
        pks = [row.pk for row in found]
        self.table.rows.claim(pks, state=State.READY, worker_name=claimant.name, token=token)
        mine = self.table.rows.filter(pk__in=pks, claim_token=token).claimed()
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
                self.ends.bury(row, error)
                continue
            if self.ends.has_expired(row, snapshot):
                continue
            claims.append(
                Claim(snapshot, self.table.name, token, row.attempt, row.version + 1, row.rescues)
            )
        return claims

    def _won(self, rows: list[FallbackJob], claimant: Claimant, token: str) -> list[FallbackJob]:
        won = 0
        for state in (State.READY, State.DISPATCHED):
            pks = [row.pk for row in rows if row.state == state]
            if pks:
                won += self.table.rows.claim(
                    pks, state=state, worker_name=claimant.name, token=token
                )
        if won == len(rows):
            return rows
        # A drain was faster with some of them, where a database locks no rows for a reader.
        mine = self.table.rows.filter(pk__in=[row.pk for row in rows], claim_token=token)
        kept = set(mine.values_list("pk", flat=True))
        return [row for row in rows if row.pk in kept]
