"""Which housekeeping a worker does, and when: each duty at its own pace, one batch at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import ResponseError

from .. import events
from ..alerts.evaluation import forget
from ..conf import settings
from ..exceptions import StoreError, describe
from ..models import BrokerState
from ..recovery.backfill import adopt, backfill
from ..recovery.drain import drain
from ..recovery.followups import follow_up
from ..recovery.homecoming import tell_results
from ..recovery.pausing import correct_pauses
from ..recovery.prune import prune
from ..recovery.reconcile import reconcile
from ..recovery.recovering import Recovering
from ..recovery.rescue import rescue_claimed, rescue_started
from ..recovery.retention import expire_letters
from ..recovery.runs import Turn, drive_runs
from ..recovery.sampling import take_sample
from ..recovery.sweep import sweep
from ..recovery.tallying import fold_tally
from ..recovery.written import forget_written
from ..stores.base import boottime
from .alerting import Alerting
from .troubles import Troubles

if TYPE_CHECKING:
    from .modes import Modes
    from .worker import ResilientWorker

# Seconds between two looks at who is on duty: thousands of workers may ask.
_ON_DUTY, _OFF_DUTY = 1.0, 2.0
_TEND, _TEND_LESS = 1.0, 2.0  # seconds between two words with Redis
_REST = 9  # times as long as a duty took, until its next turn while all horses are busy
_BUDGET = 0.2  # seconds of housekeeping after which the next job comes first


@dataclass
class Duty:
    """``run`` returns how much it did: after a full batch it runs again at once."""

    pace: float
    run: Callable[[], int]
    needs_redis: bool = True
    needs_database: bool = True
    alone: bool = False  # done by one worker of a Redis at a time
    due_at: float = 0.0

    def again(self, done: int, *, rest: float = 0.0) -> None:
        """Plan the next run, after *rest* seconds at least."""
        self.due_at = boottime() + max(0 if done else self.pace, rest)


class Housekeeping:
    """The duties of one worker."""

    def __init__(
        self,
        worker: ResilientWorker,
        modes: Modes,
        troubles: Troubles,
        is_busy: Callable[[], bool],
    ) -> None:
        self.is_busy, self.troubles = is_busy, troubles
        self.station, self.modes, self.worker = worker.station, modes, worker
        self.cursors: dict[str, int] = {}
        self.offsets: dict[str, int] = {}
        self.turns: dict[int, Turn] = {}
        self._ask_again_at = 0.0
        self.alerting = Alerting(worker, modes)
        station, recovering = self.station, Recovering(self.station)
        self._tending = Duty(_TEND, self._tend, needs_database=False)
        self._following = Duty(math.inf, lambda: follow_up(station), needs_database=False)
        looking = Duty(settings.ALERT_INTERVAL, self.alerting.look, needs_redis=False, alone=True)
        sampling = Duty(5.0, self._take_sample, needs_redis=False, alone=True)
        for duty in (looking, sampling):
            duty.again(0)  # whatever waits for the first worker is not to delay its first job
        self._alerting = Duty(0.5, self._tend_alerts, needs_redis=False, needs_database=False)
        self.duties = [
            looking,
            self._alerting,
            Duty(60.0, forget, needs_redis=False, alone=True),
            Duty(0.5, lambda: drain(station, settings.DRAIN_BATCH)),
            self._tending,
            self._following,
            Duty(0.2, lambda: reconcile(station), alone=True),
            Duty(1.0, lambda: adopt(station, self.offsets) and 0, alone=True),
            Duty(1.0, lambda: backfill(station), alone=True),
            Duty(1.0, lambda: tell_results(station), alone=True),
            Duty(1.0, lambda: correct_pauses(station) and 0, alone=True),
            Duty(2.0, lambda: rescue_started(station) and 0, alone=True),
            Duty(2.0, lambda: rescue_claimed(station) and 0, needs_redis=False, alone=True),
            Duty(5.0, lambda: sweep(station, self.cursors) and 0, alone=True),
            Duty(0.5, lambda: drive_runs(station, self.turns), needs_redis=False, alone=True),
            Duty(5.0, lambda: recovering.walk_on() and 0, alone=True),
            Duty(10.0, self._rescue_blindly, needs_database=False),
            Duty(1.0, lambda: forget_written(station), alone=True),
            Duty(1.0, self._look_at_exposed, needs_database=False),
            Duty(60.0, self._prune, needs_redis=False, alone=True),
            Duty(10.0, fold_tally, needs_redis=False, alone=True),
            Duty(settings.METRICS_INTERVAL or 60.0, self._write_measures, needs_redis=False),
            sampling,
            Duty(60.0, expire_letters, needs_redis=False, alone=True),
            Duty(self.worker.maintenance_interval, self._clean_registries, needs_database=False),
        ]

    def tick(self) -> None:
        """Do what is due, as far as the stores that it needs are here, the longest overdue first.

        For a bounded time: a slow store must not keep the worker from its jobs.
        """
        until = boottime() + _BUDGET
        if self.station.redis.has_follow_ups:
            self._following.due_at = 0.0
        for duty in sorted(self.duties, key=lambda duty: duty.due_at):
            now = boottime()
            if now < duty.due_at or not self._can(duty):
                continue
            if now >= until:
                return
            try:
                done = duty.run() if not duty.alone or self._has_duty() else 0
                # Looking after a long backlog must not keep a busy worker from working it off.
                rest = (boottime() - now) * _REST if duty.alone and self.is_busy() else 0
                duty.again(done, rest=rest)
            except StoreError as error:
                duty.again(0)
                self.modes.lose(error)
            except ResponseError as error:  # a key is spoilt
                duty.again(0, rest=1.0)
                self.troubles.note("housekeeping", str(error))
            except Exception as error:  # noqa: BLE001 - see below
                # One bad row or entry must not end the worker; the next run meets it again.
                duty.again(0)
                events.HOUSEKEEPING_FAILED.log(
                    worker=self.worker.name, cause=describe(error), error=error
                )

    def next_due(self) -> float:
        """Seconds until something is due."""
        due = [duty.due_at for duty in self.duties if self._can(duty)]
        return max(min(due, default=boottime() + 1) - boottime(), 0)

    def _can(self, duty: Duty) -> bool:
        if duty.needs_redis and not self.modes.uses_redis:
            return False
        return self.modes.database_is_here or not duty.needs_database

    def _has_duty(self) -> bool:
        """Be the one worker that does the rest, or take over from one that is gone."""
        now = boottime()
        if now >= self._ask_again_at:
            self.modes.is_on_duty = self._take_duty()
            self._ask_again_at = now + (_ON_DUTY if self.modes.is_on_duty else _OFF_DUTY)
        return self.modes.is_on_duty

    def _take_duty(self) -> bool:
        name, me = self.station.broker.address, self.station.name
        states = BrokerState.objects.using(self.station.table.alias)
        with self.station.table.statement():
            holder = states.filter(name=name).values_list("reconciler", flat=True).first()
            if holder in ("", me):
                return states.take_duty(name, me)
            gone = holder is not None and self.station.watch.is_gone(holder)
            return gone and states.take_duty(name, me, stale={str(holder)})

    def _tend(self) -> int:
        tending = self.worker.tend()
        self.troubles.take("key", tending.troubles)
        # Thousands of idle workers ask this: those with no scheduled jobs to move ask less often.
        self._tending.pace = _TEND if tending.schedules else _TEND_LESS
        for queue_name, job_id in tending.limited:
            self._promote_limited(queue_name, job_id)
        return 0

    def _promote_limited(self, queue_name: str, job_id: str) -> None:
        """A scheduled job with a rate limit goes rq's way, as rq's own scheduler does it."""
        queue = self.station.queue(queue_name)
        job = queue.fetch_job(job_id)
        with queue.connection.pipeline() as pipeline:
            queue.scheduled_job_registry.remove(job_id, pipeline=pipeline)
            if job is not None:
                front = job.should_enqueue_at_front()
                queue._enqueue_rate_limited_job(job, pipeline=pipeline, at_front=front)
            pipeline.execute()

    def _rescue_blindly(self) -> int:
        if not self.modes.database_is_here:
            rescue_started(self.station, without_database=True)
        return 0

    def _tend_alerts(self) -> int:
        self.alerting.tend()
        self._alerting.pace = self.alerting.pace
        return 0

    def _look_at_exposed(self) -> int:
        modes = self.modes
        # With the database away nobody else can come on duty.
        if not modes.is_on_duty or (modes.database_is_here and not modes.exposed.is_possible):
            modes.exposed.forget()
        elif not modes.exposed.look():
            modes.come_home()
        return 0

    def _write_measures(self) -> int:
        self.modes.write_measures()
        return 0

    def _take_sample(self) -> int:
        return take_sample(self.station, asks_redis=self.modes.uses_redis)

    def _prune(self) -> int:
        prune(self.station)
        return 0

    def _clean_registries(self) -> int:
        self.worker.clean_rq()
        return 0
