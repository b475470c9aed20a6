"""What a housekeeper works with: both stores of one Redis, as one worker sees them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from django_rq.connection_utils import get_connection
from django_rq.queues import get_queue_class
from django_rq.settings import get_queues_list
from rq.job import Job

from ..jobs import JobSnapshot
from ..outcomes import Settlement
from ..queues import ResilientQueue
from ..stores.base import Claim, boottime
from ..stores.brokers import Broker
from ..stores.database import DatabaseStore
from ..stores.links import address_of
from ..stores.pushes import Answer, Push, PushRefused
from ..stores.redis import RedisStore
from ..stores.watch import Watch


@dataclass
class Station:
    """One worker's view. ``in_hand`` answers the ids of the jobs that it has in hand right now,
    ``on_abandoned`` hears of a job that died with its workers."""

    name: str
    broker: Broker
    redis: RedisStore
    table: DatabaseStore
    watch: Watch
    job_class: type[Job]
    in_hand: Callable[[], Collection[str]]
    on_abandoned: Callable[[Claim, Settlement], None] = lambda claim, end: None
    suspicions: Suspicions = field(default_factory=lambda: Suspicions())
    evicts: bool = False  # Redis may drop keys of its own accord when its memory is full
    _known: tuple[list[dict[str, Any]], list[str]] = field(default_factory=lambda: ([], []))

    @property
    def queue_names(self) -> list[str]:
        """All queues that this Redis serves, whether this worker listens to them or not."""
        # Asked many times a second, and each address takes a client object to find out.
        configs = get_queues_list()
        if configs != self._known[0]:
            mine = [c["name"] for c in configs if _address(c["name"]) == self.broker.address]
            self._known = (configs, mine)
        return self._known[1]

    def queue(self, name: str) -> ResilientQueue:
        """Make the queue of a name over the worker's own connection."""
        config = next((c for c in get_queues_list() if c["name"] == name), None)
        options = config["connection_config"] if config else {}
        chosen = get_queue_class(options)
        kind = chosen if issubclass(chosen, ResilientQueue) else ResilientQueue
        return kind(
            name,
            connection=self.redis.link.client,
            job_class=self.job_class,
            serializer=options.get("SERIALIZER"),
        )

    def push(self, pushes: list[Push]) -> list[Any]:
        """Push jobs to Redis; an Answer or an error in each place."""
        answers = self.redis.push(pushes, epoch=self.redis.epoch, deadline=self.broker.deadline())
        return [_refusal(answer) or answer for answer in answers]

    def push_by_rq(self, snapshot: JobSnapshot, push: Push) -> Answer:
        """Push a job that waits for others or for a rate limit."""
        queue = self.queue(snapshot.queue_name)
        job = snapshot.to_job(self.job_class, queue.connection, queue.serializer)
        answer = queue.push_by_rq(job, push)
        refusal = _refusal(answer)
        if refusal is not None:
            raise refusal
        return answer

    def is_held(self, job_id: str) -> bool:
        """Tell whether a live worker, this one included, has the job in hand."""
        return job_id in self.in_hand() or self.watch.is_held(job_id)


@dataclass
class Suspicions:
    """When something first looked wrong: it is acted upon only when it still does, later."""

    clock: Callable[[], float] = boottime
    marks: dict[Any, float] = field(default_factory=dict)

    def mark(self, key: Any) -> float:
        """Return when *key* was first marked, marking it now if it was not."""
        return self.marks.setdefault(key, self.clock())

    def clear(self, key: Any) -> None:
        """Take a mark back."""
        self.marks.pop(key, None)

    def forget_older(self, seconds: float) -> None:
        """Drop marks that nothing came back to, so that the table of marks stays small."""
        oldest = self.clock() - seconds
        self.marks = {key: at for key, at in self.marks.items() if at > oldest}


def _refusal(answer: Any) -> PushRefused | None:
    """Turn words that ask a worker to come home again into the error that makes it do so."""
    if isinstance(answer, Answer) and answer.word in ("epoch", "expired"):
        return PushRefused(ConnectionError(f"the push was refused: {answer.word}"))
    return None


def _address(queue_name: str) -> str:
    return address_of(get_connection(queue_name))
