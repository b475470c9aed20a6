"""What operators do to a worker, and see of it, by rq's and django-rq's own means."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from datetime import timedelta
from functools import partial

import django_rq
import pytest
from django.core.management import call_command
from django.test import Client
from django_rq.settings import get_queues_list
from rq import Worker
from rq.cli.cli import main as rq_command
from rq.command import (
    send_kill_horse_command,
    send_shutdown_command,
    send_stop_execution_command,
    send_stop_job_command,
)

from django_resilient_queue.job_info import JobState
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
    stage.until_lines("begin one", "one", "two")


def test_a_suspended_worker_is_shown_as_such(stage: Stage) -> None:
    stage.worker()
    connection = django_rq.get_connection()

    def states() -> list[str]:
        return [worker.get_state() for worker in Worker.all(connection)]

    stage.until(lambda: states() == ["idle"])
    call_command("rqsuspend")
    stage.until(lambda: states() == ["suspended"])
    call_command("rqresume")
    stage.until(lambda: states() == ["idle"])


def test_a_suspension_for_a_time_ends_by_itself(stage: Stage) -> None:
    stage.worker()
    stage.until_worker_uses("redis")
    call_command("rqsuspend", duration=600)
    workers = partial(Worker.all, django_rq.get_connection())
    stage.until(lambda: [worker.get_state() for worker in workers()] == ["suspended"])
    django_rq.enqueue(jobs.record, stage.path, "one")
    assert stage.lines == []
    with stage.redis.client() as client:
        assert client.pexpire("rq:suspended", 1)  # its time is over
    stage.until_lines("one")


def test_a_suspended_worker_ends_when_asked(stage: Stage) -> None:
    call_command("rqsuspend")
    django_rq.enqueue(jobs.record, stage.path, "one")
    worker = stage.worker()
    stage.until_worker_uses("redis")
    worker.terminate()
    assert worker.wait() == 0
    assert stage.lines == []


def test_the_shutdown_command_ends_a_worker_after_its_job(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_when_released, stage.path, "one", stage.gate())
    worker = stage.worker(options=NAME)
    stage.until_lines("begin one")

    send_shutdown_command(django_rq.get_connection(), "mail-1")
    stage.open(stage.gate())
    assert worker.wait() == 0
    assert stage.lines == ["begin one", "one"]


def test_a_worker_that_is_to_end_says_since_when(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_when_released, stage.path, "one", stage.gate())
    process = stage.worker()
    stage.until_lines("begin one")
    (worker,) = Worker.all(django_rq.get_connection())
    assert worker.shutdown_requested_date is None

    process.terminate()
    stage.until(lambda: worker.shutdown_requested_date)
    stage.open(stage.gate())
    assert process.wait() == 0


def test_an_idle_worker_hears_the_shutdown_command(stage: Stage) -> None:
    worker = stage.worker(options=NAME)
    channel = "rq:pubsub:mail-1"
    with stage.redis.client() as client:
        stage.until(lambda: client.pubsub_numsub(channel)[0][1])

    send_shutdown_command(django_rq.get_connection(), "mail-1")
    assert worker.wait() == 0


def test_commands_that_arrive_together_are_all_carried_out(stage: Stage) -> None:
    worker = stage.worker(options=NAME)
    channel = "rq:pubsub:mail-1"
    with stage.redis.client() as client:
        stage.until(lambda: client.pubsub_numsub(channel)[0][1])
        with client.pipeline(transaction=True) as pipeline:
            pipeline.publish(channel, '{"command": "stop-job", "job_id": "of another worker"}')
            pipeline.publish(channel, '{"command": "shutdown"}')
            pipeline.execute()

    assert worker.wait() == 0


def test_the_kill_horse_command_kills_the_job_and_the_worker_goes_on(stage: Stage) -> None:
    django_rq.enqueue(jobs.record_slowly, stage.path, "one", 600)
    django_rq.enqueue(jobs.record, stage.path, "two")
    stage.worker(options=NAME)
    stage.until_lines("begin one")

    send_kill_horse_command(django_rq.get_connection(), "mail-1")
    assert stage.letter().reason == "killed"
    stage.until_lines("begin one", "two")


def test_stopping_a_job_ends_what_it_has_started_as_well(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.start_a_program, stage.path, 600)
    worker = stage.worker()
    stage.until(lambda: stage.lines)
    program = int(stage.lines[0])
    assert program in worker.horses

    send_stop_job_command(job.connection, job.id)
    stage.until(lambda: program not in worker.horses)
    assert not DeadLetter.objects.exists()


def test_one_execution_of_a_job_is_stopped_by_its_id(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record_slowly, stage.path, "one", 600)
    django_rq.enqueue(jobs.record, stage.path, "two")
    stage.worker()
    stage.until_lines("begin one")
    (execution,) = job.get_executions()

    send_stop_execution_command(job.connection, job.id, execution.id)
    stage.until_lines("begin one", "two")
    stage.until(lambda: job.get_status() == "stopped")
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
    assert worker.wait() == 0


def test_rqs_own_tools_show_the_worker_and_its_job(stage: Stage, admin_client: Client) -> None:
    job = django_rq.enqueue(jobs.record_when_released, stage.path, "one", stage.gate())
    stage.worker(options=NAME)
    stage.until_lines("begin one")
    stage.until(lambda: [each.get_state() for each in Worker.all(job.connection)] == ["busy"])

    (worker,) = Worker.all(job.connection)
    assert worker.name == "mail-1"
    assert worker.get_current_job_id() == job.id
    index = index_of("default")
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


def test_rqs_own_tools_show_each_job_of_a_worker_with_several_horses(stage: Stage) -> None:
    enqueued = [
        django_rq.enqueue(jobs.record_when_released, stage.path, n, stage.gate()) for n in range(2)
    ]
    stage.worker(settings={"CONCURRENCY": 2})
    stage.until(lambda: len(stage.lines) == 2)

    (worker,) = Worker.all(django_rq.get_connection())
    assert worker.current_execution_count == 2
    found = {execution.job_id for execution in worker.get_current_executions()}
    assert found == {job.id for job in enqueued}
    stage.open(stage.gate())
    stage.until(lambda: not worker.get_current_executions(refresh=True))


def test_a_job_is_stopped_from_the_dashboard(stage: Stage, admin_client: Client) -> None:
    job = django_rq.enqueue(jobs.record_slowly, stage.path, "one", 600)
    stage.worker()
    stage.until_lines("begin one")

    admin_client.post(f"/django-rq/queues/{index_of('default')}/{job.id}/stop/")
    stage.until(lambda: job.get_status() == "stopped")


def test_a_dead_job_is_requeued_from_the_dashboard(stage: Stage, admin_client: Client) -> None:
    job = django_rq.enqueue(jobs.record_and_fail_at_first, stage.path, "one")
    stage.worker()
    stage.letter()
    stage.until(lambda: stage.row(job.id) is None)

    data = {"requeue": "Yes"}
    admin_client.post(f"/django-rq/queues/{index_of('default')}/{job.id}/requeue/", data)
    stage.until_lines("one", "one")
    stage.until(lambda: job.get_status() == "finished")
    assert DeadLetter.objects.count() == 1


def test_a_scheduled_job_is_enqueued_at_once_from_the_dashboard(
    stage: Stage, admin_client: Client
) -> None:
    queue = django_rq.get_queue()
    job = queue.enqueue_in(timedelta(hours=1), jobs.record, stage.path, "one")
    stage.worker()
    stage.until_worker_uses("redis")

    data = {"post": "yes"}
    admin_client.post(f"/django-rq/queues/{index_of('default')}/{job.id}/enqueue/", data)
    stage.until_lines("one")
    stage.until(lambda: stage.row(job.id) is None)
    assert job.get_status() == "finished"


def test_a_job_that_is_cancelled_while_it_waits_is_not_run(stage: Stage) -> None:
    job = django_rq.enqueue(jobs.record, stage.path, "cancelled")
    job.cancel()
    django_rq.enqueue(jobs.record, stage.path, "next")
    stage.worker()

    stage.until_lines("next")
    stage.until(lambda: stage.row(job.id) is None)
    assert stage.state(job.id) == JobState.CANCELLED


def index_of(queue_name: str) -> int:
    return [queue["name"] for queue in get_queues_list()].index(queue_name)


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
