"""One moment of the demo, as the scoreboard shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from example_project.demo.ledger import Mail
from example_project.demo.load import Answer, Load
from example_project.demo.observer import Sight


@dataclass(frozen=True)
class Latency:
    """How long the shop needed to enqueue, in milliseconds."""

    p50: float
    p99: float
    worst: float

    @classmethod
    def of(cls, answers: Sequence[Answer]) -> Latency:
        times = sorted(answer.enqueue_ms for answer in answers if answer.number) or [0.0]
        return cls(_percentile(times, 50), _percentile(times, 99), times[-1])


@dataclass(frozen=True)
class Frame:
    """Everything that is counted, at one moment."""

    seconds: float  # since the first order
    redis: str
    orders: int
    accepted: int
    refused: int
    executed: Counter[str]  # by store
    latency: Latency
    sight: Sight

    @classmethod
    def of(
        cls, load: Load, mails: Sequence[Mail], sight: Sight, *, redis: str, now: float
    ) -> Frame:
        answers = load.answers()
        accepted = sum(answer.number is not None for answer in answers)
        return cls(
            seconds=now - load.started_at,
            redis=redis,
            orders=load.orders,
            accepted=accepted,
            refused=len(answers) - accepted,
            executed=Counter(mail.executed_from for mail in mails if mail.order),
            latency=Latency.of(answers),
            sight=sight,
        )

    @property
    def answered(self) -> int:
        return self.accepted + self.refused

    @property
    def circuit(self) -> str:
        return "open" if self.sight.outage_open else "closed"

    @property
    def outbox(self) -> str:
        """Rows by state, in words."""
        return (
            ", ".join(f"{count} {state}" for state, count in sorted(self.sight.outbox.items()))
            or "empty"
        )


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
