"""`ResilientWorker`: what rq and its dashboards know of a worker, around the supervising loop."""

from __future__ import annotations

import os
import signal
from copy import copy
from dataclasses import replace
from types import FrameType
from typing import Any

from django.db import connections
from redis import Redis
from redis import exceptions as redis_errors
from rq import Worker, worker_registration
from rq.defaults import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT
from rq.job import Job, JobStatus
from rq.logutils import setup_loghandlers
from rq.queue import Queue
from rq.utils import now
from rq.worker import DequeueStrategy, WorkerStatus

from .. import events, instruments
from ..conf import settings
from ..exceptions import StoreAmbiguous, StoreError, StoreRefused, describe
from ..jobs import as_bytes, timestamp
from ..outcomes import Ending, Settlement
from ..recovery.station import Station
from ..stores.base import Claim, Claimant, Store
from ..stores.brokers import broker_of
from ..stores.database import DatabaseStore
from ..stores.keys import Keys
from ..stores.links import link_to
from ..stores.redis import RedisStore, Tending
from ..stores.watch import Watch
from .hand import Hand
from .measuring import measure_abandoned
from .names import OURS, require_free_name
from .rq_lines import OF_JOBS, keep_payloads_out
from .shift import Shift

_EVENTS = {
    Ending.FINISHED: events.JOB_FINISHED,
    Ending.REPEAT: events.JOB_REPEAT,
    Ending.RETRY: events.JOB_RETRY,
    Ending.DEAD: events.JOB_DEAD,
    Ending.STOPPED: events.JOB_STOPPED,
}


