"""What operators do to a worker, and see of it, by rq's and django-rq's own means."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import django_rq
import pytest
from django.core.management import call_command
from django.test import Client
from django_rq.settings import get_queues_list
from rq import Worker
from rq.cli.cli import main as rq_command
from rq.command import send_kill_horse_command, send_shutdown_command, send_stop_job_command

from django_resilient_queue.models import DeadLetter, FallbackJob
from tests import jobs
from tests.acceptance.worker.stage import Stage, in_redis

pytestmark = in_redis

NAME = ["--name", "mail-1"]


def test_a_suspended_worker_starts_no_job_until_it_is_resumed(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_when_released, stage.path, "one", stage.gate())
    stage.worker()
    stage.until_lines("begin one")
    call_command("rqsuspend")
    django_rq.enqueue(jobs.record, stage.path, "two")

    stage.open(stage.gate())
    stage.until(lambda: FallbackJob.objects.count() == 1)  # the first is done with
    with pytest.raises(AssertionError):
        stage.until(lambda: len(stage.lines) > 2, timeout=1.5)
    call_command("rqresume")
    stage.until_lines("begin one", "one", "two", timeout=4)


def test_the_shutdown_command_ends_a_worker_after_its_job(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_when_released, stage.path, "one", stage.gate())
    worker = stage.worker(options=NAME)
    stage.until_lines("begin one")

    send_shutdown_command(django_rq.get_connection(), "mail-1")
    stage.open(stage.gate())
    assert worker.wait() == 0
    assert stage.lines == ["begin one", "one"]


def test_an_idle_worker_hears_the_shutdown_command(stage: Stage) -> None:
    worker = stage.worker(options=NAME)
    channel = "rq:pubsub:mail-1"
    with stage.redis.client() as client:
        stage.until(lambda: client.pubsub_numsub(channel)[0][1])

    send_shutdown_command(django_rq.get_connection(), "mail-1")
    assert worker.wait(timeout=5) == 0


def test_commands_that_arrive_together_are_all_carried_out(stage: Stage) -> None:
    worker = stage.worker(options=NAME)
    channel = "rq:pubsub:mail-1"
    with stage.redis.client() as client:
        stage.until(lambda: client.pubsub_numsub(channel)[0][1])
        with client.pipeline(transaction=True) as pipeline:
            pipeline.publish(channel, '{"command": "stop-job", "job_id": "of another worker"}')
            pipeline.publish(channel, '{"command": "shutdown"}')
            pipeline.execute()

    assert worker.wait(timeout=5) == 0


def test_the_kill_horse_command_kills_the_job_and_the_worker_goes_on(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_slowly, stage.path, "one", 60)
    django_rq.enqueue(jobs.record, stage.path, "two")
    stage.worker(options=NAME)
    stage.until_lines("begin one")

    send_kill_horse_command(django_rq.get_connection(), "mail-1")
    assert stage.letter().reason == "killed"
    stage.until_lines("begin one", "two")


def test_stopping_a_job_ends_what_it_has_started_as_well(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.start_a_program, stage.path, 60)
    worker = stage.worker()
    stage.until(lambda: stage.lines)
    program = int(stage.lines[0])
    assert program in worker.horses

    send_stop_job_command(job.connection, job.id)
    stage.until(lambda: program not in worker.horses)
    assert not DeadLetter.objects.exists()


def test_commands_are_heard_again_after_redis_was_away(stage: Stage) -> None:
    worker = stage.worker(options=NAME)
    stage.until_worker_uses("redis")
    stage.redis.kill()
    stage.until_worker_uses("database")
    stage.redis.start()
    channel = "rq:pubsub:mail-1"
    with stage.redis.client() as client:
        stage.until(lambda: client.pubsub_numsub(channel)[0][1])

    send_shutdown_command(django_rq.get_connection(), "mail-1")
    assert worker.wait(timeout=5) == 0


def test_rqs_own_tools_show_the_worker_and_its_job(stage: Stage, admin_client: Client) -> None:
    job = django_rq.enqueue(jobs.record_when_released, stage.path, "one", stage.gate())
    stage.worker(options=NAME)
    stage.until_lines("begin one")
    stage.until(lambda: [each.get_state() for each in Worker.all(job.connection)] == ["busy"])

    (worker,) = Worker.all(job.connection)
    assert worker.name == "mail-1"
    assert worker.get_current_job_id() == job.id
    index = [queue["name"] for queue in get_queues_list()].index("default")
    assert "mail-1" in page(admin_client, f"/django-rq/workers/{index}/")
    assert job.id in page(admin_client, f"/django-rq/workers/{index}/rq:worker:mail-1/")
    assert job.id in page(admin_client, f"/django-rq/queues/{index}/started/")
    assert page(admin_client, "/django-rq/")
    assert "default" in printed("rqstats")
    assert "mail-1" in rq_info(stage.redis.url)
    # None of them has disturbed the job.
    stage.open(stage.gate())
    stage.until_lines("begin one", "one")
    stage.until(lambda: job.get_status() == "finished")
    stage.until(lambda: [each.get_state() for each in Worker.all(job.connection)] == ["idle"])
    (worker,) = Worker.all(job.connection)
    assert (worker.successful_job_count, worker.failed_job_count) == (1, 0)


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def printed(command: str) -> str:
    output = io.StringIO()
    with redirect_stdout(output):
        call_command(command)
    return output.getvalue()


def rq_info(url: str) -> str:
    output = io.StringIO()
    with redirect_stdout(output):
        rq_command(["info", "--url", url], standalone_mode=False)
    return output.getvalue()


def test_a_worker_is_known_again_and_loses_no_job_when_redis_is_flushed(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_when_released, stage.path, "one", stage.gate())
    django_rq.enqueue(jobs.record, stage.path, "two")
    stage.worker(options=NAME)
    stage.until_lines("begin one")
    stage.until(lambda: Worker.count(django_rq.get_connection()) == 1)

    stage.redis.flush()
    stage.until(lambda: [w.name for w in Worker.all(django_rq.get_connection())] == ["mail-1"])
    stage.open(stage.gate())
    stage.until_lines("begin one", "one", "two")
    stage.until(lambda: not FallbackJob.objects.exists())


def test_lost_scripts_disturb_nobody(stage: Stage) -> None:
    stage.worker()
    for number in range(30):
        django_rq.enqueue(jobs.record, stage.path, number)
        with stage.redis.client() as client:
            client.script_flush()
    stage.until_lines(*(str(number) for number in range(30)))
    stage.until(lambda: not FallbackJob.objects.exists())
