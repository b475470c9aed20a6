"""Where tests have spans go: a file, one line of JSON each, from however many processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from tests.jobs import record

FILE = "DRQ_TEST_SPANS"
LONG = 600_000  # milliseconds: nothing is exported by itself while a test runs


class FileExporter(SpanExporter):
    """Appends what it is given to the file at `path`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            record(self.path, json.dumps(json.loads(span.to_json())))
        return SpanExportResult.SUCCESS


def export_to(path: str) -> TracerProvider:
    """Provide spans that are kept back until somebody flushes."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(FileExporter(path), schedule_delay_millis=LONG))
    trace.set_tracer_provider(provider)
    return provider


def spans(path: Path, name: str = "") -> list[dict[str, Any]]:
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [span for span in found if span["name"].startswith(name)]
