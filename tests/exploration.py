"""What schemathesis finds when it goes over the API with the OpenAPI document in its hand."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import schemathesis
from drf_spectacular.generators import SchemaGenerator
from schemathesis.config import (
    ChecksConfig,
    NotAServerErrorConfig,
    PositiveDataAcceptanceConfig,
    SimpleCheckConfig,
    GenerationConfig,
    OperationConfig,
    OperationsConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.engine import Status, events, from_schema
from schemathesis.filters import FilterSet
from schemathesis.engine.recorder import CheckNode, ScenarioRecorder
from schemathesis.config._auth import AuthConfig

from django_resilient_queue.api.idempotency import HEADER, KEY
from tests.rest import EVERYTHING


_NUMBERS = count()


@dataclass
class Findings:
    """What was asked, by operation and by phase, and what was wrong."""

    failures: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return "\n\n".join([*self.failures.values(), *self.errors])


def document() -> dict[str, Any]:
    """The OpenAPI document of these tests' project."""
    schema: dict[str, Any] = SchemaGenerator().get_schema(public=True)
    return schema


def explore(address: str, *, seed: int, examples: int, seconds: int | None = None) -> Findings:
    """Run every check in every phase against the server at *address*."""
    schema = schemathesis.openapi.from_dict(
        document(), config=_config(address, seed, examples, seconds)
    )
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


def _config(address: str, seed: int, examples: int, seconds: int | None) -> SchemathesisConfig:
    project = ProjectConfig(
        base_url=address,
        auth=AuthConfig(openapi={"visitor": {"api_key": f"Visitor ann {EVERYTHING}"}}),
        request_timeout=40,
        continue_on_failure=True,
        generation=GenerationConfig(max_examples=examples, no_shrink=False, database="none"),
        operations=OperationsConfig(operations=_exceptions()),
    )
    return SchemathesisConfig(seed=seed, max_time=seconds, projects=ProjectsConfig(default=project))


def _exceptions() -> list[OperationConfig]:
    """Where a check can't hold."""
    return [
        # It says by 503 that no worker is alive, which is so here.
        _for(
            "get_queue_health",
            not_a_server_error=NotAServerErrorConfig(
                expected_statuses=["200", "206", "4xx", "503"]
            ),
        ),
        # What is deleted is what was to be done: the record stays, and says that it is cancelled.
        _for("get_job", use_after_free=SimpleCheckConfig(enabled=False)),
        _for("cancel_job", use_after_free=SimpleCheckConfig(enabled=False)),
        # What a payload must be like is up to the type of the letter, which is data.
        _for("correct_letter", positive_data_acceptance=PositiveDataAcceptanceConfig(enabled=False)),
    ]


def _for(operation_id: str, **checks: Any) -> OperationConfig:
    chosen = FilterSet()
    chosen.include(operation_id=operation_id)
    return OperationConfig(filter_set=chosen, checks=ChecksConfig(**checks))


def _note(findings: Findings, event: events.EngineEvent) -> None:
    match event:
        case events.ScenarioFinished():
            findings.phases[event.phase.value] += len(event.recorder.interactions)
            _look_through(findings, event.recorder)
        case events.NonFatalError():
            findings.errors.append(f"{event.label}: {event.value!r} {event.info}")
        case events.FatalError():
            raise event.exception


def _look_through(findings: Findings, recorder: ScenarioRecorder) -> None:
    for case_id, node in recorder.cases.items():
        findings.calls[node.value.operation.label] += 1
        interaction = recorder.interactions.get(case_id)
        if interaction is not None and interaction.response is not None:
            findings.statuses[node.value.operation.label, interaction.response.status_code] += 1
        for check in recorder.checks.get(case_id, []):
            findings.checks[check.name] += 1
            if check.status is Status.FAILURE:
                label = node.value.operation.label
                findings.failures.setdefault(*_described(label, check, recorder, case_id))


def _described(
    label: str, check: CheckNode, recorder: ScenarioRecorder, case_id: str
) -> tuple[str, str]:
    assert check.failure_info is not None
    failure = check.failure_info.failure
    response = recorder.interactions[case_id].response
    answer = f"{response.status_code} {response.text[:600]}" if response is not None else "none"
    words = f"{label}: {check.name}: {failure.title}\n{failure.message}"
    return (
        f"{label} {check.name} {failure.title}",
        f"{words}\n{check.failure_info.code_sample}\n{answer}",
    )
