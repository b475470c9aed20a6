"""What a project may put in the place of rq's and of our classes."""

from __future__ import annotations

import errno
import os
import time
from typing import Any

from rq.job import Job
from rq.worker import DequeueStrategy

from django_resilient_queue.worker import ResilientWorker, errands
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


def fail_to_note_killed(job: Job, pid: int, status: int, usage: object) -> None:
    note_killed(job, pid, status, usage)
    raise SystemExit(1)


def note_killed_for_ever(job: Job, pid: int, status: int, usage: object) -> None:
    note_killed(job, pid, status, usage)
    while True:
        time.sleep(60)


class WithRaisingKilledHandler(ResilientWorker):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, work_horse_killed_handler=fail_to_note_killed, **kwargs)


class WithHangingKilledHandler(ResilientWorker):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, work_horse_killed_handler=note_killed_for_ever, **kwargs)
        errands._LONGEST = 1.0


class WithFewProcesses(WithKilledHandler):
    """The first fork, for a horse, fails as on a machine that is full; so does the third, by which
    the worker tells of the death of the horse that it had by then."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fork, self.forks = os.fork, 0

        def fork_if_there_is_room() -> int:
            self.forks += 1
            if self.forks in (1, 3):
                raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
            return fork()

        os.fork = fork_if_there_is_room


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
