"""What a project may put in the place of rq's and of our classes."""

from __future__ import annotations

import os
from typing import Any

from rq.job import Job
from rq.worker import DequeueStrategy

from django_resilient_queue.worker import ResilientWorker
from tests.jobs import record


class LoudJob(Job):
    """Has keys of its own, and says when it is performed: its first argument is the ledger."""

    redis_job_namespace_prefix = "shop:job:"

    def perform(self) -> Any:
        record(self.args[0], "loud")
        return super().perform()


class LouderJob(Job):
    """With rq's own keys."""

    def perform(self) -> Any:
        record(self.args[0], "louder")
        return super().perform()


def note_killed(job: Job, pid: int, status: int, usage: object) -> None:
    record(job.args[0], f"killed by signal {os.WTERMSIG(status)}")


class WithKilledHandler(ResilientWorker):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, work_horse_killed_handler=note_killed, **kwargs)


class RoundRobin(ResilientWorker):
    """A project's own command would pass the strategy; `rqworker` has no option for it."""

    def work(self, *args: Any, **kwargs: Any) -> bool:
        return super().work(*args, **kwargs | {"dequeue_strategy": DequeueStrategy.ROUND_ROBIN})


class Random(ResilientWorker):
    def work(self, *args: Any, **kwargs: Any) -> bool:
        return super().work(*args, **kwargs | {"dequeue_strategy": DequeueStrategy.RANDOM})


class LastFirst(ResilientWorker):
    """As rq's own RoundRobinWorker: reorders by a method."""

    def reorder_queues(self, reference_queue: Any) -> None:
        self._ordered_queues = self._ordered_queues[::-1]
