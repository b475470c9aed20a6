"""Settling: ends of attempts are told to the stores, Redis first, then the rows in batches."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from .. import events
from ..conf import settings
from ..exceptions import StoreError
from ..outcomes import Ending
from ..recovery.station import Station
from ..recovery.transcript import transcript
from ..stores.base import Verdict, boottime
from ..stores.database import DatabaseStore
from .hand import End, Hand, Key

BATCH = 200
_ENOUGH = 64  # ends that are worth a round trip
_SOON = 0.01  # seconds that an end waits for more, while there is other work; a crash repeats these
_LATER = 0.1  # the same for rows whose end Redis knows: reconcile would find them, too
_AGAIN = 2.0  # seconds between two tries to record what Redis could not


class Settling:
    """Tells the stores of one station what the hand holds; what fails stays in the hand."""

    def __init__(self, station: Station, hand: Hand) -> None:
        self.station = station
        self.hand = hand
        self._again_at = 0.0  # when ends that were set aside are taken up
        self._logged: set[Key] = set()  # deaths that no store took, which the log has

    def ends_are_due(self, *, eager: bool) -> bool:
        """Tell whether to tell the store of each end; *eager* when there is nothing else to do."""
        hand = self.hand
        if not hand.ended:
            return bool(hand.aside) and boottime() >= self._again_at
        return eager or len(hand.ended) >= _ENOUGH or boottime() - hand.ended_since >= _SOON

    def rows_are_due(self, *, eager: bool) -> bool:
        """Tell whether to bring rows in line with what Redis has recorded."""
        hand = self.hand
        if not hand.untold:
            return False
        return eager or len(hand.untold) >= BATCH or boottime() - hand.untold_since >= _LATER

    def next_due(self) -> float | None:
        """Seconds until something is due, None when there is nothing."""
        hand = self.hand
        if hand.ended:
            return max(hand.ended_since + _SOON - boottime(), 0)
        return max(hand.untold_since + _LATER - boottime(), 0) if hand.untold else None

    def tell_redis(self) -> str:
        """Settle in Redis what was claimed there; returns what is wrong with a job's keys, if
        anything. Raises StoreError; then nothing is forgotten."""
        self._take_up()
        batch = self.hand.first_ended(BATCH, store="redis")
        if not batch:
            return ""
        verdicts = self.station.redis.settle_all(batch)
        for end, verdict in zip(batch, verdicts, strict=True):
            if verdict is Verdict.FAILED:
                self.hand.set_aside(end)
                continue
            if verdict is Verdict.UNKNOWN:
                self._tell_database(end, unknown=True)
                continue
            self.hand.tell(end)
            if verdict is not Verdict.LOST:
                self.hand.count(end, from_database=False)
            # "Already settled" goes on as well: the row may still be there.
            if verdict in (Verdict.WON, Verdict.SETTLED) and _concerns_a_row(end):
                self.hand.keep_untold(end)
            elif verdict is Verdict.LOST:
                _log_lost(end)
        return self.station.redis.problem

    def tell_database(self, *, redis_away: bool) -> None:
        """Settle in the table what was claimed there and, with Redis away, the rest as well."""
        self._take_up()
        store = None if redis_away else DatabaseStore.name
        batch = self.hand.first_ended(BATCH, store=store)
        if not batch:
            return
        for end, verdict in self.station.table.settle_all(batch):
            self.hand.executed += self._told(end, verdict)

    def bring_rows_in_line(self) -> None:
        """Delete, or change, the rows of what Redis has settled. Raises StoreError."""
        batch = [self.hand.untold[i] for i in range(min(BATCH, len(self.hand.untold)))]
        if batch:
            self.station.table.ends.follow(batch)
            for _ in batch:
                self.hand.untold.popleft()

    def _take_up(self) -> None:
        if self.hand.aside and boottime() >= self._again_at:
            self.hand.take_up()
            self._again_at = boottime() + _AGAIN

    def log_deaths(self, ends: Iterable[End] | None = None) -> None:
        """With neither store there to take a death (all that are in hand, or *ends*), write its
        letter to the log, once: this process may end before one is back."""
        self._logged &= self.hand.ended.keys()
        for claim, settlement in list(self.hand.ended.values() if ends is None else ends):
            if settlement.ending is Ending.DEAD and claim.key not in self._logged:
                self._logged.add(claim.key)
                extra = {**claim.about(), "event": events.LETTER_NOT_STORED.name}
                line = transcript(claim, settlement)
                logging.getLogger(events.LETTER_NOT_STORED.logger_name).error(line, extra=extra)

    def _tell_database(self, end: End, *, unknown: bool = False) -> bool:
        claim, settlement = end
        try:
            verdict = self.station.table.settle(claim, settlement, unknown=unknown)
        except StoreError:
            if unknown:
                self.log_deaths([end])
                return False  # asked again: Redis will say the same
            raise
        return self._told(end, verdict)

    def _told(self, end: End, verdict: Verdict) -> bool:
        self.hand.tell(end)
        if verdict is Verdict.WON:
            self.hand.count(end, from_database=end[0].store == DatabaseStore.name)
        elif verdict is Verdict.LOST:
            _log_lost(end)
        return verdict is Verdict.WON


def _concerns_a_row(end: End) -> bool:
    """Tell whether the table has something to do with it: a row, which there is without an outbox
    only since an outage, a letter, or the history of attempts."""
    claim, settlement = end
    return (
        settlement.ending in (Ending.DEAD, Ending.RETRY)
        or claim.attempt > 0
        or claim.snapshot.letter is not None
        or claim.version > 0
        or settings.outbox_for(claim.snapshot.queue_name)
    )


def _log_lost(end: End) -> None:
    claim, settlement = end
    events.SETTLEMENT_LOST.log(
        claim.about(),
        job_id=claim.job_id,
        attempt=claim.attempt,
        ending=settlement.ending.value,
    )
