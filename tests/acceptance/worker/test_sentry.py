"""What Sentry hears of jobs, over HTTP from real workers: each death once."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import django_rq
import pytest
from rq import Retry

from django_resilient_queue import enqueue
from django_resilient_queue.models import DeadLetter
from tests import jobs
from tests.acceptance.worker.stage import SHORT_LEASE, Stage
from tests.workers import WorkerProcess

pytestmark = pytest.mark.from_the_command_line  # Sentry changes libraries as they are imported

HUSH = "hush-4111"


class Inbox:
    """A server that takes what Sentry's client sends."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.bodies: list[str] = []
        self.delay = 0.0  # seconds until it answers
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.take(body)
                threading.Event().wait(outer.delay)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "tests.acceptance.worker.sentry_settings",
            "DRQ_TEST_SENTRY": f"http://key@127.0.0.1:{self.http.server_port}/1",
        }

    def take(self, envelope: bytes) -> None:
        """The items of an envelope: a line of headers and a line, or so many bytes, each."""
        self.bodies.append(envelope.decode(errors="replace"))
        rest = envelope.partition(b"\n")[2]
        while rest.strip():
            head, _, rest = rest.partition(b"\n")
            length = json.loads(head).get("length")
            end = length if length is not None else rest.find(b"\n") % (len(rest) + 1)
            if json.loads(head)["type"] in ("event", "transaction"):
                self.items.append({"kind": json.loads(head)["type"], **json.loads(rest[:end])})
            rest = rest[end:].lstrip(b"\n")

    @property
    def events(self) -> list[dict[str, Any]]:
        return [item for item in self.items if item["kind"] == "event"]

    @property
    def transactions(self) -> list[dict[str, Any]]:
        return [item for item in self.items if item["kind"] == "transaction"]


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    found = Inbox()
    thread = threading.Thread(target=found.http.serve_forever, args=(0.05,))
    thread.start()
    yield found
    found.http.shutdown()
    thread.join()
    found.http.server_close()


def started(stage: Stage, inbox: Inbox, **settings: Any) -> WorkerProcess:
    return stage.worker(environment=inbox.environment, settings=settings)


def end(worker: WorkerProcess) -> None:
    """Warm: what it has not sent has to be out by then."""
    worker.terminate()
    worker.wait()


def test_a_job_that_fails_is_one_event_when_no_attempt_is_left(stage: Stage, inbox: Inbox) -> None:
    job = django_rq.enqueue(jobs.break_with, HUSH, retry=Retry(2))
    worker = started(stage, inbox)
    stage.letter()
    end(worker)
    (event,) = inbox.events
    assert event["exception"]["values"][0]["type"] == "ValueError"
    assert event["exception"]["values"][0]["mechanism"]["type"] == "rq"
    about = event["extra"]["rq-job"]
    assert (about["job_id"], about["func"]) == (job.id, "tests.jobs.break_with")
    assert "args" not in about
    names = [(one["transaction"], one["contexts"]["trace"]["op"]) for one in inbox.transactions]
    assert names == [("tests.jobs.break_with", "queue.task.rq")] * 3


def test_an_error_that_no_attempt_can_mend_is_one_event(stage: Stage, inbox: Inbox) -> None:
    enqueue("letter:bounce", {"ledger": stage.path, "value": "x"}, queue="default")
    worker = started(stage, inbox)
    stage.letter()
    end(worker)
    (event,) = inbox.events
    assert event["exception"]["values"][0]["type"] == "AddressGone"


def test_the_death_of_a_critical_job_is_one_event(stage: Stage, inbox: Inbox) -> None:
    """The line of the log that says so is none."""
    enqueue("letter:vital", {"ledger": stage.path, "value": "x"}, queue="default")
    worker = started(stage, inbox)
    stage.until(lambda: "critical job dead-lettered" in worker.output)
    end(worker)
    (event,) = inbox.events
    assert event["exception"]["values"][0]["type"] == "ConnectionError"


