"""Workers without a loop: a test makes each of their moves, and so chooses the interleaving."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.utils import timezone
from pytest_django import Settings
from redis import Redis
from rq.job import Job

from django_resilient_queue import get_queue
from django_resilient_queue.models import DeadLetter, FallbackJob, WorkerHeartbeat
from django_resilient_queue.outcomes import Attempt, Failure, Reason, Settlement, fail, finish
from django_resilient_queue.recovery.station import Station, Suspicions
from django_resilient_queue.stores.base import Claim
from django_resilient_queue.stores.brokers import Broker, broker_of
from django_resilient_queue.stores.links import link_to
from django_resilient_queue.worker import ResilientWorker
from django_resilient_queue.worker.horse import Horse
from django_resilient_queue.worker.shift import Shift
from example_project.servers import RedisServer
from example_project.servers.ports import LOCALHOST, ReservedPort
from tests.enqueueing import database_away
from tests.jobs import succeed
from tests.patience import LIMIT

QUEUE = "default"
QUICK = {"LEASE": 10, "HEARTBEAT_INTERVAL": 1, "PROBE_INTERVAL": 1}


class Clock:
    """Stands for the machine's boot-time clock; it moves only when a test moves it."""

    def __init__(self) -> None:
        self.now = 10_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class DrivenWorker:
    """One worker of the package, real in every part but its loop and its horse."""

    def __init__(self, name: str, clock: Clock) -> None:
        queue = get_queue(QUEUE)
        self.name = name
        self.worker = ResilientWorker([queue], connection=queue.connection, name=name)
        self.station: Station = self.worker.station
        self.station.watch.clock = clock
        self.station.suspicions = Suspicions(clock)
        self.shift = Shift(self.worker, burst=True, max_jobs=None, max_idle_time=None)
        self.hand, self.modes = self.shift.hand, self.shift.modes
        self.settling, self.redis, self.table = (
            self.shift.settling,
            self.station.redis,
            self.station.table,
        )
        self._nowhere = ReservedPort()
        self._link = self.redis.link

    # ---- what its loop would do ----------------------------------------------------------------

    @property
    def claims_from(self) -> str:
        """Which store, if any."""
        if self.modes.uses_redis:
            return "redis"
        return "database" if self.modes.uses_database else "neither"

    def come_home(self) -> bool:
        """Starts, or returns to Redis."""
        return self.modes.come_home()

    def lose_redis(self) -> None:
        """Finds, at its start or at its next command, that it can't reach Redis."""
        self.cut_from_redis()
        if self.modes.uses_redis:
            assert self.claim() is None
        else:
            self.modes.come_home()
        assert self.claims_from == "database"

    def beat(self) -> None:
        """Writes its heartbeat and looks at those of the others, as `Modes.tick` does."""
        self.modes._beat()
        if self.modes.database_is_here:
            self.station.watch.look()

    def claim(self) -> Claim | None:
        """Claims one job from the store of its mode."""
        claims = self.shift.supply.claim()
        return claims[0] if claims else None

    def take(self) -> Claim:
        """Claims the one job that is surely there."""
        claim = self.claim()
        assert claim is not None
        return claim

    def hand_over(self) -> list[Claim]:
        """Gives what waits to horses that take everything; returns what they got."""
        handed: list[Claim] = []

        def take_all(waiting: list[Claim]) -> list[tuple[Horse, Claim]]:
            handed.extend(waiting)
            waiting.clear()
            return []

        self.shift.stable.hand_over = take_all  # type: ignore[method-assign]
        self.shift.supply.hand_over()
        return handed

    def end(self, claim: Claim, settlement: Settlement | None = None) -> None:
        """Its horse reports how the job ended, by default well; no store knows."""
        self.shift.end(claim, settlement or finished(claim, self.name))

    def settle(self) -> None:
        """Tells the stores what it can."""
        self.shift._settle()

    # ---- what happens to it --------------------------------------------------------------------

    def cut_from_redis(self) -> None:
        """This worker alone: Redis runs on for the others."""
        nowhere = Redis(host=LOCALHOST, port=self._nowhere.number)
        self.redis.link = link_to(nowhere, timeout=1)

    def return_to_redis(self) -> None:
        """Reaches it again, and comes home."""
        self.redis.link = self._link
        assert self.come_home()

    def go_through(self, port: int) -> None:
        """Reaches Redis by way of a proxy."""
        self._link = self.redis.link = link_to(Redis(host=LOCALHOST, port=port), timeout=LIMIT)

    @contextmanager
    def cut_from_database(self, settings: Settings) -> Iterator[None]:
        """This worker alone: the database runs on for the others."""
        alias, watch, everyone = self.table.alias, self.station.watch, settings.RESILIENT_QUEUE
        with database_away(settings):
            away, settings.RESILIENT_QUEUE = settings.RESILIENT_QUEUE["DATABASE"], everyone
            self.table.alias = watch.alias = away
            try:
                yield
            finally:
                self.table.alias = watch.alias = alias

    def close(self) -> None:
        for horse in list(self.shift.stable.horses):
            horse.bury()
            self.shift.stable.remove(horse)
        self.shift.waits.close()
        self._link.pool.disconnect()
        self.redis.link.pool.disconnect()
        self._nowhere.release()


