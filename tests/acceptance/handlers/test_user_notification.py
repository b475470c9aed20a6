"""user:notification by real workers, through Redis and from the database."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from django_resilient_queue import enqueue, get_job, requeue
from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import Notification, QuietHours
from tests import peers
from tests.acceptance.worker.stage import REDIS, Stage
from tests.integration.handlers.notifications.notices import ALL, ann_with, quieten
from tests.workers import WorkerProcess

QUEUE = "critical"  # whose retries come soonest


@dataclass(frozen=True)
class Post:
    """Everything a notification is sent to, and the environment of a worker that sends."""

    push: peers.PushService
    twilio: peers.Twilio
    mail: peers.MailServer
    mail_port: int

    @property
    def settings(self) -> dict[str, Any]:
        return peers.settings_for(self.push, self.twilio)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "tests.acceptance.handlers.notification_settings",
            "DRQ_TEST_EMAIL_PORT": str(self.mail_port),
        }

    def counts(self) -> tuple[int, int, int]:
        return len(self.mail.mails), len(self.push.requests), len(self.twilio.requests)


@pytest.fixture
def post() -> Iterator[Post]:
    push, twilio = peers.PushService(), peers.Twilio()
    with peers.running(push), peers.running(twilio), peers.mail_server() as (mail, port):
        yield Post(push, twilio, mail, port)


@pytest.fixture
def stage(stage: Stage, post: Post, settings: Settings) -> Stage:
    settings.RESILIENT_QUEUE = post.settings
    return stage


def start(stage: Stage, post: Post) -> WorkerProcess:
    return stage.worker(QUEUE, settings=post.settings, environment=post.environment)


def notify(user: User, **payload: Any) -> str:
    given = {"user": str(user.pk), "title": "Saturday", "message": "A parcel.", **payload}
    return enqueue("user:notification", given, queue=QUEUE).id


def outcomes(job_id: str) -> dict[str, str]:
    found = get_job(job_id)
    assert found is not None
    assert found.job is not None
    result: Any = found.job.return_value()
    return {name: each["state"] for name, each in result["data"]["channels"].items()}


def test_each_channel_gets_it_once_though_one_fails_at_first(stage: Stage, post: Post) -> None:
    browser = post.push.browser()
    ann = ann_with(browser)
    post.twilio.answers[post.twilio.path] = [503, 201]
    job_id = notify(ann, channels=ALL)
    start(stage, post)
    stage.until_state(job_id, JobState.COMPLETED)
    if stage.mode == REDIS:
        assert outcomes(job_id) == dict.fromkeys(ALL, "sent")
    assert Notification.objects.get().title == "Samstag"
    assert [mail["Subject"] for mail in post.mail.mails] == ["Samstag"]
    assert [each["title"] for each in browser.messages] == ["Samstag"]
    assert post.counts() == (1, 1, 2)


def test_a_kill_before_a_service_answers_repeats_that_channel_alone(
    stage: Stage, post: Post
) -> None:
    ann = ann_with(post.push.browser())
    post.twilio.owed = 1  # it has the text message, and its answer has no end
    job_id = notify(ann, channels=ALL)
    worker = start(stage, post)
    stage.until(lambda: len(post.twilio.requests) == 1)
    post.twilio.owed = 0
    os.kill(worker.horses[0], signal.SIGKILL)
    stage.until_state(job_id, JobState.COMPLETED)
    assert Notification.objects.count() == 1
    assert post.counts() == (1, 1, 2)


def test_a_requeued_letter_repeats_no_channel(stage: Stage, post: Post) -> None:
    ann = ann_with(post.push.browser())
    post.push.answers["/one"] = [401]
    notify(ann, channels=["email", "push"], type="security")
    start(stage, post)
    letter = stage.letter(timeout=120)
    assert letter.message == "push: HTTP 401"
    tries = len(post.push.requests)
    post.push.answers["/one"] = [201]
    requeue(letter, by="ops")
    stage.until(lambda: len(post.push.requests) > tries)
    stage.until(lambda: type(letter).objects.get().status == "recovered")
    assert post.counts() == (1, tries + 1, 0)


def test_what_waits_for_the_end_of_quiet_hours_is_sent_then(stage: Stage, post: Post) -> None:
    browser = post.push.browser()
    ann = ann_with(browser)
    quieten(ann)
    soon = timezone.now() + timedelta(seconds=6)
    QuietHours.objects.update(ends=soon.time())
    notify(ann, channels=["in_app", "push"])
    start(stage, post)
    stage.until(Notification.objects.exists)
    stage.until(lambda: len(browser.messages) == 1)
    assert timezone.now() >= soon
    assert post.counts() == (0, 1, 0)