def test_a_killed_job_is_one_event(stage: Stage, inbox: Inbox) -> None:
    job = django_rq.enqueue(jobs.kill_own_process)
    worker = started(stage, inbox)
    stage.letter()
    end(worker)
    (event,) = inbox.events
    assert event["message"] == "tests.jobs.kill_own_process died: killed"
    assert event["extra"]["rq-job"]["job_id"] == job.id
    assert event["tags"]["reason"] == "killed"


@pytest.mark.parametrize("sends", [False, True])
def test_the_message_of_a_death_is_sent_where_personal_data_is(
    stage: Stage, inbox: Inbox, sends: bool
) -> None:
    """It may repeat what the job was called with."""
    django_rq.enqueue(jobs.kill_own_process)
    environment = {**inbox.environment, "DRQ_TEST_SENTRY_PII": str(int(sends))}
    worker = stage.worker(environment=environment, settings={})
    letter = stage.letter()
    end(worker)
    (event,) = inbox.events
    about = event["extra"]["rq-job"]
    assert about["error_class"] == letter.error_class
    assert about.get("message") == (letter.message if sends else None)


def test_a_job_out_of_retries_that_it_returned_is_one_event(stage: Stage, inbox: Inbox) -> None:
    django_rq.enqueue(jobs.return_retry)
    worker = started(stage, inbox)
    stage.letter()
    end(worker)
    (event,) = inbox.events
    assert event["tags"]["reason"] == "retries_exceeded"


def test_a_job_that_runs_out_of_time_is_one_event(stage: Stage, inbox: Inbox) -> None:
    """In its own process by a signal; killed for it where that has no effect."""
    django_rq.enqueue(jobs.ignore_the_alarm, stage.path, job_timeout=1)
    django_rq.enqueue(jobs.record_slowly, stage.path, "slow", 30, job_timeout=1)
    worker = started(stage, inbox, KILL_GRACE=0)
    stage.until(lambda: DeadLetter.objects.filter(reason="timeout").count() == 2)
    end(worker)
    assert len(inbox.events) == 2


def test_an_abandoned_job_is_one_event(stage: Stage, inbox: Inbox) -> None:
    gate = stage.gate()
    django_rq.enqueue(jobs.record_when_released, stage.path, "held", gate)
    settings = {**SHORT_LEASE, "RESCUE_LIMIT": 1}
    for begun in (["begin held"], ["begin held"] * 2):
        worker = started(stage, inbox, **settings)
        stage.until_lines(*begun)
        worker.kill()
    others = [started(stage, inbox, **settings) for _ in range(2)]
    assert stage.letter().reason == "abandoned"
    for worker in others:
        end(worker)
    (event,) = inbox.events
    assert event["tags"]["reason"] == "abandoned"


def test_what_one_job_tells_sentry_is_not_told_of_the_next(stage: Stage, inbox: Inbox) -> None:
    django_rq.enqueue(jobs.tag_for_sentry, HUSH)
    django_rq.enqueue(jobs.fail)
    worker = started(stage, inbox)
    stage.letter()
    end(worker)
    (event,) = inbox.events
    assert HUSH not in json.dumps(event)


@pytest.mark.parametrize("most", [1, 10_000])
def test_events_are_sent_before_the_horse_ends(stage: Stage, inbox: Inbox, most: int) -> None:
    """To a server that is slower than the jobs."""
    inbox.delay = 0.1
    for number in range(4):
        django_rq.enqueue(jobs.fail, f"number {number}")
    worker = started(stage, inbox, HORSE_MAX_JOBS=most)
    stage.until(lambda: DeadLetter.objects.count() == 4)
    end(worker)
    assert len(inbox.events) == 4


def test_an_arguments_value_is_not_sent(stage: Stage, inbox: Inbox) -> None:
    django_rq.enqueue(jobs.fail_when_released, stage.path, __file__, secret=HUSH)
    django_rq.enqueue(jobs.kill_own_process, description=f"kill({HUSH})")
    worker = started(stage, inbox)
    stage.until(lambda: DeadLetter.objects.count() == 2)
    end(worker)
    assert len(inbox.events) == 2
    assert HUSH not in "".join(inbox.bodies)
