"""The collector: what the stores have answered, as Prometheus takes it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias, cast

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from ..breaker import CircuitState
from ..conf import settings
from ..facts import Histogram, QueueCounts, Sightings
from ..health import BOUND
from ..meter import OTHER, Key, Kind, Sums, label_of
from ..models.paused_queue import ALL
from .answers import Answers, answers
from .families import COUNTER, FAMILIES, HISTOGRAM, Family

Metric: TypeAlias = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
Labels: TypeAlias = tuple[str, ...]
Samples: TypeAlias = Iterator[tuple[str, Labels, float | Histogram]]

_STATES = ("waiting", "active", "scheduled", "deferred", "failed")


class QueueCollector(Collector):
    """Asks the stores at each scrape, and changes nothing. What a store that did not answer in time
    would have said is absent; ``drq_up`` says so."""

    def __init__(self) -> None:
        self._sightings = Sightings()

    def describe(self) -> Iterable[Metric]:
        """Name the metrics, asking nobody: registries want to know at the start of a process."""
        return [_metric(family) for family in FAMILIES.values()]

    def collect(self) -> Iterable[Metric]:
        """Ask both stores, in less than a second whatever they do."""
        return metrics_of(self.ask())

    def ask(self, patience: float = BOUND) -> Answers:
        """Ask them, for `metrics_of`, and wait for *patience* (seconds) at most."""
        return answers(self._sightings, patience)


def metrics_of(found: Answers) -> list[Metric]:
    """Make metrics of answers, in the order of FAMILIES; what nobody could say has no sample."""
    metrics = {name: _metric(family) for name, family in FAMILIES.items()}
    samples = (sample for part in _SAMPLED for sample in part(found))
    for name, labels, value in samples:
        _add(metrics[name], labels, value)
    return list(metrics.values())


def _add(metric: Metric, labels: Labels, value: float | Histogram) -> None:
    if isinstance(value, Histogram):
        bounds = [*(f"{bound:g}" for bound in value.bounds), "+Inf"]
        buckets = list(zip(bounds, value.counts, strict=True))
        cast(HistogramMetricFamily, metric).add_metric(labels, buckets, value.seconds)
    else:
        cast(GaugeMetricFamily, metric).add_metric(labels, value)


def _metric(family: Family) -> Metric:
    kinds: Mapping[str, type[Metric]] = {
        COUNTER: CounterMetricFamily,
        HISTOGRAM: HistogramMetricFamily,
    }
    kind = kinds.get(family.kind, GaugeMetricFamily)
    return kind(family.name, family.meaning, labels=family.labels)


# ---- what has been counted ---------------------------------------------------------------------

_HISTOGRAMS: Sequence[tuple[str, str, Callable[[Key], Labels]]] = (
    (
        "drq_enqueue_duration_seconds",
        Kind.ENQUEUED,
        lambda key: (key.queue_name, key.store),
    ),
    (
        "drq_job_processing_seconds",
        Kind.PERFORMED,
        lambda key: (key.queue_name, key.job_type),
    ),
    (
        "drq_job_waiting_seconds",
        Kind.WAITED,
        lambda key: (key.queue_name, key.store),
    ),
)
_COUNTERS: Mapping[str, tuple[str, Callable[[Key], Labels]]] = {
    Kind.ENQUEUED: ("drq_jobs_enqueued", lambda key: (key.queue_name, key.job_type, key.store)),
    Kind.PERFORMED: ("drq_jobs_executed", lambda key: (key.queue_name, key.job_type, key.store)),
    Kind.REFUSED: ("drq_enqueues_refused", lambda key: (key.queue_name, key.detail)),
    Kind.UNPROTECTED: ("drq_enqueues_unprotected", lambda key: (key.queue_name,)),
    Kind.LOST: ("drq_jobs_lost", lambda key: (key.detail,)),
    Kind.DRAINED: ("drq_jobs_drained", lambda key: ()),
    Kind.OUTAGE: ("drq_outages", lambda key: ()),
    Kind.CIRCUIT: ("drq_circuit_transitions", lambda key: (key.detail,)),
}
# Of these all series are there from the start: a counter that begins with 1 has not increased.
_FROM_THE_START: tuple[Key, ...] = (
    *(Key(Kind.LOST, detail=path) for path in ("unprotected", "outbox_off", "not_covered")),
    Key(Kind.DRAINED),
    Key(Kind.OUTAGE),
    *(Key(Kind.CIRCUIT, detail=state.value) for state in CircuitState),
)


def _counted(found: Answers) -> Samples:
    if found.database.sums is None:
        return
    sums = {key: Sums() for key in _from_the_start(found)} | dict(found.database.sums)
    for key, each in sums.items():
        if key.kind in _COUNTERS:
            name, labels_of = _COUNTERS[key.kind]
            yield name, labels_of(key), each.count
        if key.kind == Kind.PERFORMED:
            labels = (key.queue_name, key.job_type, key.store)
            yield "drq_jobs_failed", labels, each.failed
            yield "drq_jobs_retried", labels, each.retried


def _from_the_start(found: Answers) -> Iterator[Key]:
    yield from _FROM_THE_START
    for _, names in found.brokers:
        for name in names:
            yield Key(Kind.UNPROTECTED, name)
            yield Key(Kind.REFUSED, name, detail="refused")
            yield Key(Kind.REFUSED, name, detail="uncertain")


def _durations(found: Answers) -> Samples:
    for name, kind, labels_of in _HISTOGRAMS:
        sums: dict[Labels, Sums] = defaultdict(Sums)
        for key, each in (found.database.sums or {}).items():
            if key.kind == kind:
                sums[labels_of(key)].add(each)
        for labels, each in sums.items():
            yield name, labels, Histogram.of(kind, each)


# ---- how things stand --------------------------------------------------------------------------


def _stores(found: Answers) -> Samples:
    told = {("redis", address): each.seconds for address, each in found.redis.items()}
    for labels, seconds in {**told, ("database", ""): found.database.seconds}.items():
        yield "drq_up", labels, seconds > 0
        if seconds > 0:
            yield "drq_scrape_seconds", labels, seconds


def _circuits(found: Answers) -> Samples:
    for broker, _ in found.brokers:
        for state in CircuitState:
            labels = (broker.address, state.value)
            yield "drq_circuit_state", labels, broker.breaker.state is state
        if found.is_database_up:
            is_open = broker.address in found.database.outages
            yield "drq_outage_open", (broker.address,), is_open


def _queues(found: Answers) -> Samples:
    for broker, names in found.brokers:
        facts, own = found.redis[broker.address].facts, found.database.facts
        for name in names:
            if facts is not None:
                yield from _queue(found, name, "redis", facts.queues[name])
            if own is not None:
                yield from _queue(found, name, "database", own.own.get(name, QueueCounts()))
                is_paused = {name, ALL} & set(found.database.paused)
                yield "drq_queue_paused", (name,), bool(is_paused)
        if facts is not None:
            yield "drq_unprotected_jobs", (broker.address,), facts.unprotected


def _queue(found: Answers, name: str, backend: str, counts: QueueCounts) -> Samples:
    for state in _STATES:
        if (backend, state) != ("database", "failed"):  # those are dead letters
            yield "drq_queue_jobs", (name, backend, state), getattr(counts, state)
    yield "drq_queue_oldest_age_seconds", (name, backend), _age(found, counts.oldest)


def _workers(found: Answers) -> Samples:
    alive = found.database.alive
    if alive is None:
        return
    known = [w for each in found.redis.values() if each.facts for w in each.facts.workers]
    workers = [*alive, *(worker for worker in known if not worker.mode)]  # and those of plain rq
    modes = Counter((worker.broker, str(worker.mode) or OTHER) for worker in workers)
    for broker, names in found.brokers:
        for mode in ("starting", "redis", "database", OTHER):
            yield "drq_workers", (broker.address, mode), modes[broker.address, mode]
        for name in names:
            serving = sum(worker.serves(name, broker.address) for worker in workers)
            yield "drq_queue_workers", (name,), serving


def _rows(found: Answers) -> Samples:
    facts = found.database.facts
    if facts is not None:
        for state, count in facts.rows.items():
            yield "drq_fallback_rows", (state,), count
        yield "drq_fallback_rows_capped", (), facts.is_capped
        yield "drq_fallback_oldest_age_seconds", (), _age(found, facts.oldest)


def _letters(found: Answers) -> Samples:
    letters = found.database.letters
    if letters is None:
        return
    by_type: Counter[str] = Counter()
    for (handler, _), count in letters.items():
        by_type[label_of(handler)] += count
    kept = {job_type for job_type, _ in by_type.most_common(settings.METRICS_TYPES)}
    sums: Counter[Labels] = Counter()
    for (handler, reason), count in letters.items():
        job_type = label_of(handler)
        sums[job_type if job_type in kept else OTHER, reason] += count
    for labels, count in sums.items():
        yield "drq_dead_letters", labels, count
    age = _age(found, found.database.oldest_letter)
    yield "drq_dead_letter_oldest_age_seconds", (), age


def _recovery(found: Answers) -> Samples:
    for outcome, count in found.database.items.items():
        yield "drq_recovery_items", (outcome,), count
    for status, count in found.database.runs.items():
        yield "drq_recovery_runs", (status,), count


def _age(found: Answers, since: datetime | None) -> float:
    """Seconds since a moment; 0 where nothing waits, so that alerts see the end."""
    return 0.0 if since is None else max((found.asked_at - since).total_seconds(), 0.0)


_SAMPLED = (_stores, _counted, _durations, _queues, _workers, _circuits, _rows, _letters, _recovery)
