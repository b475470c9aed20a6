"""What a worker does about alerts: looks for them and sends notices, each in a process of its own.

Neither a slow report nor a mail server that hangs keeps a job waiting. Without the database nobody
can agree on who tells: then each worker logs what it sees itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .. import events, signals
from ..alerts.delivery import deliver, longest
from ..alerts.evaluation import evaluate
from ..alerts.events import is_critical, listen
from ..conf import settings
from ..exceptions import StoreError
from ..models import DeadLetter
from ..models.worker_heartbeat import Mode
from ..stores.base import boottime
from .child import Child
from .modes import Modes

if TYPE_CHECKING:
    from .worker import ResilientWorker

_LONGEST_LOOK = 10.0  # seconds
_TO_SEND = 1
_CALM = 5.0  # seconds until what a worker has seen by itself counts as over


class Alerting:
    """The alerts of one worker."""

    def __init__(self, worker: ResilientWorker, modes: Modes) -> None:
        self.modes = modes
        self.looking = Child(worker, _look, lambda: _LONGEST_LOOK)
        self.sending = Child(worker, _send, longest)
        self.alone = Alone(worker.name)
        self._is_due = False
        self._mode = modes.mode
        # Held weakly: they end with this shift.
        signals.outage_started.connect(self._hear)
        signals.outage_ended.connect(self._hear)
        if listen():
            signals.job_dead_lettered.connect(self._hear_of_death)

    def look(self) -> int:
        """Look at the rules now, or when the look that is under way has ended."""
        self._is_due = bool(settings.ALERT_CHANNELS) and not self.looking.start()
        return 0

    def tend(self) -> int:
        """See to the processes; starts what is due."""
        self.alone.see(self._without_database())
        if self._mode != self.modes.mode:
            # Who reported the outage may be a producer, which looks at no rules.
            self._is_due = self._is_due or self.modes.is_on_duty
            self._mode = self.modes.mode
        self.sending.look()
        if self.looking.look() == _TO_SEND:
            self.sending.start()
        if self._is_due and self.modes.database_is_here:
            self.look()
        return 0

    @property
    def pace(self) -> float:
        """Seconds until it is to be tended again."""
        return 0.1 if self._is_due or self.looking.is_running or self.sending.is_running else 0.5

    def leave(self) -> None:
        """Kill what still runs: the notices are in the table, for another worker."""
        for child in (self.looking, self.sending):
            if child.is_running:
                child.kill()

    def _without_database(self) -> Mapping[str, bool]:
        if self.modes.database_is_here or not settings.ALERT_CHANNELS:
            return {}
        return {
            "database_failed": True,
            "redis_connection_failed": self.modes.mode == Mode.DATABASE,
        }

    def _hear(self, **kwargs: Any) -> None:
        self._is_due = True

    def _hear_of_death(self, dead_letter: DeadLetter, **kwargs: Any) -> None:
        self._is_due = self._is_due or is_critical(dead_letter)


class Alone:
    """What a worker can tell with nobody to agree with: each beginning and each end once, in the
    log."""

    def __init__(self, worker_name: str, clock: Callable[[], float] = boottime) -> None:
        self.worker_name, self.clock = worker_name, clock
        self._seen: dict[str, float] = {}

    def see(self, conditions: Mapping[str, bool]) -> None:
        """These hold now, of those that are true; one that is gone for a while is over."""
        now = self.clock()
        for rule in [rule for rule, holds in conditions.items() if holds]:
            if rule not in self._seen:
                events.ALERT_FIRED.log(rule=rule, worker=self.worker_name)
            self._seen[rule] = now
        for rule, at in list(self._seen.items()):
            if now - at >= _CALM:
                del self._seen[rule]
                events.ALERT_RESOLVED.log(rule=rule, worker=self.worker_name)


def _look() -> int:
    try:
        return _TO_SEND if evaluate() else 0
    except StoreError as error:
        events.ALERTS_NOT_LOOKED_AT.log(cause=error)
        return 0


def _send() -> int:
    try:
        deliver()
    except StoreError as error:
        events.ALERTS_NOT_SENT.log(cause=error)
    return 0
