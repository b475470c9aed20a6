"""Charts: their series as the script takes them, and what each shows in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import ngettext

from django_resilient_queue.facts.history import History, Series, Span

from ..amounts import number
from .snapshot import Snapshot

LETTERS = "letters"
"""The name of the chart of dead letters."""
SPAN_WORDS = {"hour": lazy("hour"), "day": lazy("day"), "week": lazy("week")}


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: ``series`` are labels with values, one for each of the history's times."""

    name: str
    title: str
    unit: str
    summary: str
    series: Sequence[tuple[str, Series]]


def charts(found: History | None, without: str = "") -> list[Chart]:
    """Return the charts but the one of that name; without a history they are empty, and say so."""
    history = found or History((), [], [], [], [], [], [], (0, 0))
    made = [_chart(maker, history, is_known=found is not None) for maker in _MAKERS]
    return [chart for chart in made if chart.name != without]


def version(snapshot: Snapshot) -> str:
    """Return what differs when charts are to be drawn again: there is another sample, an outage
    began or ended, or it is another minute."""
    outages = snapshot.tables.outages or ()
    newest = [f"{each.pk} {each.ended_at}" for each in outages[:1]]
    now = snapshot.report.checked_at
    return ", ".join([f"{now:%H:%M}", str(snapshot.tables.sampled_at), *newest])


def as_json(
    found: History | None, snapshot: Snapshot, span: Span, without: str = ""
) -> dict[str, Any]:
    """Return what the script draws: times in seconds since 1970, outages as pairs of them."""
    now, outages = snapshot.report.checked_at, snapshot.tables.outages or ()
    return {
        "times": list(found.times) if found else [],
        "from": (now - span.length).timestamp(),
        "until": now.timestamp(),
        "outages": [
            [each.started_at.timestamp(), (each.ended_at or now).timestamp()] for each in outages
        ],
        "charts": [
            {
                "name": chart.name,
                "summary": chart.summary,
                "series": [{"label": label, "values": values} for label, values in chart.series],
            }
            for chart in charts(found, without)
        ],
    }


def _chart(maker: Callable[[History], Chart], history: History, *, is_known: bool) -> Chart:
    chart = maker(history)
    if any(value is not None for _label, values in chart.series for value in values):
        return chart
    words = _("Nothing is known yet: a worker notes it once a minute.")
    if not is_known:
        words = _("The database did not say in time.")
    return Chart(chart.name, chart.title, chart.unit, words, chart.series)


def _throughput(history: History) -> Chart:
    both = [
        (some or 0) + (more or 0)
        for some, more in zip(history.from_redis, history.from_database, strict=True)
        if some is not None or more is not None
    ]
    redis, database = history.performed
    words = ngettext(
        "%(all)s attempt, %(database)s from the database; at most %(most)s a minute.",
        "%(all)s attempts, %(database)s of them from the database; at most %(most)s a minute.",
        redis + database,
    )
    return Chart(
        "throughput",
        _("Throughput"),
        _("a minute"),
        words
        % {
            "all": number(redis + database),
            "database": number(database),
            "most": number(max(both, default=0)),
        },
        [(_("from Redis"), history.from_redis), (_("from the database"), history.from_database)],
    )


def _latency(history: History) -> Chart:
    p50, p99 = _milliseconds(history.p50), _milliseconds(history.p99)
    words = _(
        "Half of the enqueues took at most %(half)s ms of late; 99 of 100 took at most %(most)s ms"
        " when they were slowest."
    )
    return Chart(
        "latency",
        _("Enqueue latency"),
        _("ms"),
        words % {"half": number(_last(p50), 1), "most": number(_most(p99), 1)},
        [("p50", p50), ("p99", p99)],
    )


def _depth(history: History) -> Chart:
    now = _last(history.waiting)
    words = ngettext(
        "%(now)s job waits; at most %(most)s did.",
        "%(now)s jobs wait; at most %(most)s did.",
        int(now),
    )
    return Chart(
        "depth",
        _("Queue depth"),
        _("jobs"),
        words % {"now": number(now), "most": number(_most(history.waiting))},
        [(_("waiting"), history.waiting)],
    )


def _letters(history: History) -> Chart:
    known = [value for value in history.dead if value is not None]
    words = ngettext(
        "%(now)s dead letter; %(before)s at the beginning.",
        "%(now)s dead letters; %(before)s at the beginning.",
        int(_last(known) or 0),
    )
    return Chart(
        LETTERS,
        _("Dead letters"),
        "",
        words % {"now": number(_last(known)), "before": number(known[0] if known else 0)},
        [(_("dead letters"), history.dead)],
    )


_MAKERS = (_throughput, _latency, _depth, _letters)


def _milliseconds(values: Series) -> Series:
    return [None if value is None else round(value * 1000, 3) for value in values]


def _last(values: Sequence[float | None]) -> float:
    return next((value for value in reversed(values) if value is not None), 0)


def _most(values: Sequence[float | None]) -> float:
    return max((value for value in values if value is not None), default=0)
