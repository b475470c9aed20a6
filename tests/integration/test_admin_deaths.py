"""A process that dies over a request: what has been done by then is in the log."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connections
from pytest_django import Settings

from django_resilient_queue.models import FallbackJob, PausedQueue
from django_resilient_queue.stores.links import RedisLink
from example_project.servers import RedisServer, ServerProcess
from tests.conftest import reset_process_state
from tests.enqueueing import another_database, job_hash, queue, row_of, waiting
from tests.integration.letters.desk import client_of
from tests.jobs import succeed

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]
ADMIN = "/admin/django_resilient_queue/"


def die_over(request: Callable[[], object], *, after: Callable[[pytest.MonkeyPatch], None]) -> None:
    """Make a request in a process of its own, which is killed at a moment that *after* prepares."""
    connections.close_all()
    reset_process_state()
    pid = os.fork()
    if pid == 0:
        try:
            after(pytest.MonkeyPatch())
            request()
        finally:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def script(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    """As soon as Redis has carried out that script."""

    def prepare(patch: pytest.MonkeyPatch) -> None:
        run_all = RedisLink.run_all

        def run_and_die(link: RedisLink, script: Any, calls: Any) -> Any:
            run_all(link, script, calls)
            if script.name == name:
                die()

        patch.setattr(RedisLink, "run_all", run_and_die)

    return prepare


def entries() -> list[tuple[str, str]]:
    return list(LogEntry.objects.order_by("pk").values_list("object_repr", "change_message"))


def test_who_had_a_job_cancelled_is_known(redis_server: RedisServer) -> None:
    row = row_of(queue().enqueue(succeed, 1, job_id="one"))
    root = client_of()
    page = f"{ADMIN}fallbackjob/{row.pk}/cancel/"
    die_over(lambda: root.post(page), after=script("cancel"))
    assert job_hash(redis_server, "one")["status"] == b"canceled"
    assert entries() == [(str(row), "Cancel job: ordered.")]


def test_who_had_jobs_sent_home_is_known(redis_server: RedisServer) -> None:
    queue().enqueue(succeed, 1, job_id="one")
    redis_server.flush()
    FallbackJob.objects.update(state="ready", redis_copy=False)
    root = client_of()
    die_over(lambda: root.post(f"{ADMIN}fallbackjob/drain/"), after=script("push"))
    assert waiting(redis_server) == ["one"]
    assert entries() == [("fallback jobs", "Drain now: ordered.")]


def before_redis_is_told(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RedisLink, "call", lambda *_command: die())


def test_who_had_a_queue_paused_is_known_before_redis_is_told(redis_server: RedisServer) -> None:
    root = client_of()
    page = f"{ADMIN}overview/low/pause/"
    die_over(lambda: root.post(page, {"reason": "x"}), after=before_redis_is_told)
    assert PausedQueue.objects.get().queue_name == "low"
    assert entries() == [("low", "Paused: low.")]


def test_with_the_log_in_another_database_it_is_known_too(
    redis_server: RedisServer, database_server: ServerProcess, settings: Settings
) -> None:
    """Between the commit of the one and that of the other."""
    root = client_of()
    with another_database(settings):
        page = f"{ADMIN}overview/low/pause/"
        die_over(lambda: root.post(page, {"reason": "x"}), after=before_redis_is_told)
    assert PausedQueue.objects.get().queue_name == "low"
    assert entries() == [("low", "Pause: ordered.")]
