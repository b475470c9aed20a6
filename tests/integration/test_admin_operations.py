"""Every operation of every page: for whom it is, and what it does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rq.job import Job

from django_resilient_queue import get_job, pause_queue
from django_resilient_queue.admin.operation import Operation, OperationsMixin
from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import (
    Alert,
    AlertSilence,
    DeadLetter,
    Export,
    FallbackJob,
    Overview,
    PausedQueue,
    RecoveryRun,
    WorkerHeartbeat,
)
from django_resilient_queue.recovery.drain import drain_now
from example_project.servers import FaultyProxy, RedisServer
from tests import rows
from tests.clients import client_of
from tests.conftest import reset_process_state
from tests.enqueueing import queue
from tests.jobs import succeed

pytestmark = pytest.mark.django_db(transaction=True)

# A row on which each operation makes sense.
PAUSED: dict[str, Any] = {"status": "paused"}
ROWS: dict[tuple[type[Model], str], dict[str, Any]] = {
    (Alert, "silence"): {},
    (AlertSilence, "lift"): {},
    (Export, "cancel"): {},
    (FallbackJob, "cancel"): {"state": "ready"},
    (FallbackJob, "hasten"): {"state": "ready"},
    (Overview, "pause"): {},
    (Overview, "resume"): {"is_paused": True},
    (PausedQueue, "resume"): {},
    (RecoveryRun, "cancel"): PAUSED,
    (RecoveryRun, "pause"): {},
    (RecoveryRun, "resume"): PAUSED,
    (WorkerHeartbeat, "stop"): {},
}
# What the other answers of its form are.
ANSWERS: dict[tuple[type[Model], str], dict[str, Any]] = {
    (Alert, "silence"): {"hours": 4},
    (WorkerHeartbeat, "stop"): {"started_at": rows.NOON.isoformat()},
}


def all_operations() -> Iterator[tuple[type[Model], Operation]]:
    for model in apps.get_app_config("django_resilient_queue").get_models():
        page = admin.site._registry.get(model)
        # What is done to letters has tests of its own, in the folder of that name.
        if isinstance(page, OperationsMixin) and model is not DeadLetter:
            yield from ((model, each) for each in page.operations)


OPERATIONS = [
    pytest.param(model, each, id=f"{model.__name__}-{each.name}")
    for model, each in all_operations()
]
each_operation = pytest.mark.parametrize(("model", "operation"), OPERATIONS)


def make_queue(name: str, *, is_paused: bool = False) -> Overview:
    """It has no row but that of its pause."""
    if is_paused:
        rows.make_pause("low")
    return Overview(queue_name="low")


MAKERS: dict[type[Model], Any] = {**rows.MAKERS, Overview: make_queue}


def make(model: type[Model], operation: Operation) -> Any:
    return MAKERS[model]("row-one", **ROWS[model, operation.name])


def address(row: Model, page: str) -> str:
    return reverse(f"admin:django_resilient_queue_{row._meta.model_name}_{page}", args=(row.pk,))


def view(row: Model) -> str:
    return f"view_{row._meta.model_name}"


@each_operation
def test_it_is_offered_to_nobody_else_and_refused_when_asked_by_hand(
    redis_server: RedisServer, model: type[Model], operation: Operation
) -> None:
    row = make(model, operation)
    target = address(row, operation.name)
    onlooker = client_of(view(row))
    assert target not in onlooker.get(address(row, "change"), follow=True).text
    assert onlooker.get(target).status_code == 403
    assert onlooker.post(target).status_code == 403
    if not operation.permission.startswith("change_"):  # who may change may look, in Django
        assert client_of(operation.permission).post(target).status_code == 403
    assert not LogEntry.objects.exists()


@each_operation
def test_another_site_can_not_have_it_done(
    redis_server: RedisServer, model: type[Model], operation: Operation
) -> None:
    row = make(model, operation)
    client = client_of(view(row), operation.permission, enforce_csrf_checks=True)
    assert client.post(address(row, operation.name)).status_code == 403
    assert not LogEntry.objects.exists()


@each_operation
def test_it_is_offered_confirmed_logged_and_told_once(
    redis_server: RedisServer,
    model: type[Model],
    operation: Operation,
    acts: list[dict[str, Any]],
) -> None:
    row = make(model, operation)
    if model is FallbackJob:
        row = stored_job(redis_server)
    target = address(row, operation.name)
    client = client_of(view(row), operation.permission)
    assert target in client.get(address(row, "change"), follow=True).text
    assert str(operation.question) in client.get(target).text.replace("&#x27;", "'")
    assert not LogEntry.objects.exists()
    answer = client.post(target, ANSWERS.get((model, operation.name), {}), follow=True)
    assert "messagelist" in answer.text
    assert 'class="success"' in answer.text
    *before, entry = LogEntry.objects.order_by("pk")
    assert [each.change_message for each in before] == orders(operation)
    assert {each.object_id for each in (*before, entry)} == {str(row.pk)}
    (told,) = acts
    assert (told["sender"], told["operation"]) == (model, operation.name)
    assert (told["by"], told["words"]) == (entry.user.get_username(), entry.change_message)
    assert told["row"]._meta.model is model


def orders(operation: Operation) -> list[str]:
    return [] if operation.is_atomic else [f"{operation.label}: ordered."]


def messages() -> list[str]:
    """What the log has, from the first entry on."""
    return list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))


def stored_job(redis_server: RedisServer) -> FallbackJob:
    redis_server.kill()
    return row_of(queue().enqueue(succeed, 1))


def row_of(job: Job) -> FallbackJob:
    return FallbackJob.objects.get(job_id=job.id)


def operate(row: Model, name: str, **answers: Any) -> str:
    """Have somebody who may do everything do it; returns the page that is shown then."""
    client = Client()
    client.force_login(User.objects.create_superuser(f"root-{User.objects.count()}"))
    return client.post(address(row, name), answers, follow=True).text


@pytest.mark.parametrize(
    ("model", "name"),
    [(AlertSilence, "lift"), (PausedQueue, "resume"), (Overview, "pause"), (Overview, "resume")],
)
def test_what_somebody_else_has_done_meanwhile_is_said_and_not_logged(
    redis_server: RedisServer, model: type[Model], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the row and the change of it."""
    operation = next(each for kind, each in all_operations() if (kind, each.name) == (model, name))
    row = make(model, operation)
    client = client_of(view(row), operation.permission)
    form = type(operation).form

    def late(*args: Any) -> Any:
        PausedQueue.objects.all().delete()
        AlertSilence.objects.all().delete()
        if name == "pause":
            pause_queue("low")
        return form(operation, *args)

    monkeypatch.setattr(operation, "form", late, raising=False)
    answer = client.post(address(row, name), follow=True)
    assert 'class="error"' in answer.text
    assert 'class="success"' not in answer.text
    assert not LogEntry.objects.exists()


