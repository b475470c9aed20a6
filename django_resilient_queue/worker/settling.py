"""Settling: ends of attempts are told to the stores, Redis first, then the rows in batches."""

from __future__ import annotations

import logging

from ..conf import settings
from ..exceptions import StoreError
from ..outcomes import Ending
from ..recovery.station import Station
from ..stores.base import Verdict
from ..stores.database import DatabaseStore
from .hand import End, Hand

logger = logging.getLogger("django_resilient_queue")

BATCH = 200


class Settling:
    """Tells the stores of one station what the hand holds; what fails stays in the hand."""

    def __init__(self, station: Station, hand: Hand) -> None:
        self.station = station
        self.hand = hand

    def tell_redis(self) -> None:
        """Settle in Redis what was claimed there. Raises StoreError; then nothing is forgotten."""
        batch = self.hand.first_ended(BATCH, store="redis")
        if not batch:
            return
        verdicts = self.station.redis.settle_all(batch)
        for end, verdict in zip(batch, verdicts, strict=True):
            if verdict is Verdict.UNKNOWN:
                self._tell_database(end, unknown=True)
                continue
            self.hand.tell(end)
            # "Already settled" goes on as well: the row may still be there.
            if verdict in (Verdict.WON, Verdict.SETTLED) and _concerns_a_row(end):
                self.hand.untold.append(end)
            elif verdict is Verdict.LOST:
                _log_lost(end)

    def tell_database(self, *, redis_away: bool) -> None:
        """Settle in the table what was claimed there and, with Redis away, the rest as well."""
        for end in self.hand.first_ended(BATCH):
            if end[0].store == DatabaseStore.name or redis_away:
                self.hand.executed += self._tell_database(end)

    def bring_rows_in_line(self) -> None:
        """Delete, or change, the rows of what Redis has settled. Raises StoreError."""
        batch = [self.hand.untold[i] for i in range(min(BATCH, len(self.hand.untold)))]
        if batch:
            self.station.table.follow(batch)
            for _ in batch:
                self.hand.untold.popleft()

    def _tell_database(self, end: End, *, unknown: bool = False) -> bool:
        claim, settlement = end
        try:
            verdict = self.station.table.settle(claim, settlement, unknown=unknown)
        except StoreError:
            if unknown:
                return False  # asked again: Redis will say the same
            raise
        self.hand.tell(end)
        if verdict is Verdict.LOST:
            _log_lost(end)
        return verdict is Verdict.WON


def _concerns_a_row(end: End) -> bool:
    """Tell whether a row may exist; without an outbox there is one only since an outage."""
    claim, settlement = end
    return (
        settlement.ending is Ending.DEAD
        or claim.version > 0
        or settings.outbox_for(claim.snapshot.queue_name)
    )


def _log_lost(end: End) -> None:
    claim, settlement = end
    logger.warning(
        "settlement lost job_id=%s attempt=%d ending=%s: another worker took the job over",
        claim.job_id,
        claim.attempt,
        settlement.ending,
    )
