"""Registered handlers in workers, from either store: results, deaths, limits, progress."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils.module_loading import import_string

from django_resilient_queue import enqueue, enqueue_many, get_job, requeue
from django_resilient_queue.handlers.handler import Handler
from django_resilient_queue.handlers.performing import PERFORM
from django_resilient_queue.handlers.progress import Progress
from django_resilient_queue.handlers.registry import registry
from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import DeadLetter
from tests.acceptance.worker.stage import Stage, in_redis
from tests.docs import README
from tests.enqueueing import queue


@pytest.fixture
def only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers, no worker and no other test knows."""
    registry.discover()
    monkeypatch.setattr(registry, "_found", dict(registry._found))


def waiting(stage: Stage, value: str = "one", gate: str = "gate") -> dict[str, Any]:
    return {"ledger": stage.path, "value": value, "gate": stage.gate(gate)}


def letter(stage: Stage, **changes: Any) -> dict[str, Any]:
    return {"ledger": stage.path, "to": "ann@example.com", "subject": "hello", **changes}


def result(job_id: str) -> Any:
    found = get_job(job_id)
    assert found is not None
    assert found.job is not None
    return found.job.return_value()


# ---- results ----------------------------------------------------------------------------------


@in_redis
def test_a_result_says_what_came_of_it_and_how_long_it_took(stage: Stage) -> None:
    began = time.monotonic()
    job = enqueue("letter:send", letter(stage, stamped_at="2030-01-31T12:00:00Z"))
    stage.worker("high")
    stage.until_state(job.id, JobState.COMPLETED)
    found = result(job.id)
    data = {"to": "ann@example.com", "stamped_at": "2030-01-31T12:00:00+00:00"}
    assert (found["success"], found["data"]) == (True, data)
    assert 0 < found["processing_time"] < time.monotonic() - began


def test_jobs_run_by_their_handlers_name(stage: Stage) -> None:
    one = enqueue("letter:send", letter(stage, subject="one"))
    many = enqueue_many("letter:send", [letter(stage, subject=each) for each in ("two", "three")])
    stage.worker("high")
    stage.until_lines(*(f"to ann@example.com: {each}" for each in ("one", "two", "three")))
    for job in (one, *many):
        stage.until_state(job.id, JobState.COMPLETED)


def test_a_delayed_job_runs_when_it_is_due(stage: Stage) -> None:
    enqueue("letter:send", letter(stage, subject="late"), delay=1)
    enqueue_many("letter:send", [letter(stage, subject="later")], delay=3)
    stage.worker("high")
    stage.until_lines("to ann@example.com: late", "to ann@example.com: later")


# ---- deaths -----------------------------------------------------------------------------------


def test_a_permanent_error_is_a_dead_letter_at_once(stage: Stage) -> None:
    enqueue("letter:bounce", waiting(stage))
    stage.worker()
    found = stage.letter()
    assert (found.handler, found.attempts, found.reason) == ("letter:bounce", 1, "raised")
    assert found.error_class == "tests.postoffice.job_handlers.AddressGone"
    assert stage.lines == ["one"]


def test_a_handler_that_returns_no_dict_is_not_run_again_for_it(stage: Stage) -> None:
    """Its work is done: only its code can be mended."""
    enqueue("letter:ramble", waiting(stage))
    stage.worker()
    assert stage.letter().message == "letter:ramble returned a list, neither a dict nor None"
    assert stage.lines == ["one"]


def test_another_error_is_tried_again_as_often_as_the_handler_says(stage: Stage) -> None:
    enqueue("letter:lose", waiting(stage))
    stage.worker()
    found = stage.letter()
    assert (found.attempts, found.category) == (3, "connection")
    assert stage.lines == ["one"] * 3


def test_a_payload_that_the_schema_refuses_by_now_is_a_dead_letter(stage: Stage) -> None:
    """It was enqueued before the schema changed: nothing is tried again, nothing crashes."""
    payload = letter(stage, to="secret-address")
    queue("high").enqueue_call(PERFORM, args=("letter:send",), kwargs=payload)
    enqueue("letter:send", letter(stage))
    stage.worker("high")
    stage.until_lines("to ann@example.com: hello")
    found = stage.letter()
    assert (found.category, found.attempts) == ("validation", 1)
    assert found.message == "payload of letter:send refused: to (invalid)"


