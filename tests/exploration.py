"""What schemathesis finds when it goes over the API with the OpenAPI document in its hand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import schemathesis
from drf_spectacular.generators import SchemaGenerator
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from schemathesis.engine.recorder import CheckNode, ScenarioRecorder

from django_resilient_queue.api.idempotency import HEADER, KEY
from tests.rest import EVERYTHING

PHASES = ("examples", "coverage", "fuzzing", "stateful")
SUBMITTING = ("submit_job", "submit_jobs")
_NUMBERS = count()


@dataclass
class Findings:
    """What was asked, by operation and by phase, and what was wrong."""

    failures: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return "\n\n".join([*self.failures.values(), *self.errors])


def document() -> dict[str, Any]:
    """The OpenAPI document of the tests' project."""
    generator: Any = SchemaGenerator
    made: dict[str, Any] = generator().get_schema(public=True)
    return made


def explore(
    address: str,
    *,
    phases: Collection[str],
    seed: int,
    examples: int,
    seconds: int | None = None,
    only: Collection[str] = (),
    payloads_are_described: bool = True,
) -> Findings:
    """Run every check against the server at *address*. Without *payloads_are_described*, types have
    rules that no schema expresses."""
    settings: dict[str, Any] = {
        "seed": seed,
        "base-url": address,
        "auth": {"openapi": {"visitor": {"api_key": f"Visitor ann {EVERYTHING}"}}},
        "cache": {"enabled": False},
        "request-timeout": 40,
        "continue-on-failure": True,
        "generation": {"max-examples": examples, "database": "none"},
        "phases": {name: {"enabled": name in phases} for name in PHASES},
        "operations": _exceptions(payloads_are_described),
    }
    if only:
        settings["operations"].append({"exclude-operation-id": list(only), "enabled": False})
    if seconds is not None:
        settings["max-time"] = seconds
    config = SchemathesisConfig.from_dict(settings)
    schema: Any = schemathesis.openapi.from_dict(document(), config=config)
    findings = Findings()
    for event in from_schema(schema).execute():
        _note(findings, event)
    return findings


@schemathesis.hook("before_call")
def _with_a_fresh_key(context: Any, case: Any, **_: Any) -> None:
    """One that came with another body before is refused, and few bodies would be looked at."""
    key = (case.headers or {}).get(HEADER)
    if isinstance(key, str) and re.fullmatch(KEY, key):
        case.headers[HEADER] = f"{key[:200]}-{next(_NUMBERS)}"


def _exceptions(payloads_are_described: bool) -> list[dict[str, Any]]:
    """Where a check can't hold, and why."""
    off = {"enabled": False}
    found = [
        # It says by 503 that no worker is alive, which is so here.
        _for("get_queue_health", not_a_server_error={"expected-statuses": ["2xx", "4xx", "503"]}),
        # What is deleted is what was to be done: the record stays, and says that it is cancelled.
        _for("get_job", use_after_free=off),
        _for("cancel_job", use_after_free=off),
        # What a payload must be like is up to the type of the letter, which is data.
        _for("correct_letter", positive_data_acceptance=off),
    ]
    if not payloads_are_described:
        # Mails without a recipient fit the schema; and serializers take a number for a text.
        found += [
            _for(name, positive_data_acceptance=off, negative_data_rejection=off)
            for name in SUBMITTING
        ]
    return found


def _for(operation_id: str, **checks: Any) -> dict[str, Any]:
    return {"include-operation-id": operation_id, "checks": checks}


def _note(findings: Findings, event: events.EngineEvent) -> None:
    match event:
        case events.ScenarioFinished():
            findings.phases[event.phase.value] += len(event.recorder.interactions)
            _look_through(findings, event.recorder)
        case events.NonFatalError():
            findings.errors.append(f"{event.label}: {event.value!r}")
        case events.FatalError():
            raise event.exception


def _look_through(findings: Findings, recorder: ScenarioRecorder) -> None:
    for case_id, node in recorder.cases.items():
        label = node.value.operation.label
        findings.calls[label] += 1
        for check in recorder.checks.get(case_id, []):
            findings.checks[check.name] += 1
            if check.status is Status.FAILURE:
                words = _words_of(check, recorder, case_id)
                findings.failures.setdefault(f"{label} {check.name}", f"{label}: {words}")


def _words_of(check: CheckNode, recorder: ScenarioRecorder, case_id: str) -> str:
    assert check.failure_info is not None
    failure = check.failure_info.failure
    response = recorder.interactions[case_id].response
    answer = f"{response.status_code} {response.text[:600]}" if response is not None else "none"
    told = f"{check.name}: {failure.title}\n{failure.message}"
    return f"{told}\n{check.failure_info.code_sample}\n{answer}"