# ---- how a job ends ------------------------------------------------------------------------------


def finished(claim: Claim, worker_name: str) -> Settlement:
    return finish(claim.snapshot, _attempt(claim, worker_name), return_value=None, default_ttl=500)


def failed(claim: Claim, worker_name: str) -> Settlement:
    """A retry while one is left, else its death."""
    failure = Failure(Reason.RAISED, "ValueError", "on purpose", "ValueError: on purpose")
    return fail(claim.snapshot, _attempt(claim, worker_name), failure)


def _attempt(claim: Claim, worker_name: str) -> Attempt:
    now: datetime = timezone.now()
    return Attempt(worker_name, claim.token, now, now)


# ---- jobs and what the stores know of them -------------------------------------------------------


def enqueue(job_id: str = "job", **options: Any) -> Job:
    """Through the front door."""
    return get_queue(QUEUE).enqueue(succeed, 1, job_id=job_id, **options)


def producer() -> Broker:
    """The Redis of this process as its producers see it."""
    return broker_of(get_queue(QUEUE).connection)


def row(job_id: str = "job") -> FallbackJob:
    return FallbackJob.objects.get(job_id=job_id)


def state(job_id: str = "job") -> str:
    """The state of a row, or that there is none."""
    found = FallbackJob.objects.filter(job_id=job_id).values_list("state", flat=True).first()
    return found or "no row"


def letters() -> list[str]:
    return list(DeadLetter.objects.order_by("pk").values_list("job_id", flat=True))


def look_now(*job_ids: str) -> None:
    """Brings the time at which reconcile looks at rows."""
    FallbackJob.objects.filter(job_id__in=job_ids or ["job"]).update(check_at=timezone.now())


def announced_mode(worker: DrivenWorker) -> str:
    """What a worker's row says to the others, as far as it is committed."""
    rows = WorkerHeartbeat.objects.filter(name=worker.name)
    return rows.values_list("mode", flat=True).first() or "no row"


class Keys:
    """What Redis itself holds, read past the package."""

    def __init__(self, redis: Redis) -> None:
        self.redis: Any = redis  # its types tell neither bytes from text nor sync from async

    def queued(self) -> list[str]:
        """The ids in the list."""
        return [each.decode() for each in self.redis.lrange(f"rq:queue:{QUEUE}", 0, -1)]

    def started(self) -> list[str]:
        """The ids in the started registry."""
        return [each.decode().split(":")[0] for each in self.redis.zrange(f"rq:wip:{QUEUE}", 0, -1)]

    def has(self, job_id: str = "job") -> bool:
        return bool(self.redis.exists(f"rq:job:{job_id}"))

    def field(self, name: str, job_id: str = "job") -> str:
        return (self.redis.hget(f"rq:job:{job_id}", name) or b"").decode()

    def settled(self) -> list[str]:
        return [each.decode().split(":")[0] for each in self.redis.zrange("drq:settled", 0, -1)]

    def unprotected(self) -> set[str]:
        return {each.decode() for each in self.redis.smembers("drq:unprotected")}


@contextmanager
def redis_away(server: RedisServer) -> Iterator[None]:
    """Redis refuses every connection; afterwards it is back, and empty."""
    server.kill()
    try:
        yield
    finally:
        server.start()
