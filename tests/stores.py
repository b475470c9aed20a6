"""Both stores behind one face, for the suite that holds them to one contract."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone
from redis import Redis
from rq import Retry
from rq.job import Job
from rq.queue import Queue

from django_resilient_queue import get_job
from django_resilient_queue.job_info import JobInfo
from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.models import DeadLetter, FallbackJob
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.outcomes import (
    Attempt,
    Failure,
    Reason,
    ReturnedRetry,
    Settlement,
    fail,
    finish,
    retry_returned,
    stop,
)
from django_resilient_queue.stores.base import Claim, Claimant, Store, Verdict
from django_resilient_queue.stores.database import DatabaseStore
from django_resilient_queue.stores.links import link_to
from django_resilient_queue.stores.pushes import BACK, FRONT, Push
from django_resilient_queue.stores.redis import RedisStore
from django_resilient_queue.stores.rows import Entry
from example_project.servers import RedisServer
from tests.jobs import succeed
from tests.patience import LIMIT

STORES = ("redis", "database")
QUEUES = ("critical", "high", "default", "low")
RAISED = Failure(Reason.RAISED, "builtins.ValueError", "no", "Traceback\nValueError: no")


def snapshot(job_id: str, queue_name: str = "default", **options: Any) -> JobSnapshot:
    """A job as a producer hands it to a store."""
    queue = Queue(queue_name, connection=Redis(port=1))
    job = queue.create_job(succeed, args=(job_id,), job_id=job_id, **options)
    job.enqueued_at = datetime.now(UTC)
    return JobSnapshot.of(job, queue_name=queue_name)


class Worker:
    """One that claims from a store, and how its jobs end."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.claimant = Claimant(name, lease=10)

    def claim(self, *queue_names: str, limit: int = 10) -> list[Claim]:
        return self.store.claim(self.claimant, queue_names or ("default",), limit)

    def take(self) -> Claim:
        """The one job that is there."""
        (claim,) = self.claim()
        return claim

    def renew(self, *claims: Claim) -> set[str]:
        return self.store.renew(self.claimant, claims)

    def attempt(self, claim: Claim) -> Attempt:
        now = timezone.now()
        return Attempt(self.claimant.name, claim.token, now - timedelta(seconds=1), now)

    def finished(self, claim: Claim) -> Settlement:
        return finish(claim.snapshot, self.attempt(claim), return_value=b"N.", default_ttl=500)

    def failed(self, claim: Claim) -> Settlement:
        return fail(claim.snapshot, self.attempt(claim), RAISED)

    def settle_all(self, ends: Sequence[tuple[Claim, Settlement]]) -> dict[str, Verdict]:
        """Settles a batch; what the store says of each job."""
        if isinstance(self.store, RedisStore):
            verdicts = zip(ends, self.store.settle_all(ends), strict=True)
            return {claim.job_id: verdict for (claim, _), verdict in verdicts}
        assert isinstance(self.store, DatabaseStore)
        return {end[0].job_id: verdict for end, verdict in self.store.settle_all(ends)}

    def stopped(self, claim: Claim) -> Settlement:
        return stop(claim.snapshot, self.attempt(claim))

    def returned_retry(self, claim: Claim, *, maximum: int, interval: int = 0) -> Settlement:
        retry = ReturnedRetry(maximum, [interval], at_front=False, pickled=b"N.")
        return retry_returned(claim.snapshot, self.attempt(claim), retry)


