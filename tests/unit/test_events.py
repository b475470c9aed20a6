"""Lines of the log: fixed words, the facts, whose job it is, and nothing that a payload held."""

from __future__ import annotations

import ast
import logging
from pathlib import Path
from typing import Any

import pytest

import django_resilient_queue
from django_resilient_queue import events
from django_resilient_queue.context import OF_JOBS, known
from django_resilient_queue.events import EVENTS, Event, places

SOURCE = Path(django_resilient_queue.__file__).parent
HUSH = "hush-4111"
SAID = Event("thing said", logging.WARNING, "Now.")


def line(caplog: pytest.LogCaptureFixture) -> Any:
    (record,) = caplog.records
    return record


def test_a_line_has_its_words_then_its_facts(caplog: pytest.LogCaptureFixture) -> None:
    SAID.log(worker="w", cause="c")
    record = line(caplog)
    assert record.getMessage() == "thing said worker=w cause=c"
    assert (record.event, record.worker, record.cause) == ("thing_said", "w", "c")


def test_a_line_about_a_job_carries_what_is_known_of_it(caplog: pytest.LogCaptureFixture) -> None:
    SAID.log({"job_id": "1", "queue": "q", "payload": HUSH}, store="redis")
    record = line(caplog)
    assert [getattr(record, name) for name in OF_JOBS] == ["1", None, "q", None, None, None]
    assert HUSH not in str(vars(record))


def test_a_line_inside_a_job_is_about_that_job(caplog: pytest.LogCaptureFixture) -> None:
    with known({"job_id": "1", "request_id": "r"}):
        SAID.log(number=1)
    record = line(caplog)
    assert (record.job_id, record.request_id, record.number) == ("1", "r", 1)


def test_nothing_is_made_of_a_line_that_nobody_hears(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, events.LOGGER)
    SAID.log(number=1)
    assert not caplog.records
    assert not SAID.is_heard


def test_an_error_is_its_class_and_its_places_and_not_its_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    try:
        try:
            raise KeyError(HUSH)
        except KeyError as cause:
            raise ValueError(f"bad card {HUSH}") from cause
    except ValueError as error:
        SAID.log(error=error)
    record = line(caplog)
    assert record.error_class == "builtins.ValueError"
    assert record.getMessage().endswith("\nbuiltins.ValueError")
    assert "builtins.KeyError" in caplog.text
    assert Path(__file__).name in caplog.text
    assert HUSH not in caplog.text


def test_an_error_that_is_its_own_cause_has_an_end() -> None:
    error = ValueError()
    error.__cause__ = TypeError()
    error.__cause__.__cause__ = error
    assert places(error).count("Traceback") == 2


def test_names_are_one_each_and_say_what_the_words_say() -> None:
    names = [event.name for event in EVENTS]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name == name.lower() for name in names)
    assert all(event.when.endswith(".") for event in EVENTS)


def test_every_event_is_logged_somewhere_and_nothing_is_logged_that_is_none() -> None:
    """The one exception is a letter that no store took, which is a line of JSON."""
    attributes: set[str] = set()
    calls = []
    for path in SOURCE.rglob("*.py"):
        if path.name == "events.py" and path.parent == SOURCE:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                attributes.add(node.attr)
            if isinstance(node, ast.Name):
                attributes.add(node.id)
            if isinstance(node, ast.Call) and _is_of_logging(node):
                calls.append(path.name)
    named = {name for name, thing in vars(events).items() if isinstance(thing, Event)}
    assert named <= attributes
    assert sorted(calls) == ["rq_lines.py", "settling.py"]


def _is_of_logging(call: ast.Call) -> bool:
    function = ast.unparse(call.func)
    return function.endswith("getLogger") or ".log." in function or "logger." in function