def test_a_run_is_paused_resumed_and_cancelled() -> None:
    run = rows.make_run("mended")
    operate(run, "pause", reason="lunch")
    run.refresh_from_db()
    assert (run.status, run.note) == ("paused", "lunch")
    operate(run, "resume")
    run.refresh_from_db()
    assert run.status == "running"
    operate(run, "cancel")
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert "has changed meanwhile" in operate(run, "resume")


def test_a_stored_job_is_due_at_once(redis_server: RedisServer) -> None:
    row = stored_job(redis_server)
    FallbackJob.objects.update(due_at=timezone.now() + timedelta(days=1))
    operate(row, "hasten")
    assert FallbackJob.objects.get().due_at <= timezone.now()


def test_a_job_in_redis_is_looked_for_at_once(redis_server: RedisServer) -> None:
    row = row_of(queue().enqueue(succeed, 1))
    assert row.check_at > timezone.now()
    operate(row, "hasten")
    row.refresh_from_db()
    assert (row.state, row.checks) == ("dispatched", 0)
    assert row.check_at <= timezone.now()


def test_a_job_is_cancelled_in_both_stores(redis_server: RedisServer) -> None:
    job = queue().enqueue(succeed, 1)
    operate(row_of(job), "cancel")
    info = get_job(job.id)
    assert info is not None
    assert info.state is JobState.CANCELLED
    assert not FallbackJob.objects.exists()


def test_who_has_cancelled_a_job_is_led_to_the_list_as_its_row_is_gone(
    redis_server: RedisServer,
) -> None:
    row = row_of(queue().enqueue(succeed, 1))
    page = operate(row, "cancel")
    assert "Cancelled." in page
    assert 'class="warning"' not in page
    assert 'id="changelist"' in page


def test_a_job_that_redis_may_have_is_not_cancelled_while_nobody_can_tell_it(
    redis_server: RedisServer,
) -> None:
    row = row_of(queue().enqueue(succeed, 1))
    redis_server.kill()
    text = operate(row, "cancel")
    assert 'class="error"' in text
    assert FallbackJob.objects.exists()
    ordered, outcome = messages()
    assert ordered == "Cancel job: ordered."
    assert outcome.startswith("Cancel job: not done. ConnectionError")


