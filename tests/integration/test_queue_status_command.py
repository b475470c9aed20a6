"""`manage.py queue_status`: what it prints, and its exit codes."""

from __future__ import annotations

import builtins
import io
import json
import re
import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_resilient_queue import pause_queue
from django_resilient_queue.models import Outage, WorkerHeartbeat
from django_resilient_queue.models.worker_heartbeat import Mode
from example_project.servers import RedisServer, ServerProcess
from tests.enqueueing import queue
from tests.health import address, live_worker, waiting_row
from tests.jobs import succeed
from tests.workers import WorkerProcess, worker_environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


def status(*words: str) -> str:
    """Runs the command; returns what it prints."""
    output = io.StringIO()
    call_command("queue_status", *words, stdout=output)
    return output.getvalue()


def exit_code(*words: str) -> Any:
    with pytest.raises(SystemExit) as ended:
        status("--exit-code", *words)
    return ended.value.code


@pytest.fixture
def without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra is not installed."""
    found = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "rich":
            raise ImportError(name)
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)


def busy_world() -> None:
    live_worker("ann", mode=Mode.DATABASE, queues="critical,high")
    queue().enqueue(succeed)
    waiting_row("a")
    pause_queue("low")
    Outage.objects.begin(address(), cause="refused [b]by[/b] all", reported_by="ann")


def test_it_shows_stores_queues_workers_and_outages() -> None:
    busy_world()
    text = status()
    assert text.startswith("critical")
    assert "No live worker serves default, where jobs wait. (queue_stuck)" in text
    for words in (address(), "low (paused)", "ann", "critical, high", "1 ready", "refused [b]by"):
        assert words in text


@pytest.mark.usefixtures("without_rich")
def test_without_rich_it_shows_the_same_as_plain_text() -> None:
    busy_world()
    lines = status().splitlines()
    assert lines[0].startswith("critical")
    (default,) = [each.split() for each in lines if each.startswith("  default ")]
    assert (default[:2], default[3:]) == (["default", "2"], ["s", "0", "0", "0", "0", "0"])
    assert any(line.startswith("  last outage  ") for line in lines)


def test_json_is_the_whole_report_on_one_line() -> None:
    live_worker()
    (line,) = status("--json").splitlines()
    assert json.loads(line)["status"] == "healthy"
    assert json.loads(line)["database"]["status"] == "up"


def test_without_being_asked_it_ends_well() -> None:
    assert "no_worker" in status()


def test_the_exit_code_says_how_bad_it_is(redis_server: RedisServer) -> None:
    assert exit_code() == 2
    live_worker()
    assert exit_code("--json") == 0
    redis_server.kill()
    assert exit_code() == 1


def test_with_both_stores_away_the_exit_code_is_3(
    redis_server: RedisServer, database_server: ServerProcess
) -> None:
    redis_server.freeze()
    database_server.kill()
    assert exit_code() == 3


def test_watch_reports_until_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    live_worker()
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            WorkerHeartbeat.objects.all().delete()
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    reports = [json.loads(line)["status"] for line in status("--json", "--watch", "7").splitlines()]
    assert (naps, reports) == ([7.0] * 3, ["healthy", "healthy", "critical"])


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "soon"])
def test_watching_at_no_pace_is_refused(seconds: str) -> None:
    with pytest.raises(CommandError, match="must be a number of seconds above 0"):
        status(f"--watch={seconds}")


def test_the_process_ends_although_the_database_never_answers(
    database_server: ServerProcess, tmp_path: Any
) -> None:
    from django.db import connection

    database_server.freeze()
    environment = worker_environment(
        database_name=str(connection.settings_dict["NAME"]),
        redis_port=None,
        settings=None,
        rq=None,
    )
    process = WorkerProcess(
        ["queue_status", "--exit-code"], log=tmp_path / "log", environment=environment
    )
    try:
        # No worker, besides; and a busy machine may delay Redis for longer than a report waits.
        assert process.wait() in (2, 3), process.output
    finally:
        process.close()
    assert re.search("(database|stores)_away", process.output)