class ResilientWorker(Worker):
    """An rq worker that starts and works with Redis away, and never ends because of a store.

    Takes what rq's worker takes. The scheduler is always on: delayed retries need it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The project's own connection is for the jobs; the worker speaks over a bounded one.
        self.job_connection: Redis = self.connection
        timeout = settings.WORKER_TIMEOUT
        link = link_to(self.connection, timeout=timeout, connect_timeout=timeout / 2)
        self.connection = link.client
        self._take_over_queues()
        self.hand = Hand()
        self.claimant = Claimant(self.name, settings.LEASE)
        self.station = self._make_station(RedisStore(link, self._keys()))
        self.shift: Shift | None = None
        self._is_registered = False

    def _make_station(self, store: RedisStore) -> Station:
        broker = broker_of(self.job_connection)
        alias = settings.DATABASE
        watch = Watch(alias, broker.address, self.name, lambda: settings.LEASE)
        table = DatabaseStore(
            broker=broker.address,
            watch=watch,
            timeout=settings.DATABASE_TIMEOUT,
            in_hand=self.hand.ids,
        )
        return Station(
            self.name,
            broker,
            store,
            table,
            watch,
            self.job_class,
            self.hand.ids,
            self._report_abandoned,
        )

    def _take_over_queues(self) -> None:
        """rq's maintenance goes by the connection of a queue, too: the caller's are left alone."""
        self.queues = [copy(queue) for queue in self.queues]
        for queue in self.queues:
            queue.connection = self.connection
        self._ordered_queues = self.queues[:]

    def _keys(self) -> Keys:
        return Keys(
            self.job_class.redis_job_namespace_prefix, self.queue_class.redis_queue_namespace_prefix
        )

    def _set_ip_address(self, connection: Redis) -> None:
        """Ask nothing of Redis yet: it may be away."""
        self.ip_address = "unknown"

    # ---- work ----------------------------------------------------------------------------------

    def work(
        self,
        burst: bool = False,
        logging_level: str | None = None,
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
        max_jobs: int | None = None,
        max_idle_time: int | None = None,
        with_scheduler: bool = False,
        dequeue_strategy: DequeueStrategy = DequeueStrategy.DEFAULT,
    ) -> bool:
        """Perform jobs until told to stop, as rq's `work`; True if any was performed."""
        for name in (events.OF_WORKERS, OF_JOBS, events.LOGGER):
            setup_loghandlers(logging_level, date_format, log_format, name=name)
        keep_payloads_out()
        instruments.active()  # they hear of deaths from now on
        self._dequeue_strategy = dequeue_strategy
        self._state = WorkerStatus.IDLE
        self.pid = os.getpid()
        require_free_name(self)
        self.birth_date = self.last_heartbeat = now()
        self._install_signal_handlers()
        events.WORKER_STARTED.log(worker=self.name, queues=",".join(self.queue_names()))
        self.shift = Shift(self, burst=burst, max_jobs=max_jobs, max_idle_time=max_idle_time)
        connections.close_all()
        try:
            return self.shift.run()
        finally:
            self._sign_off()
            events.WORKER_ENDED.log(worker=self.name)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Warm shutdown: the job in hand is finished first. A second signal ends at once."""
        self._shutdown_requested_date = now()
        signal.signal(signal.SIGINT, self.request_force_stop)
        signal.signal(signal.SIGTERM, self.request_force_stop)
        self.handle_warm_shutdown_request()
        if self.shift is not None:
            self.shift.request_stop()

    def heed(self, watch: Watch) -> None:
        """Do what somebody has asked for by the worker's row: stop a job, or end as at a signal."""
        if watch.job_to_stop and self.shift is not None:
            self.shift.control.stop_as_wished(watch.job_to_stop)
            watch.job_to_stop = ""
        if watch.is_to_stop and self.shift is not None and not self.shift.stopping:
            events.WORKER_ASKED_TO_STOP.log(worker=self.name)
            self.request_stop(signal.SIGINT, None)

    def ordered_queue_names(self) -> list[str]:
        """The queues in the order in which they are asked now."""
        return [queue.name for queue in self._ordered_queues]

    def station_store(self, claim: Claim) -> Store:
        """The store that a claim is from."""
        return self.station.redis if claim.store == RedisStore.name else self.station.table

    # ---- what the loop reports -----------------------------------------------------------------

    @property
    def keeps_order(self) -> bool:
        """Tell whether the queues are always asked in the same order."""
        strategy = self._dequeue_strategy or DequeueStrategy.DEFAULT
        reorders = type(self).reorder_queues is not Worker.reorder_queues
        return strategy == DequeueStrategy.DEFAULT and not reorders

    def took(self, claim: Claim) -> Claim:
        """A job was claimed."""
        self.hand.take(claim)
        if not self.keeps_order:
            queue = next((q for q in self.queues if q.name == claim.snapshot.queue_name), None)
            if queue is not None:
                self.reorder_queues(reference_queue=queue)
        return claim

    def began(self, claim: Claim, horse_pid: int) -> None:
        """A horse has the job."""
        self._horse_pid = horse_pid
        self._state = WorkerStatus.BUSY
        if events.JOB_STARTED.is_heard:
            events.JOB_STARTED.log(claim.about(), **_named(claim), store=claim.store)

    def ended(self) -> None:
        """A horse is done with its job."""
        if self.shift is None or self.shift.stable.is_idle:
            self._state = WorkerStatus.IDLE

    def log_end(self, claim: Claim, end: Settlement) -> None:
        """Log how a job ended; never its result."""
        event = _EVENTS[end.ending]
        if not event.is_heard:
            return
        facts: dict[str, Any] = {**_named(claim), "seconds": round(end.seconds, 3)}
        if end.failure is not None:
            failure = end.failure
            facts |= {"reason": failure.reason.value, "error_class": failure.error_class}
        event.log(claim.about(), **facts)

    def get_current_job_id(self) -> str | None:
        """The id of a job in hand; read by dashboards it comes from Redis."""
        if self.shift is None:
            return super().get_current_job_id()
        performing = self.shift.stable.performing()
        return performing[0].job_id if performing else None

    def _report_abandoned(self, claim: Claim, end: Settlement) -> None:
        measure_abandoned(claim)
        if self.shift is not None:
            self.shift.errands.report_abandoned(claim, end)

    def save_meta(self, claim: Claim, meta: bytes) -> Claim:
        """Store what a running job saved about itself, where the job is; returns the claim with it:
        a retry, a letter and the other store are to have it, too."""
        try:
            if claim.store == RedisStore.name:
                key = self.job_class.key_for(claim.job_id)
                self.station.redis.link.call("HSET", key, "meta", meta)
            else:
                self.station.table.save_meta(claim, meta)
        except (StoreError, redis_errors.ResponseError) as error:
            events.META_NOT_SAVED.log(claim.about(), job_id=claim.job_id, cause=describe(error))
        return replace(claim, snapshot=claim.snapshot.changed({"meta": meta}))

    # ---- rq's keys -----------------------------------------------------------------------------

    def tend(self) -> Tending:
        """Keep this worker and what it executes alive in rq's keys, and move scheduled jobs that
        are due. Raises StoreError."""
        tending = self._tend()
        if tending.knows and self._is_registered:
            self._tell_shutdown()
            return tending
        self._register()  # also when Redis has lost its keys
        return replace(self._tend(), limited=tending.limited)

    def _tend(self) -> Tending:
        return self.station.redis.tend(
            self.claimant,
            [c for c in self.hand.claims.values() if c.store == RedisStore.name],
            state=as_bytes(self._shown_state),
            worker_ttl=self.worker_ttl + 60,
            queue_names=self.queue_names(),
        )

    def _tell_shutdown(self) -> None:
        if self._shutdown_requested_date is not None:
            moment = timestamp(self._shutdown_requested_date)
            self.station.redis.link.call("HSET", self.key, "shutdown_requested_date", moment)

    @property
    def _shown_state(self) -> str:
        is_held = self.station.redis.is_suspended and self._state != WorkerStatus.BUSY
        return WorkerStatus.SUSPENDED if is_held else self._state

    def clean_rq(self) -> None:
        """rq's own maintenance of its registries, each queue by one worker at a time."""
        try:
            self.clean_registries()
            self.clean_group_registries()
        except (redis_errors.ConnectionError, redis_errors.TimeoutError) as error:
            raise StoreRefused(error) from error

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Log where an attempt failed, and call the exception handlers."""
        events.JOB_FAILED.log(job_id=job.id, queue=job.origin, error=exc_info[1])
        super().handle_exception(job, *exc_info)

    def handle_job_failure(self, job: Job, queue: Queue, *args: Any, **kwargs: Any) -> None:
        """Bury a job that rq finds in a list of its own, popped long ago and never begun; not one
        that was put back since, or has even ended."""
        is_stuck = job.get_status() == JobStatus.QUEUED
        if is_stuck and self.connection.lpos(queue.key, job.id) is None:
            super().handle_job_failure(job, queue, *args, **kwargs)

    def _register(self) -> None:
        try:
            if not self._is_registered:
                super()._set_ip_address(self.connection)
            with self.connection.pipeline() as pipeline:
                pipeline.delete(self.key)
                self.last_heartbeat = now()
                pipeline.hset(self.key, mapping={**self.serialize(), OURS: "1"})
                worker_registration.register(self, pipeline)
                pipeline.expire(self.key, self.worker_ttl + 60)
                pipeline.execute()
        except (redis_errors.ConnectionError, redis_errors.TimeoutError) as error:
            raise StoreAmbiguous(error) from error
        self._is_registered = True

    def _sign_off(self) -> None:
        if self._is_registered:
            try:
                self.register_death()
            except (redis_errors.RedisError, OSError) as error:
                events.DEATH_NOT_REGISTERED.log(worker=self.name, cause=describe(error))

    def close_inherited(self) -> None:
        """In a horse, close its copies of this worker's sockets; the servers hear nothing."""
        self.station.redis.link.close_inherited()
        self.station.broker.link.close_inherited()
        if self.shift is not None:
            self.shift.waits.close_inherited()


def _named(claim: Claim) -> dict[str, Any]:
    return {"job_id": claim.job_id, "queue": claim.snapshot.queue_name}