def test_a_job_that_may_have_been_cancelled_is_said_and_logged_as_such(
    redis_server: RedisServer, behind_proxy: FaultyProxy
) -> None:
    """Redis has done it, and its answer was lost."""
    job = queue().enqueue(succeed, 1)
    behind_proxy.drop_reply(b"EVALSHA", times=1)
    text = unescape(operate(row_of(job), "cancel"))
    assert "Cancel job: whether it was done is not known" in text
    ordered, outcome = messages()
    assert ordered == "Cancel job: ordered."
    assert outcome in text
    assert Job.fetch(job.id, connection=queue().connection).is_canceled


def test_an_export_is_cancelled() -> None:
    export = rows.make_export("7")
    operate(export, "cancel")
    export.refresh_from_db()
    assert export.state == "cancelled"


def test_a_rule_is_silent_for_as_long_as_was_asked() -> None:
    operate(rows.make_alert("default"), "silence", hours=4, reason="we know")
    silence = AlertSilence.objects.get()
    assert (silence.rule, silence.reason) == ("backlog_late", "we know")
    remaining = silence.until - timezone.now()
    assert timedelta(hours=3, minutes=59) < remaining <= timedelta(hours=4)
    operate(silence, "lift")
    assert not AlertSilence.objects.exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"state": "claimed"}, "runs from the database"),
        ({"state": "finished"}, "has ended; Redis is to be told"),
        ({"state": "ready", "waits_for": "dependencies"}, "waits for another job"),
        ({"state": "ready"}, "waits for its time, Jan. 2, 2030, noon"),
    ],
)
def test_a_job_says_why_it_waits(values: dict[str, str], words: str) -> None:
    assert words in words_of(rows.make_job("row-one", **values))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("ready", "waits for a worker, or for Redis to return"),
        ("dispatched", "waits in Redis for a worker"),
    ],
)
def test_a_job_that_is_due_waits_for_a_worker_or_for_the_end_of_a_pause(
    redis_server: RedisServer, state: str, words: str
) -> None:
    row = rows.make_job("row-one", state=state)
    FallbackJob.objects.update(due_at=timezone.now())
    assert words in words_of(row)
    pause_queue("default")
    assert "its queue is paused" in words_of(row)


def words_of(row: FallbackJob) -> str:
    return client_of("view_fallbackjob").get(address(row, "change")).text


def test_the_file_of_an_export_is_offered_to_its_user_alone() -> None:
    export = rows.make_export("someone", state="ready")
    owner = client_of("view_export")
    assert "Download" not in owner.get(address(export, "change")).text
    Export.objects.update(user_key=owner.session["_auth_user_id"])
    assert "Download" in owner.get(address(export, "change")).text


# ---- all stored jobs ----------------------------------------------------------------------------

DRAIN = "/admin/django_resilient_queue/fallbackjob/drain/"
STORED = "/admin/django_resilient_queue/fallbackjob/"


@pytest.mark.parametrize("is_atomic", [False, True])
def test_stored_jobs_are_drained_from_their_list(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, is_atomic: bool
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", is_atomic)
    stored_job(redis_server)
    redis_server.start()
    reset_process_state()
    client = client_of("view_fallbackjob", "drain_fallbackjob")
    assert DRAIN in client.get(STORED).text
    assert "are sent there now" in client.get(DRAIN).text
    assert queue().count == 0
    assert "1 job sent to Redis." in client.post(DRAIN, follow=True).text
    assert queue().count == 1
    assert messages() == ["Drain now: ordered.", "1 job sent to Redis."]


def test_draining_says_that_redis_is_away(redis_server: RedisServer) -> None:
    stored_job(redis_server)
    answer = client_of("view_fallbackjob", "drain_fallbackjob").post(DRAIN, follow=True)
    assert 'class="error"' in answer.text
    ordered, outcome = messages()
    assert ordered == "Drain now: ordered."
    assert outcome.startswith("Drain now: not done. ConnectionError")


def test_draining_is_for_those_alone_who_may(redis_server: RedisServer) -> None:
    onlooker = client_of("view_fallbackjob")
    assert DRAIN not in onlooker.get(STORED).text
    assert onlooker.get(DRAIN).status_code == 403
    assert onlooker.post(DRAIN).status_code == 403
    assert client_of("drain_fallbackjob").post(DRAIN).status_code == 403
    forged = client_of("view_fallbackjob", "drain_fallbackjob", enforce_csrf_checks=True)
    assert forged.post(DRAIN).status_code == 403


def test_nothing_is_drained_inside_a_transaction(redis_server: RedisServer) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError):
        drain_now()