def test_a_name_that_the_worker_does_not_know_is_a_dead_letter(
    stage: Stage, only_here: None
) -> None:
    """It names what there is: the worker may run older code than the site."""
    registry.add(Handler("letter:sand", enqueue_nothing))
    enqueue("letter:sand", {})
    stage.open(stage.gate("there"))
    enqueue("letter:open", waiting(stage, gate="there"))
    stage.worker()
    stage.until_lines("one")
    found = stage.letter()
    assert (found.handler, found.category, found.attempts) == ("letter:sand", "not_found", 1)
    assert found.message == "no job handler is named 'letter:sand'; did you mean 'letter:send'?"


def enqueue_nothing(data: object) -> None:
    """What the worker never finds."""


def test_a_handler_that_kills_its_process_takes_no_other_job_along(stage: Stage) -> None:
    enqueue("letter:crash", waiting(stage))
    stage.open(stage.gate("there"))
    enqueue("letter:open", waiting(stage, gate="there"))
    stage.worker()
    stage.until_lines("one")
    assert stage.letter().reason == "killed"


def test_a_letter_is_corrected_and_recovers(stage: Stage) -> None:
    enqueue("letter:open", waiting(stage, gate="nowhere"))
    stage.worker()
    found = stage.letter()
    stage.open(stage.gate("somewhere"))
    requeue(found, kwargs=waiting(stage, "mended", gate="somewhere"), by="ann")
    stage.until_lines("mended")
    stage.until(lambda: DeadLetter.objects.get().status == "recovered")


# ---- limits and progress ----------------------------------------------------------------------


def test_a_handlers_limit_holds_over_all_workers(stage: Stage) -> None:
    for value in ("one", "two"):
        enqueue("letter:hold", waiting(stage, value, gate=value))
    for _ in range(2):
        stage.worker()
    stage.until_lines("begin one")
    stage.open(stage.gate("there"))
    enqueue("letter:open", waiting(stage, "free", gate="there"))
    stage.until_lines("begin one", "free")  # the other worker had room for the second
    stage.open(stage.gate("two"))
    stage.open(stage.gate("one"))
    stage.until_lines("begin one", "free", "one", "begin two", "two")


def test_progress_is_read_while_the_job_runs_and_after_it(stage: Stage) -> None:
    job = enqueue("letter:count", waiting(stage))

    def told() -> object:
        found = get_job(job.id)
        return found and (found.state, found.progress)

    assert told() == (JobState.WAITING, None)
    stage.worker()
    stage.until(lambda: told() == (JobState.ACTIVE, Progress(1, 3, "first")))
    stage.until_lines("begin one")
    stage.open(stage.gate())
    stage.until(lambda: told() == (JobState.COMPLETED, Progress(2, 3, "last")))


@in_redis
def test_a_job_goes_on_when_its_progress_has_no_store_to_go_to(stage: Stage) -> None:
    job = enqueue("letter:count", waiting(stage))
    stage.worker()
    stage.until_lines("begin one")
    stage.redis.kill()
    stage.open(stage.gate())
    stage.until_lines("begin one", "one")
    stage.redis.start()
    stage.until_state(job.id, JobState.COMPLETED)


# ---- the README -------------------------------------------------------------------------------


def readme_code() -> str:
    """The first block of the section."""
    section = README.read_text().partition("### Adding a job type\n")[2]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def readme_app(tmp_path: Path, only_here: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An app that consists of the README's code, here and for a worker."""
    name = "readme_example"
    folder = tmp_path / "apps" / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "job_handlers.py").write_text(readme_code())
    monkeypatch.syspath_prepend(folder.parent)
    import_string(f"{name}.job_handlers.send_receipt")
    yield name
    for module in (name, f"{name}.job_handlers"):
        del sys.modules[module]


def test_the_readmes_job_type_does_what_it_says(
    stage: Stage, readme_app: str, tmp_path: Path
) -> None:
    lines = [line for line in readme_code().splitlines() if line and not line.startswith("#")]
    assert len(lines) <= 15
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.acceptance.worker.readme_settings",
        "DRQ_TEST_APP": readme_app,
        "DRQ_TEST_MAILS": str(tmp_path / "mails"),
        "PYTHONPATH": str(tmp_path / "apps"),
    }
    job = enqueue("receipt:send", {"email": "ann@example.com", "order": 7})
    stage.worker("high", environment=environment)
    stage.until_state(job.id, JobState.COMPLETED)
    [mail] = (tmp_path / "mails").iterdir()
    assert "To: ann@example.com" in mail.read_text()
    assert "For order 7" in mail.read_text()
