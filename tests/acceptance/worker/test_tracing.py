"""One trace from the enqueue on, whatever store, attempt and requeue a job goes through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django_rq
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from pytest_django import Settings
from rq import Retry

from django_resilient_queue import requeue
from tests import jobs
from tests.acceptance.worker.stage import Stage, in_redis
from tests.spans import FILE, FileExporter, spans
from tests.workers import WorkerProcess

HUSH = "hush-4111"


class Traces:
    """What this process, and the workers that it starts, export."""

    def __init__(self, folder: Path) -> None:
        self.sent, self.performed = folder / "sent.jsonl", folder / "performed.jsonl"
        self.environment = {
            "DJANGO_SETTINGS_MODULE": "tests.acceptance.worker.traced_settings",
            FILE: str(self.performed),
        }

    def end(self, worker: WorkerProcess) -> None:
        """Warm: what it keeps back has to be out by then."""
        worker.terminate()
        worker.wait()

    @property
    def trace_ids(self) -> set[str]:
        found = [*spans(self.sent), *spans(self.performed)]
        return {span["context"]["trace_id"] for span in found}


@pytest.fixture
def traces(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traces]:
    found = Traces(tmp_path)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(FileExporter(str(found.sent))))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "TRACING": True}
    yield found
    provider.shutdown()


def attributes(span: dict[str, Any], *names: str) -> list[Any]:
    return [span["attributes"].get(f"messaging.{name}") for name in names]


def test_enqueue_and_attempt_are_spans_by_the_conventions(stage: Stage, traces: Traces) -> None:
    job = django_rq.enqueue(jobs.record, stage.path, HUSH)
    worker = stage.worker(environment=traces.environment)
    stage.until_lines(HUSH)
    traces.end(worker)
    (sent,), (performed,) = spans(traces.sent), spans(traces.performed)
    names = ("system", "operation.type", "operation.name", "destination.name", "message.id")
    assert attributes(sent, *names) == ["rq", "send", "enqueue", "default", job.id]
    assert attributes(performed, *names) == ["rq", "process", "perform", "default", job.id]
    assert (sent["name"], sent["kind"]) == ("enqueue default", "SpanKind.PRODUCER")
    assert (performed["name"], performed["kind"]) == ("perform default", "SpanKind.CONSUMER")
    assert performed["context"]["trace_id"] == sent["context"]["trace_id"]
    assert performed["parent_id"] == sent["context"]["span_id"]
    assert performed["links"][0]["context"]["span_id"] == sent["context"]["span_id"]
    assert performed["attributes"]["drq.store"] == stage.mode
    assert performed["attributes"]["drq.job.type"] == "tests.jobs.record"
    assert HUSH not in traces.sent.read_text() + traces.performed.read_text()


def test_retries_and_requeues_stay_in_the_trace(stage: Stage, traces: Traces) -> None:
    job = django_rq.enqueue(jobs.break_with, HUSH, retry=Retry(1))
    worker = stage.worker(environment=traces.environment)
    requeue(stage.letter())
    stage.until(lambda: worker.output.count("job dead") == 2)
    traces.end(worker)
    performed = spans(traces.performed)
    assert [span["attributes"]["drq.attempts"] for span in performed] == [1, 2, 1, 2]
    ids = [job.id] * 2 + [f"{job.id}-r1"] * 2
    assert [span["attributes"]["messaging.message.id"] for span in performed] == ids
    assert len(traces.trace_ids) == 1
    for span in performed:
        assert span["status"] == {"status_code": "ERROR", "description": "builtins.ValueError"}
        assert span["attributes"]["error.type"] == "builtins.ValueError"
    assert HUSH not in traces.performed.read_text()


@in_redis
def test_a_job_that_waits_through_an_outage_and_is_drained_stays_in_it(
    stage: Stage, traces: Traces
) -> None:
    stage.redis.kill()
    job = django_rq.enqueue(jobs.record, stage.path, "drained")
    assert job.backend == "database"  # type: ignore[attr-defined]
    stage.redis.start()
    worker = stage.worker(environment=traces.environment)
    stage.until_lines("drained")
    traces.end(worker)
    (performed,) = spans(traces.performed)
    assert performed["attributes"]["drq.store"] == "redis"
    assert len(traces.trace_ids) == 1


def test_what_a_job_enqueues_is_a_child_of_its_span(stage: Stage, traces: Traces) -> None:
    django_rq.enqueue(jobs.enqueue_one_that_records_its_meta, stage.path)
    worker = stage.worker(environment=traces.environment)
    stage.until(lambda: len(stage.lines) == 1)
    traces.end(worker)
    outer, inner = spans(traces.performed, "perform")
    (sent,) = spans(traces.performed, "enqueue")
    assert sent["parent_id"] == outer["context"]["span_id"]
    assert inner["parent_id"] == sent["context"]["span_id"]
    assert len(traces.trace_ids) == 1


def test_a_horse_exports_before_another_replaces_it(stage: Stage, traces: Traces) -> None:
    for number in range(3):
        django_rq.enqueue(jobs.record, stage.path, number)
    stage.worker(environment=traces.environment, settings={"HORSE_MAX_JOBS": 1})
    stage.until(lambda: len(spans(traces.performed)) == 3)


@in_redis
def test_many_jobs_are_one_span_and_a_context_that_a_job_brings_stays(
    stage: Stage, traces: Traces
) -> None:
    queue = django_rq.get_queue()
    first, second = queue.enqueue_many([queue.prepare_data(jobs.succeed, (n,)) for n in range(2)])
    again = queue.enqueue(jobs.succeed, 3, meta=dict(first.meta))
    batch, single = spans(traces.sent)
    assert batch["attributes"]["messaging.batch.message_count"] == 2
    assert first.meta == second.meta == again.meta
    assert single["links"][0]["context"]["span_id"] == batch["context"]["span_id"]
    assert single["context"]["trace_id"] != batch["context"]["trace_id"]
    assert queue.enqueue_many([]) == []


@in_redis
def test_an_enqueue_that_is_refused_is_a_span_that_failed(stage: Stage, traces: Traces) -> None:
    with pytest.raises(ValueError, match="unique"):
        django_rq.get_queue().enqueue(jobs.succeed, 1, unique=True)
    assert not spans(traces.sent)  # nothing was sent, by rq's own rules
    django_rq.enqueue(jobs.succeed, 1, job_id="one", unique=True)
    with pytest.raises(Exception, match="one"):
        django_rq.enqueue(jobs.succeed, 1, job_id="one", unique=True)
    _, refused = spans(traces.sent)
    assert refused["attributes"]["error.type"] == "rq.exceptions.DuplicateJobError"


@in_redis
def test_without_the_setting_there_are_no_spans(stage: Stage, traces: Traces) -> None:
    stage.until(lambda: True)
    from django.conf import settings

    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "TRACING": False}
    job = django_rq.enqueue(jobs.succeed, 1)
    assert job.meta == {}
    assert not spans(traces.sent)