class Bench:
    """One store, what a test puts into it, and what an operator sees of it."""

    name: str

    def worker(self, name: str) -> Worker:
        raise NotImplementedError

    def put(self, job_id: str, *args: Any, at_front: bool = False, **options: Any) -> JobSnapshot:
        """A job that waits in this store, and in no other."""
        raise NotImplementedError

    def make_due(self, job_id: str) -> None:
        """As if the time had passed that a job waits for."""
        raise NotImplementedError

    def outlive(self, job_id: str) -> None:
        """As if more than the job's time to live had passed."""
        raise NotImplementedError

    def spoil(self, job_id: str) -> None:
        """Makes of a waiting job something that can't be read."""
        raise NotImplementedError

    def follow(self, claim: Claim, settlement: Settlement) -> None:
        """What a worker does after this store has recorded an end."""

    def put_all(self, job_ids: Iterable[str], *args: Any, **options: Any) -> None:
        for job_id in job_ids:
            self.put(job_id, *args, **options)

    def look(self, job_id: str) -> JobInfo:
        found = get_job(job_id)
        assert found is not None
        return found

    def state(self, job_id: str) -> str:
        found = get_job(job_id)
        return str(found.state) if found is not None else "unknown"


class RedisBench(Bench):
    """rq's keys, with no row in the database."""

    name = "redis"

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.client = server.client()
        self.epoch = "epoch"
        self.client.set("drq:epoch", self.epoch)
        self.store = self._store()

    def worker(self, name: str) -> Worker:
        store = self._store()
        store.epoch = self.epoch
        return Worker(store, name)

    def put(self, job_id: str, *args: Any, at_front: bool = False, **options: Any) -> JobSnapshot:
        job = snapshot(job_id, *args, **options)
        push = Push(job, place=FRONT if at_front else BACK)
        (answer,) = self.store.push([push], epoch="", deadline=time.time() + 600)
        assert answer.word == "pushed"
        return job

    def make_due(self, job_id: str) -> None:
        self.client.zadd("rq:scheduled:default", {job_id: time.time() - 1}, xx=True)
        self.store.tend(Claimant("scheduler", lease=10), queue_names=QUEUES)

    def outlive(self, job_id: str) -> None:
        assert self.client.ttl(Job.key_for(job_id)) > 0
        self.client.pexpire(Job.key_for(job_id), 1)
        while self.client.exists(Job.key_for(job_id)):
            pass

    def spoil(self, job_id: str) -> None:
        self.client.delete(Job.key_for(job_id))

    def follow(self, claim: Claim, settlement: Settlement) -> None:
        DatabaseStore().ends.follow([(claim, settlement)])

    def _store(self) -> RedisStore:
        return RedisStore(link_to(self.client, timeout=LIMIT))


class DatabaseBench(Bench):
    """Rows, with no copy in Redis."""

    name = "database"

    def worker(self, name: str) -> Worker:
        return Worker(DatabaseStore(broker="b"), name)

    def put(self, job_id: str, *args: Any, at_front: bool = False, **options: Any) -> JobSnapshot:
        job = snapshot(job_id, *args, **options)
        DatabaseStore().insert(Entry(job, State.READY, at_front=at_front))
        return job

    def make_due(self, job_id: str) -> None:
        FallbackJob.objects.filter(job_id=job_id).update(due_at=timezone.now())

    def outlive(self, job_id: str) -> None:
        long_ago = timezone.now() - timedelta(days=1)
        FallbackJob.objects.filter(job_id=job_id).update(created_at=long_ago)

    def spoil(self, job_id: str) -> None:
        FallbackJob.objects.filter(job_id=job_id).update(payload=b"1" + b"x" * 60)


def bench_of(name: str, server: RedisServer) -> Bench:
    return RedisBench(server) if name == "redis" else DatabaseBench()


def letters() -> list[tuple[str, str]]:
    """The dead letters: job id and reason."""
    return list(DeadLetter.objects.order_by("pk").values_list("job_id", "reason"))


def ids(claims: Iterable[Claim]) -> list[str]:
    """The jobs of claims, in their order."""
    return [claim.job_id for claim in claims]


def taken_over(bench: Bench) -> tuple[Worker, Claim, Worker, Claim]:
    """A job that one worker lost to another, which now executes it."""
    bench.put("a", retry=Retry(max=3))
    late, other = bench.worker("late"), bench.worker("other")
    claim = late.take()
    assert other.store.release(claim)
    return late, claim, other, other.take()


def as_of(claim: Claim, **changes: Any) -> Claim:
    """The same claim, as a worker that remembers something else would present it."""
    return replace(claim, **changes)
