"""email:send in workers, from either store, against a mail server."""

from __future__ import annotations

import os
import signal

import pytest

from django_resilient_queue import enqueue, get_job, requeue
from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import DeadLetter
from example_project.servers import RedisServer
from tests.acceptance.worker.stage import SHORT_LEASE, Stage
from tests.conftest import StartWorker, WaitUntil
from tests.mailserver import DROP, HOLD, OK, MailServer, addresses

NEVER = "550 5.1.1 unknown"


@pytest.mark.parametrize("mode", ["redis", "database"])
def test_mails_are_sent_tried_again_and_requeued_without_doubles(
    mode: str,
    redis_server: RedisServer,
    mail_server: MailServer,
    worker_process: StartWorker,
    wait_until: WaitUntil,
) -> None:
    if mode == "database":
        redis_server.kill()
    mail_server.answer_recipient("bob@example.com", "451 4.7.1 later", OK)
    mail_server.answer_recipient("dan@example.com", NEVER, OK)
    content = {"subject": "hello", "html": "<style>p{color:red}</style><p>hi"}
    parts = enqueue("email:send", {"to": addresses("ann", "bob"), **content}, attempts=2)
    enqueue("email:send", {"to": addresses("dan"), **content}, job_id="dan")
    mail_server.answer_data(OK, OK, DROP, OK)
    worker = worker_process("high", settings={"MAIL_BACKENDS": mail_server.backend()})

    def state(job_id: str) -> JobState | None:
        found = get_job(job_id)
        return found.state if found else None

    wait_until(lambda: state(parts.id) == JobState.COMPLETED)
    wait_until(DeadLetter.objects.exists)
    letter = DeadLetter.objects.get()
    assert (letter.job_id, letter.attempts) == ("dan", 1)
    assert letter.message == (
        "every recipient was refused, the first with 550 5.1.1: there is no such mailbox"
    )
    assert mail_server.recipients == [addresses("ann"), addresses("bob")]
    again = requeue(letter, by="operator", reason="the mailbox is there now")
    wait_until(lambda: state(again) == JobState.COMPLETED)
    assert mail_server.recipients[2:] == [addresses("dan")] * 2
    messages = mail_server.messages
    assert messages[0]["Message-ID"] == messages[1]["Message-ID"]
    # The connection broke after the data: sent again, and recognisable as the same.
    assert messages[2]["Message-ID"] == messages[3]["Message-ID"]
    assert "example.com" not in worker.output


@pytest.mark.parametrize("killed", ["horse", "worker"])
def test_a_kill_before_the_server_answers_repeats_the_mail_to_that_recipient_alone(
    stage: Stage, mail_server: MailServer, killed: str
) -> None:
    """Taken and not noted, it comes twice, recognisable; what was noted comes once."""
    mail_server.answer_data(OK, HOLD, OK)
    bounces = {"MAIL_ENVELOPE_SENDER": "bounces+{recipient}@example.com"}
    known = {**SHORT_LEASE, **bounces, "MAIL_BACKENDS": mail_server.backend()}
    payload = {"to": addresses("ann", "bob"), "subject": "hello", "body": "hi"}
    job = enqueue("email:send", payload)
    worker = stage.worker("high", settings=known)
    stage.until(lambda: len(mail_server.taken) == 2)
    if killed == "horse":
        os.kill(worker.horses[0], signal.SIGKILL)
    else:
        worker.kill()
        stage.worker("high", settings=known)
    stage.until_state(job.id, JobState.COMPLETED)
    assert mail_server.recipients == [addresses("ann"), addresses("bob"), addresses("bob")]
    one, two, three = (each["Message-ID"] for each in mail_server.messages)
    assert one == two == three
