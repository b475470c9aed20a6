"""Order, fallback, preferences and quiet hours; nothing is sent twice."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.utils import timezone

from django_resilient_queue import enqueue, get_job
from django_resilient_queue.exceptions import InvalidPayload
from django_resilient_queue.handlers.business.notification import handler, schemas
from django_resilient_queue.handlers.business.notification.delivery import (
    NotDelivered,
    Undeliverable,
)
from django_resilient_queue.handlers.registry import registry
from django_resilient_queue.job_info import JobState
from django_resilient_queue.models import (
    FallbackJob,
    Notification,
    NotificationDelivery,
    NotificationPreference,
    QuietHours,
)
from example_project.servers import RedisServer
from tests.integration.handlers.notifications.notices import (
    ALL,
    deliver,
    notify,
    payload,
    quieten,
    recorded,
)
from tests.peers import Browser, MailServer, PushService, Twilio

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_next_channel_takes_what_the_first_does_not(
    ann: User, push: PushService, twilio: Twilio
) -> None:
    push.answers["/one"] = [503]
    states = notify(ann, channels=["push", "sms", "in_app"], mode="first")
    assert states == {"push": "unavailable", "sms": "sent"}
    assert not Notification.objects.exists()
    assert len(twilio.messages) == 1


def test_the_first_that_takes_it_is_enough(ann: User, browser: Browser, twilio: Twilio) -> None:
    assert notify(ann, channels=["push", "sms"], mode="first") == {"push": "sent"}
    assert twilio.requests == []


def test_where_one_has_it_a_rescued_job_tries_no_other_again(
    ann: User, push: PushService, twilio: Twilio
) -> None:
    """Its worker died when all was done but told."""
    push.answers["/one"] = [503, 201]
    stored = payload(ann, channels=["push", "sms"], mode="first")
    deliver(ann, stored)
    assert deliver(ann, stored) == {"sms": "sent"}
    assert (push.asked("/one"), len(twilio.messages)) == (1, 1)


def test_an_attempt_repeats_no_channel_that_has_it(
    ann: User, mail: MailServer, push: PushService, twilio: Twilio
) -> None:
    twilio.answers[twilio.path] = [503, 201]
    stored = payload(ann, channels=ALL)
    with pytest.raises(NotDelivered, match=r"^sms: HTTP 503"):
        deliver(ann, stored)
    assert deliver(ann, stored) == dict.fromkeys(ALL, "sent")
    assert (Notification.objects.count(), len(mail.mails), push.asked("/one")) == (1, 1, 1)


def test_a_requeued_job_repeats_only_what_failed(
    ann: User, mail: MailServer, push: PushService
) -> None:
    """Its id is another one; its key is that of the letter."""
    mail.refusal = "550 no such user"
    stored = payload(ann, channels=["push", "email"])
    assert deliver(ann, stored) == {"push": "sent", "email": "refused"}
    mail.refusal = ""
    assert deliver(ann, stored) == {"push": "sent", "email": "refused"}
    assert deliver(ann, stored, "another") == {"push": "sent", "email": "sent"}
    assert (len(mail.mails), push.asked("/one")) == (1, 1)


def test_a_channel_that_was_written_down_by_a_late_attempt_stays_sent(ann: User) -> None:
    stored = payload(ann, channels=["in_app"])
    deliver(ann, stored)
    NotificationDelivery.objects.record(
        str(ann.pk), stored["key"], "in_app", "", state="unavailable", job_id="late"
    )
    assert recorded(ann) == {"in_app": "sent"}


def test_what_no_channel_takes_is_a_permanent_error(ann: User, push: PushService) -> None:
    push.answers["/one"] = [410]
    ann.email = ""
    with pytest.raises(Undeliverable, match=r"push: .*; email: "):
        notify(ann, channels=["push", "email"], mode="first")


# ---- preferences ------------------------------------------------------------------------------


def test_a_channel_that_is_off_is_left_out(ann: User, push: PushService, mail: MailServer) -> None:
    prefer = NotificationPreference.objects.set_for
    prefer(str(ann.pk), "", "push", enabled=False)
    prefer(str(ann.pk), "news", "email", enabled=False)
    prefer(str(ann.pk), "parcel", "push", enabled=True)
    channels = ["push", "email"]
    assert notify(ann, channels=channels) == {"push": "off", "email": "sent"}
    assert notify(ann, channels=channels, type="news") == {"push": "off", "email": "off"}
    assert notify(ann, channels=channels, type="parcel") == {"push": "sent", "email": "sent"}
    other = User.objects.create_user("bob", "bob@example.com")
    assert notify(other, channels=["email"], type="news") == {"email": "sent"}


# ---- quiet hours ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2030-01-31T20:59", None),
        ("2030-01-31T21:00", "2030-02-01T05:30"),  # 22:00 in Berlin
        ("2030-02-01T05:29", "2030-02-01T05:30"),
        ("2030-02-01T05:30", None),
        ("2030-07-01T20:30", "2030-07-02T04:30"),  # summer: 22:30
        ("2030-03-30T22:00", "2030-03-31T04:30"),  # the clocks change in that night
    ],
)
def test_quiet_hours_end_by_the_users_own_clock(now: str, end: str | None) -> None:
    hours = QuietHours(begins=time(22), ends=time(6, 30), time_zone="Europe/Berlin")
    found = hours.end_after(datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found == (end and datetime.fromisoformat(end).replace(tzinfo=UTC))


def test_quiet_hours_of_a_day_end_on_that_day() -> None:
    hours = QuietHours(begins=time(12), ends=time(14), time_zone="UTC")
    noon = datetime(2030, 1, 31, 12, tzinfo=UTC)
    assert hours.end_after(noon) == noon + timedelta(hours=2)
    assert hours.end_after(noon - timedelta(minutes=1)) is None
    assert hours.end_after(noon + timedelta(hours=2)) is None


def test_in_quiet_hours_what_disturbs_waits_for_their_end(
    ann: User, push: PushService, redis_server: RedisServer
) -> None:
    quieten(ann)
    stored = payload(ann, channels=["push", "in_app"])
    assert deliver(ann, stored) == {"push": "delayed", "in_app": "sent"}
    assert push.requests == []
    (row,) = FallbackJob.objects.all()
    later = get_job(row.job_id)
    assert later is not None
    assert later.state == JobState.DELAYED
    assert timedelta(minutes=58) < row.due_at - timezone.now() <= timedelta(hours=1)
    # Another attempt enqueues nothing; the job that follows does the rest.
    assert deliver(ann, stored) == {"push": "delayed", "in_app": "sent"}
    assert FallbackJob.objects.count() == 1
    QuietHours.objects.all().delete()
    assert later.job is not None
    follow_up = dict(later.job.kwargs)
    assert follow_up["channels"] == ["push"]
    assert deliver(ann, follow_up, row.job_id) == {"push": "sent"}
    assert deliver(ann, stored) == {"push": "sent", "in_app": "sent"}
    assert push.asked("/one") == 1


def test_a_kill_amid_the_records_takes_no_channel_from_the_follow_up(
    ann: User, redis_server: RedisServer
) -> None:
    """It is enqueued again under its id, in place of the one that had both."""
    quieten(ann)
    stored = payload(ann, channels=["push", "sms"])
    deliver(ann, stored)
    NotificationDelivery.objects.filter(channel="sms").delete()
    deliver(ann, stored)
    found = get_job(FallbackJob.objects.get().job_id)
    assert found is not None
    assert found.job is not None
    assert found.job.kwargs["channels"] == ["push", "sms"]


def test_a_kill_between_the_follow_up_and_its_record_makes_no_second_one(
    ann: User, redis_server: RedisServer
) -> None:
    quieten(ann)
    stored = payload(ann, channels=["push"])
    deliver(ann, stored)
    NotificationDelivery.objects.all().delete()
    deliver(ann, stored)
    assert FallbackJob.objects.count() == 1


def test_urgent_types_do_not_wait(ann: User, browser: Browser) -> None:
    quieten(ann)
    assert notify(ann, channels=["push"], type="security") == {"push": "sent"}


def test_where_the_first_is_enough_none_waits_that_another_took(
    ann: User, redis_server: RedisServer
) -> None:
    quieten(ann)
    assert notify(ann, channels=["push", "in_app"], mode="first") == {"in_app": "sent"}
    assert not FallbackJob.objects.exists()


# ---- payloads ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"user": "no-such"}, "user"),
        ({"user": "9" * 200}, "user"),
        ({"user": "1\x00"}, "user"),
        ({"message": "", "template": ""}, "message"),
        ({"message": "x" * 10_001}, "message"),
        ({"title": "a\r\nBcc: eve@example.com"}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"type": "../x"}, "type"),
        ({"template": "../../etc/passwd"}, "template"),
        ({"template": "nowhere"}, "template"),
        ({"channels": ["pigeon"]}, "channels"),
        ({"channels": []}, "channels"),
        ({"mode": "some"}, "mode"),
        ({"link": "javascript:alert(1)"}, "link"),
        ({"link": "//evil.example/"}, "link"),
        ({"link": "/\\evil.example/"}, "link"),
        ({"data": {"x": "\x00"}}, "data"),
        ({"variables": {"x": "\ud800"}}, "variables"),
        ({"data": [1]}, "data"),
        ({"translations": {"de": {"title": "only"}}}, "translations"),
        ({"key": "a b"}, "key"),
        ({"operation": "drop"}, "operation"),
    ],
)
def test_a_payload_that_can_not_be_is_refused(
    ann: User, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidPayload) as caught:
        payload(ann, **changes)
    assert list(caught.value.errors) == [field]


def test_a_payload_is_taken_while_the_database_is_away(
    ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis may take the job then, and the worker asks again."""

    def fail(key: str) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(schemas, "find_user", fail)
    assert payload(ann)["user"] == str(ann.pk)


