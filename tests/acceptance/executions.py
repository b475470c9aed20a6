"""What the ledger says of numbered jobs, and what the stores still hold of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django_resilient_queue.models import DeadLetter, FallbackJob, WorkerHeartbeat
from example_project.servers import RedisServer
from tests.acceptance.load import Load
from tests.conftest import Ledger, WaitUntil
from tests.jobs import record
from tests.patience import LIMIT


def modes() -> list[str]:
    """Where the workers claim from, as they say."""
    return list(WorkerHeartbeat.objects.values_list("mode", flat=True))


@dataclass
class Executions:
    """`executed` are numbers with an end in the ledger, `begun` what `record_slowly` began."""

    ledger: Ledger
    redis: RedisServer
    wait_until: WaitUntil

    @property
    def counts(self) -> Counter[int]:
        return Counter(int(line) for line in self.ledger.lines if line.isdigit())

    @property
    def executed(self) -> set[int]:
        return set(self.counts)

    @property
    def begun(self) -> Counter[int]:
        lines = self.ledger.lines
        return Counter(int(line.split()[1]) for line in lines if line.startswith("begin "))

    def load(
        self, *, jobs: int = 100, rate: float = 50.0, job: Callable[..., Any] = record
    ) -> Load:
        return Load(job, self.ledger.path, jobs=jobs, rate=rate)

    def wait_for(self, count: int, timeout: float = LIMIT) -> None:
        """Until so many different jobs were executed."""
        self.wait_until(lambda: len(self.executed) >= count, timeout=timeout)

    def assert_complete(self, load: Load, *, doubles: int = 0, letters: int = 0) -> None:
        """Nothing refused, nothing lost, nothing twice, and nothing left behind."""
        assert load.refused == []
        self.wait_until(partial(self._is_done, load))
        again = {number: count for number, count in self.counts.items() if count > 1}
        assert len(again) <= doubles, again
        assert DeadLetter.objects.count() == letters
        self.wait_until(lambda: not FallbackJob.objects.exists())
        with self.redis.client() as client:
            assert client.llen("rq:queue:default") == 0
            assert client.zcard("rq:wip:default") == 0

    def _is_done(self, load: Load) -> bool:
        missing = load.accepted - self.executed
        return len(missing) <= DeadLetter.objects.count()
