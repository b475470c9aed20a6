"""The row by which the others know a worker: its mode, what it has in hand and what it counted."""

from __future__ import annotations

import os
import secrets
import socket
from typing import Any

from django.utils import timezone

from ..conf import settings
from ..models import Outage, WorkerHeartbeat
from ..models.tally import difference
from ..models.worker_heartbeat import Mode
from ..recovery.station import Station
from ..stores.base import boottime
from .hand import Hand

# Part of a lease after which an unwritten heartbeat counts as lapsed: others may think us gone.
_LAPSE = 0.8


class Heartbeat:
    """Its statements join the caller's transaction, who says when that is committed."""

    def __init__(self, station: Station, hand: Hand, queue_names: list[str]) -> None:
        self.station = station
        self.hand = hand
        self.queue_names = queue_names
        self.started_at = timezone.now()
        self.wrote_at = 0.0
        self._is_new = True  # no row of this worker has been written
        # Counts that are kept elsewhere, and those of the last row.
        self._base: dict[str, int] = {}
        self._written: dict[str, int] = {}
        self._writing: dict[str, int] = {}

    @property
    def has_lapsed(self) -> bool:
        """Tell whether others may think this worker gone."""
        return boottime() - self.wrote_at > settings.LEASE * _LAPSE

    def lapse(self) -> None:
        """What the row says may not be so: it counts as lapsed."""
        self.wrote_at = 0.0

    def ask(self) -> None:
        """Look at the table, to see whether the database is there at all."""
        self._rows().exists()

    def write(self, mode: Mode) -> None:
        """Write the row, and count what was executed from the database."""
        values: dict[str, Any] = {
            "broker": self.station.broker.address,
            "mode": mode,
            "beat": secrets.token_hex(8),
            "in_flight": self.hand.in_flight(),
            "queues": ",".join(self.queue_names)[:500],
            "hostname": socket.gethostname()[:255],
            "pid": os.getpid(),
            "started_at": self.started_at,
            "seen_at": timezone.now(),
        }
        self._beat(values)
        self._count_executed()

    def was_committed(self) -> None:
        """There is a row of this worker from now on."""
        self._is_new = False

    def went_out(self) -> None:
        """What was written last is what the others go by."""
        self.wrote_at = boottime()
        self.hand.executed = 0
        self._written = self._writing

    def take_away(self) -> None:
        """Drop the row, with its last counts: this worker ends."""
        self._count_executed()
        counts = difference(self.hand.tally, self._base)
        self._rows().filter(name=self.station.name).update(**counts)
        self._rows().drop(name=self.station.name)

    def _beat(self, values: dict[str, Any]) -> None:
        """Write the row. Whoever took this worker for gone has added its counts to the Redis's:
        the new row begins after those that were written last."""
        if self._is_new:  # what a namesake before it was asked for is over
            values |= {"is_to_stop": False, "job_to_stop": ""}
        counts = dict(self.hand.tally)
        name, rows = self.station.name, self._rows()
        if not rows.beat(name, {**values, **difference(counts, self._base)}):
            self._base = self._written
            values.update(difference(counts, self._base))
            rows.update_or_create(name=name, defaults=values)
        self._writing = counts

    def _count_executed(self) -> None:
        """Count what was executed from the database: now and then, for each write is one more
        for which producers wait where the database has one lock for all."""
        outages = Outage.objects.using(self.station.table.alias)
        outages.add(self.station.broker.address, executed=self.hand.executed)

    def _rows(self) -> Any:
        return WorkerHeartbeat.objects.using(self.station.table.alias)
