"""Which type a job is of: by what it calls, whatever its description says."""

from __future__ import annotations

import json
import os
import pickle
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from django_resilient_queue.calls import PERFORM, type_of_call
from django_resilient_queue.handlers.performing import perform
from django_resilient_queue.jobs import JobSnapshot

Call = tuple[str, Any, tuple[Any, ...], dict[str, Any]]
SERIALIZERS: dict[str, Callable[[Call], bytes]] = {
    "pickle 4": lambda call: pickle.dumps(call, protocol=4),
    "pickle 5": lambda call: pickle.dumps(call, protocol=5),
    "json": lambda call: json.dumps(call).encode(),
}
LARGE = os.urandom(100_000).hex()


def job_type(data: bytes, description: str = "") -> str:
    fields = {"data": data, "description": description.encode()}
    return JobSnapshot("1", "default", "", fields).job_type


@pytest.mark.parametrize("dumps", SERIALIZERS.values(), ids=SERIALIZERS)
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (("shop.jobs.charge", None, ("4111",), {}), "shop.jobs.charge"),
        (("shop.jobs.charge", None, (), {"card": "4111"}), "shop.jobs.charge"),
        (("shop.jobs.charge", None, (LARGE,), {}), "shop.jobs.charge"),
        (("shop.jobs.<lambda>", None, (), {}), "shop.jobs.<lambda>"),
        ((f"shop.{'x' * 250}", None, (), {}), f"shop.{'x' * 250}"),
        ((f"shop.{'x' * 251}", None, (), {}), ""),
        (("shop jobs", None, (), {}), ""),
        (("naïve.path", None, (), {}), ""),
        ((PERFORM, None, ("email:send",), {"to": ["bob@example.org"]}), "email:send"),
        ((PERFORM, None, ("email:send", 1), {}), "email:send"),
        ((PERFORM, None, ("Bob's",), {}), ""),
        ((PERFORM, None, (), {}), ""),
        ((PERFORM, None, (LARGE,), {}), ""),
    ],
    ids=range(13),
)
def test_the_call_says_it_and_not_the_description(
    dumps: Callable[[Call], bytes], call: Call, expected: str
) -> None:
    for data in (dumps(call), zlib.compress(dumps(call))):
        assert type_of_call(data) == expected
        assert job_type(data, "invoice_4711") == expected


def test_a_method_is_named_alone() -> None:
    assert type_of_call(pickle.dumps(("send", JobSnapshot, (), {}), protocol=5)) == "send"


def test_what_handlers_jobs_call_is_what_performs_them() -> None:
    assert f"{perform.__module__}.{perform.__qualname__}" == PERFORM


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x05\x95", b"[", b"\xff" * 50, b"\x93\xa1x"])
@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("shop.jobs.charge('4111')", "shop.jobs.charge"),
        ("email:send", ""),
        ("charge('4111')", ""),
        ("charge the card (4111)", ""),
        ("bob@example.org(1)", ""),
        ("", ""),
    ],
)
def test_of_a_serialiser_that_nobody_knows_rqs_own_description_says_it(
    data: bytes, description: str, expected: str
) -> None:
    assert job_type(data, description) == expected
