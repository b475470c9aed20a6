"""The metrics there are: names, kinds, labels and meanings. Counters end in ``_total``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"


class Family(NamedTuple):
    """One metric, without ``_total`` where it is a counter."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def shown_name(self) -> str:
        """Its name as queries have it; those of a histogram append _bucket, _count and _sum."""
        return f"{self.name}_total" if self.kind == COUNTER else self.name


_JOB = ("queue", "job_type", "backend")

_ALL = (
    Family("drq_up", GAUGE, ("store", "server"), "Whether a store answered this scrape in time."),
    Family(
        "drq_scrape_seconds",
        GAUGE,
        ("store", "server"),
        "How long a store took to answer this scrape.",
    ),
    # ---- what has been counted -----------------------------------------------------------------
    Family("drq_jobs_enqueued", COUNTER, _JOB, "Jobs that a store has accepted."),
    Family(
        "drq_enqueue_duration_seconds",
        HISTOGRAM,
        ("queue", "backend"),
        "Time from the call until a store had the job.",
    ),
    Family("drq_enqueues_refused", COUNTER, ("queue", "outcome"), "Jobs that neither store took."),
    Family(
        "drq_enqueues_unprotected",
        COUNTER,
        ("queue",),
        "Jobs accepted by Redis alone, as the database did not take their row.",
    ),
    Family("drq_jobs_executed", COUNTER, _JOB, "Attempts that have ended, well or not."),
    Family("drq_jobs_failed", COUNTER, _JOB, "Jobs that died, or were stopped by an operator."),
    Family("drq_jobs_retried", COUNTER, _JOB, "Attempts that failed and are to be repeated."),
    Family(
        "drq_job_processing_seconds",
        HISTOGRAM,
        ("queue", "job_type"),
        "Time that an attempt took.",
    ),
    Family(
        "drq_job_waiting_seconds",
        HISTOGRAM,
        ("queue", "backend"),
        "Time from a job's enqueue to the start of its first attempt.",
    ),
    Family("drq_jobs_drained", COUNTER, (), "Jobs brought from the database back to Redis."),
    Family("drq_jobs_lost", COUNTER, ("path",), "Jobs that no store holds any more."),
    Family("drq_outages", COUNTER, (), "Outages of a Redis."),
    Family(
        "drq_circuit_transitions",
        COUNTER,
        ("state",),
        "Changes of circuits, of all processes, to a state.",
    ),
    Family(
        "drq_recovery_items",
        COUNTER,
        ("outcome",),
        "Dead letters that recovery runs have dealt with.",
    ),
    # ---- how things stand ----------------------------------------------------------------------
    Family("drq_queue_jobs", GAUGE, ("queue", "backend", "state"), "Jobs in a queue of a store."),
    Family(
        "drq_queue_oldest_age_seconds",
        GAUGE,
        ("queue", "backend"),
        "How long the longest waiting job could have been executed.",
    ),
    Family("drq_queue_workers", GAUGE, ("queue",), "Live workers that serve a queue."),
    Family("drq_queue_paused", GAUGE, ("queue",), "Whether a queue is paused."),
    Family("drq_workers", GAUGE, ("server", "mode"), "Live workers, by where they claim from."),
    Family(
        "drq_circuit_state",
        GAUGE,
        ("server", "state"),
        "The circuit of the process that answered: 1 for its state.",
    ),
    Family("drq_outage_open", GAUGE, ("server",), "Whether an outage is under way."),
    Family(
        "drq_fallback_rows",
        GAUGE,
        ("state",),
        "Rows of the outbox; 2,000 of each kind are counted at most.",
    ),
    Family("drq_fallback_rows_capped", GAUGE, (), "Whether there may be more than were counted."),
    Family(
        "drq_fallback_oldest_age_seconds",
        GAUGE,
        (),
        "How long the longest waiting job of the database alone could have been executed.",
    ),
    Family("drq_unprotected_jobs", GAUGE, ("server",), "Jobs in Redis that want a row."),
    Family(
        "drq_dead_letters",
        GAUGE,
        ("job_type", "reason"),
        "Dead letters that wait for somebody.",
    ),
    Family(
        "drq_dead_letter_oldest_age_seconds",
        GAUGE,
        (),
        "Age of the oldest of them.",
    ),
    Family("drq_recovery_runs", GAUGE, ("status",), "Recovery runs that are not over."),
)

FAMILIES: Mapping[str, Family] = {family.name: family for family in _ALL}