def test_odd_text_is_taken_as_it_is(ann: User) -> None:
    data = {"x": "\\u0000", "y": "😀 \u202e"}
    notify(ann, channels=["in_app"], message="<script>alert(1)</script> %(x)s {{ y }}", data=data)
    note = Notification.objects.get()
    assert note.message == "<script>alert(1)</script> %(x)s {{ y }}"
    assert note.data == data


def test_a_channel_that_is_not_set_up_is_refused(ann: User, settings: object) -> None:
    settings.RESILIENT_QUEUE = {}  # type: ignore[attr-defined]
    with pytest.raises(InvalidPayload) as caught:
        payload(ann, channels=["sms"])
    (words,) = caught.value.errors["channels"]
    assert words == "sms is not set up: TWILIO_ACCOUNT, TWILIO_TOKEN, TWILIO_SENDER."


def test_a_channel_whose_package_is_not_there_is_refused(
    ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django_resilient_queue.exceptions import MissingExtra
    from django_resilient_queue.handlers.business.notification import channels

    monkeypatch.setattr(channels, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "django-resilient-queue\[push\]"'):
        payload(ann, channels=["push"])


def test_a_user_who_is_not_active_any_more_gets_nothing(ann: User) -> None:
    data = registry.get("user:notification").validated(payload(ann))
    User.objects.update(is_active=False)
    with pytest.raises(handler.UnknownUser):
        handler.notify(data)


def test_old_records_go(ann: User) -> None:
    notify(ann, channels=["in_app"])
    NotificationDelivery.objects.update(changed_at=timezone.now() - timedelta(days=61))
    stored = payload(ann, channels=["in_app"])
    handler.notify(registry.get("user:notification").validated(stored))
    assert [each.key for each in NotificationDelivery.objects.all()] == [stored["key"]]


def test_a_job_is_enqueued_by_its_name(ann: User, redis_server: RedisServer) -> None:
    job = enqueue("user:notification", {"user": str(ann.pk), "message": "x"})
    assert job.kwargs["channels"] == ["in_app", "email"]
