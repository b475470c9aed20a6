"""What an integrator reads in the OpenAPI document, and what a generator makes clients of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django_resilient_queue.api.links import _LINKS
from tests.exploration import document
from tests.rest import ROOT

pytestmark = pytest.mark.one_database

PROBLEM = "application/problem+json"
Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return document()


@pytest.fixture
def operations(made: dict[str, Any]) -> list[Operation]:
    return list(operations_of(made))


def operations_of(made: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in made["paths"].items():
        if path.startswith(ROOT):
            for method, operation in methods.items():
                yield path, method, operation


def test_every_operation_has_a_name_a_summary_and_a_place(operations: list[Operation]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(ids) == len(set(ids))
    for _, _, operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"] != ["Queue"], "its module has no tag yet"


def test_every_answer_has_a_shape(operations: list[Operation]) -> None:
    for path, method, operation in operations:
        for status, answer in operation["responses"].items():
            assert answer["description"], (method, path, status)
            for content_type, content in answer["content"].items():
                assert set(content["schema"]) == {"$ref"}, (method, path, status)
                if content_type == PROBLEM:
                    assert content["schema"]["$ref"].endswith("/QueueProblemDetails")


def test_every_error_is_a_problem_and_says_when_to_come_again(operations: list[Operation]) -> None:
    for path, method, operation in operations:
        for status, answer in operation["responses"].items():
            if status >= "4":
                assert PROBLEM in answer["content"], (method, path, status)
            if status in ("429", "503"):
                assert "Retry-After" in answer["headers"], (method, path, status)


def test_what_makes_something_takes_a_key(operations: list[Operation]) -> None:
    for path, method, operation in operations:
        if method != "post" or not {"201", "202"} & set(operation["responses"]):
            continue
        names = {each["name"] for each in operation["parameters"]}
        assert "Idempotency-Key" in names, path
        assert {"409", "422"} <= set(operation["responses"]), path


def test_every_link_leads_to_an_operation_by_a_part_of_its_address(
    operations: list[Operation],
) -> None:
    by_id = {operation["operationId"]: operation for _, _, operation in operations}
    assert set(_LINKS) <= set(by_id)
    followed = set()
    for operation in by_id.values():
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                target = by_id[link["operationId"]]
                in_path = {p["name"] for p in target["parameters"] if p["in"] == "path"}
                assert {name.removeprefix("path.") for name in link["parameters"]} == in_path
                followed.add(link["operationId"])
    assert followed == {
        id_ for id_, operation in by_id.items() if _has_a_key_in_its_address(operation)
    }


def _has_a_key_in_its_address(operation: dict[str, Any]) -> bool:
    return any(each["in"] == "path" for each in operation.get("parameters", ()))


def test_our_components_bear_names_of_ours(made: dict[str, Any]) -> None:
    ours = ("Queue", "PaginatedQueue", "DeadLetter", "RecoveryRun")
    strangers = [name for name in made["components"]["schemas"] if not name.startswith(ours)]
    # Fields with choices of the shipped handlers' serializers, whose names drf-spectacular gives.
    assert all(name.endswith("Enum") for name in strangers), strangers


def test_the_health_report_is_for_anybody(operations: list[Operation]) -> None:
    is_open = {
        operation["operationId"] for _, _, operation in operations if {} in operation["security"]
    }
    assert is_open == {"get_queue_health"}


@pytest.mark.parametrize(
    ("component", "required"),
    [("QueueJobSumAdd", ["data", "type"]), ("QueueJobNoteWrite", ["type"])],
)
def test_each_type_has_a_form_of_its_own(component: str, required: list[str]) -> None:
    made = document()["components"]["schemas"]
    assert made[component]["required"] == required
    assert made[component]["additionalProperties"] is False
    assert {"$ref": f"#/components/schemas/{component}"} in made["QueueJob"]["oneOf"]
