"""Promises of what a job tells of itself while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from rq.job import Job, _current_job

from django_resilient_queue import progress
from django_resilient_queue.handlers.progress import Progress, write_last


class Written(list[dict[str, Any]]):
    """What was saved of a job's meta, in its order."""


@pytest.fixture
def job() -> Iterator[Job]:
    """The job that this code is called from."""
    job = Job("job", connection=Redis())
    token = _current_job.set(job)
    yield job
    _current_job.reset(token)


@pytest.fixture
def written(job: Job, monkeypatch: pytest.MonkeyPatch) -> Written:
    found = Written()
    monkeypatch.setattr(job, "save_meta", lambda: found.append(dict(job.meta["progress"])))
    return found


def dones(written: Written) -> list[int]:
    return [each["done"] for each in written]


def at(*moments: float) -> Iterator[Callable[[], float]]:
    for moment in moments:
        yield lambda moment=moment: moment  # type: ignore[misc]


def test_the_first_report_is_written_with_its_note(written: Written) -> None:
    progress(1, 10, note="reading")
    assert written == [{"done": 1, "total": 10, "note": "reading"}]


def test_at_most_one_report_a_second_is_written(written: Written) -> None:
    for done, clock in enumerate(at(100, 100.5, 100.9, 101, 101.9, 102), start=1):
        progress(done, 10, clock=clock)
    assert dones(written) == [1, 4, 6]


def test_the_last_report_is_written_at_once(written: Written) -> None:
    for done, clock in enumerate(at(100, 100.1, 100.2), start=1):
        progress(done, 3, clock=clock)
    assert dones(written) == [1, 3]
    write_last()
    assert dones(written) == [1, 3]


def test_a_report_that_came_too_soon_is_written_when_the_job_ends(written: Written) -> None:
    for done, clock in enumerate(at(100, 100.1, 100.2), start=1):
        progress(done, 0, clock=clock)
    assert dones(written) == [1]
    write_last()
    write_last()
    assert dones(written) == [1, 3]


@pytest.mark.parametrize("error", [RedisConnectionError("away"), OSError("away")])
def test_a_job_does_not_fail_because_its_progress_cannot_be_written(
    job: Job, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(job, "save_meta", fail)
    progress(1, 2)
    assert "progress not saved job_id=job" in caplog.text


def test_outside_of_a_job_nothing_happens() -> None:
    """A handler can be called as the plain function that it is."""
    progress(1, 2)
    write_last()


def test_a_note_is_short(written: Written) -> None:
    progress(1, 2, note="x" * 1000)
    assert len(written[0]["note"]) == 200


@pytest.mark.parametrize(
    ("meta", "expected", "percent"),
    [
        ({"progress": {"done": 1, "total": 4, "note": "a"}}, Progress(1, 4, "a"), 25.0),
        ({"progress": {"done": 5, "total": 4}}, Progress(5, 4), 100.0),
        ({"progress": {"done": 5, "total": 0}}, Progress(5, 0), None),
        ({}, None, None),
        ({"progress": 7}, None, None),
        ({"progress": {"done": "1", "total": 2}}, None, None),
        ({"progress": {}}, None, None),
    ],
    ids=str.split("some over unknown none number text empty"),
)
def test_it_is_read_where_it_is_in_these_words(
    meta: dict[str, Any], expected: Progress | None, percent: float | None
) -> None:
    """A project may have a `progress` of its own."""
    assert Progress.of(meta) == expected
    assert expected is None or expected.percent == percent
