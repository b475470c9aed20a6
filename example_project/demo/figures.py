"""The figures that the demo ends with, and whether they are good enough."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from example_project.demo.frame import Latency
from example_project.demo.ledger import Mail
from example_project.demo.load import Answer


@dataclass(frozen=True)
class Figures:
    """What became of the orders. Times are in seconds unless the name says milliseconds."""

    orders_wanted: int
    orders_placed: int
    orders_refused: int
    refusals: list[str]
    mails_delivered: int
    dead_letters: int
    lost: int
    lost_orders: list[str]
    doubled: int
    executed_from: dict[str, int]
    enqueue_ms_p50: float
    enqueue_ms_p99: float
    enqueue_ms_slowest: float
    longest_without_execution: float
    healthy_after: float | None
    outbox_rows_left: int

    @property
    def problems(self) -> list[str]:
        """Why the demo failed, if it did; a double is shown and is no failure (at least once)."""
        found = [
            (self.orders_placed < self.orders_wanted, "not every order was placed"),
            (self.orders_refused > 0, f"{self.orders_refused} orders were refused"),
            (self.lost > 0, f"{self.lost} mails are lost: {', '.join(self.lost_orders[:5])}"),
            (self.dead_letters > 0, f"{self.dead_letters} mails ended as a dead letter"),
            (self.healthy_after is None, "the queue did not return to Redis in time"),
        ]
        return [text for holds, text in found if holds]

    @property
    def exit_code(self) -> int:
        return 1 if self.problems else 0

    def write(self, path: Path) -> None:
        content = {**asdict(self), "problems": self.problems, "ok": not self.problems}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Outcome:
    """What the play left behind, still uncounted."""

    wanted: int
    answers: Sequence[Answer]
    mails: Sequence[Mail]
    placed: set[str]
    dead: set[str]
    started_at: float
    ended_at: float
    healthy_after: float | None
    outbox_rows_left: int

    def count(self) -> Figures:
        copies = Counter(mail.order for mail in self.mails if mail.order)
        lost = sorted(self.placed - copies.keys() - self.dead)
        refusals = [answer.cause for answer in self.answers if answer.number is None]
        latency = Latency.of(self.answers)
        return Figures(
            orders_wanted=self.wanted,
            orders_placed=len(self.placed),
            orders_refused=len(refusals),
            refusals=sorted(set(refusals)),
            mails_delivered=len(self.placed & copies.keys()),
            dead_letters=len(self.dead - copies.keys()),
            lost=len(lost),
            lost_orders=lost[:20],
            doubled=sum(count > 1 for count in copies.values()),
            executed_from=dict(Counter(mail.executed_from for mail in self.mails if mail.order)),
            enqueue_ms_p50=latency.p50,
            enqueue_ms_p99=latency.p99,
            enqueue_ms_slowest=latency.worst,
            longest_without_execution=self._longest_gap(until_the_end=bool(lost)),
            healthy_after=self.healthy_after,
            outbox_rows_left=self.outbox_rows_left,
        )

    def _longest_gap(self, *, until_the_end: bool) -> float:
        """Between neighbours among the mails, the start and, when a mail is missing, the end."""
        moments = [self.started_at, *(mail.at for mail in self.mails if mail.order)]
        if until_the_end:
            moments.append(self.ended_at)
        return round(max((b - a for a, b in pairwise(moments)), default=0.0), 3)
