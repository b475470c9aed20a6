"""What one run came to, taken from the ledger, and what of it is worse than the targets allow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.harness.ledger import Execution, Ledger, Submit
from benchmarks.harness.rows import Row
from benchmarks.harness.stage import Stage

P99, SLOWEST = 100.0, 500.0  # milliseconds of a submit within the fault
DRAIN = 10.0  # seconds
_MARGIN = 1.0  # a submit that begins just after both stores are back may still meet the old state
_AFTERMATH = 0.5  # a kill so shortly after the end line may come before the settle


@dataclass(frozen=True)
class Latency:
    """Milliseconds."""

    p50: float
    p99: float
    slowest: float

    @classmethod
    def of(cls, submits: Iterable[Submit]) -> Latency:
        values = sorted(submit.milliseconds for submit in submits) or [0.0]
        last = len(values) - 1
        return cls(values[last // 2], values[round(last * 0.99)], values[-1])


@dataclass
class Figures:
    """`gap` is the longest time without a start while an accepted job had not been started;
    `executed` is the part of the jobs accepted in the fault that was executed in it.
    """

    accepted: int
    refused: int
    refused_needlessly: int
    lost: list[int]
    doubled: list[int]
    doubled_whole: list[int]
    gap: float
    gap_at: float
    overall: Latency
    in_fault: Latency
    executed: float
    drained: float
    left: str
    exits: list[str]
    letters: int
    tracebacks: int
    problems: list[str] = field(default_factory=list)

    def dump(self) -> dict[str, Any]:
        return asdict(self)


def measure(stage: Stage, row: Row) -> Figures:
    """Called when nothing moves any more."""
    ledger = stage.ledger
    lost = sorted(stage.missing())
    submits = [*ledger.accepted.values(), *ledger.refused.values()]
    gap, gap_at = _gap(ledger)
    drained, left = _drained(stage)
    figures = Figures(
        accepted=len(ledger.accepted),
        refused=len(ledger.refused),
        refused_needlessly=sum(not _is_within(s, stage.both_down) for s in ledger.refused.values()),
        lost=lost,
        doubled=[
            n for n, e in ledger.executions.items() if sum(x.ended is not None for x in e) > 1
        ],
        doubled_whole=_doubled_whole(stage),
        gap=gap,
        gap_at=gap_at - stage.began_at,
        overall=Latency.of(submits),
        in_fault=Latency.of(s for s in submits if _is_within(s, stage.windows, margin=0)),
        executed=_executed(stage),
        drained=drained,
        left=left,
        exits=stage.workers.exits,
        letters=len(stage.letters()),
        tracebacks=stage.workers.logs.count("Traceback (most recent call last)"),
    )
    figures.problems = list(_problems(figures, row))
    return figures


def _problems(figures: Figures, row: Row) -> Iterable[str]:
    limits = {
        "refused": (figures.refused_needlessly, 0),
        "lost": (len(figures.lost), 0),
        "doubled": (len(figures.doubled), row.doubles),
        "doubled whole": (len(figures.doubled_whole), row.doubles if row.options else 0),
        "p99 ms": (figures.in_fault.p99, P99),
        "max ms": (figures.in_fault.slowest, SLOWEST),
        "gap s": (figures.gap, row.gap),
        "drained s": (figures.drained, DRAIN),
        "exits": (len(figures.exits), 0),
        "letters": (figures.letters, row.letters),
    }
    for name, (value, limit) in limits.items():
        if value > limit:
            yield f"{name} {value:.4g} > {limit:g}"
    if figures.left:
        yield f"left {figures.left}"


def _is_within(
    submit: Submit, windows: Iterable[tuple[float, float]], *, margin: float = _MARGIN
) -> bool:
    return any(a <= submit.answered and submit.asked <= b + margin for a, b in windows)


def _doubled_whole(stage: Stage) -> list[int]:
    """Executed again though an execution had ended and its worker had not been killed."""
    cut = [(kill.at, abs(kill.worker)) for kill in stage.workers.kills]

    def was_cut(execution: Execution) -> bool:
        if execution.ended is None:
            return True
        ended = execution.ended
        return any(
            worker == execution.worker and execution.started < at < ended + _AFTERMATH
            for at, worker in cut
        )

    return [
        number
        for number, executions in stage.ledger.executions.items()
        if len(executions) > 1 and sum(not was_cut(each) for each in executions) > 1
    ]


def _gap(ledger: Ledger) -> tuple[float, float]:
    """The longest time, and when it began."""
    firsts = {n: min(e.started for e in each) for n, each in ledger.executions.items() if each}
    events = [(start, -1) for n, start in firsts.items() if n in ledger.accepted]
    # A job may start before its producer has the answer: it is available from then on.
    events += [
        (min(s.answered, firsts.get(n, s.answered)), 1)
        for n, s in ledger.accepted.items()
        if n in firsts
    ]
    longest, began, waiting, since = 0.0, 0.0, 0, 0.0
    for at, change in sorted(events, key=lambda event: (event[0], -event[1])):
        if change > 0 and waiting == 0:
            since = at
        elif change < 0:
            if at - since > longest:
                longest, began = at - since, since
            since = at
        waiting += change
    return longest, began


def _executed(stage: Stage) -> float:
    """Executions that ended within the fault, for each job accepted within it."""
    ends = [e.ended for each in stage.ledger.executions.values() for e in each if e.ended]
    accepted = [submit.answered for submit in stage.ledger.accepted.values()]

    def within(times: list[float]) -> int:
        return sum(any(a <= time <= b for a, b in stage.windows) for time in times)

    return within(ends) / (within(accepted) or 1)


def _drained(stage: Stage) -> tuple[float, str]:
    """Seconds from the end of the fault until every job accepted before it had ended.

    Without those that were cut in half: they are under a lease.
    """
    if not stage.windows:
        return 0.0, stage.left
    over = max(end for _, end in stage.windows)
    late = [
        min(e.ended for e in stage.ledger.executions[n] if e.ended is not None) - over
        for n, submit in stage.ledger.accepted.items()
        if submit.answered < over and n in stage.ledger.ended
        if all(each.ended is not None for each in stage.ledger.executions[n])
    ]
    return max(0.0, *late, stage.settled_at - over), stage.left
