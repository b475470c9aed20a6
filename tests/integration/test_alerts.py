"""Promises of the rules, the notices and the channels of alerts."""

from __future__ import annotations

import io
import threading
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone
from pytest_django import Settings

from django_resilient_queue import signals
from django_resilient_queue.alerts import RULES, Notice
from django_resilient_queue.alerts.channels import ChannelTimeout, send
from django_resilient_queue.alerts.delivery import deliver
from django_resilient_queue.alerts.evaluation import evaluate, forget
from django_resilient_queue.alerts.webhook import signature
from django_resilient_queue.conf import Settings as Known
from django_resilient_queue.health import collect
from django_resilient_queue.health.reasons import judged
from django_resilient_queue.models import Alert, AlertNotice, AlertSilence, Outage
from django_resilient_queue.models.alert import Finding
from tests.alerting import hanging_server, hook
from tests.health import address, live_worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]

OUTAGE = "redis_connection_failed"


@pytest.fixture(autouse=True)
def _one_channel(settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {"ALERT_CHANNELS": ["log"], "ALERT_CALM": 300}


def begin_outage() -> None:
    live_worker()
    Outage.objects.begin(address(), cause="refused by all", reported_by="ann")


def told(rule: str = OUTAGE) -> list[str]:
    notices = AlertNotice.objects.filter(alert__rule=rule)
    return list(notices.order_by("pk").values_list("kind", flat=True))


def let_pass(**lengths: float) -> None:
    """Have so much time gone by since all that the alerts know."""
    gone = timedelta(**lengths)
    for alert in Alert.objects.all():
        moments = {
            name: value - gone
            for name in ("since", "seen_at", "gone_at", "fired_at", "told_at", "resolved_at")
            if (value := getattr(alert, name)) is not None
        }
        Alert.objects.filter(pk=alert.pk).update(**moments)


def at_once(*calls: Any) -> None:
    barrier = threading.Barrier(len(calls))

    def run(call: Any) -> None:
        barrier.wait()
        try:
            call()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_every_rule_has_a_delay_in_the_settings() -> None:
    assert [rule.code for rule in RULES] == list(Known.ALERT_DELAYS.default)


def test_many_who_look_at_once_tell_an_outage_once_and_its_end_once() -> None:
    begin_outage()
    report = collect()
    at_once(*[lambda: evaluate(report)] * 4)
    assert told() == ["fired"]
    Outage.objects.end(address())
    evaluate()
    let_pass(seconds=301)
    over = collect()
    at_once(*[lambda: evaluate(over)] * 4)
    evaluate()
    assert told() == ["fired", "resolved"]


def test_who_looks_while_another_tells_does_not_tell_again() -> None:
    """The other one comes after the alerts were read, and before the second is told."""
    now = timezone.now()
    for key in ("a", "b"):
        Alert.objects.see("dead_letters", "warning", Finding(key, "too many"), now)
    Alert.objects.fire("dead_letters", 0, now)

    class Meddling(list[str]):
        def __iter__(self) -> Iterator[str]:
            Alert.objects.tell("dead_letters", ["log"], 0, now)
            return super().__iter__()

    Alert.objects.tell("dead_letters", Meddling(["log"]), 0, now)
    notices = AlertNotice.objects.order_by("alert__key")
    assert list(notices.values_list("alert__key", "kind")) == [("a", "fired"), ("b", "fired")]


def test_an_outage_that_comes_back_at_once_is_the_same() -> None:
    begin_outage()
    evaluate()
    Outage.objects.end(address())
    evaluate()
    Outage.objects.begin(address(), cause="again", reported_by="bob")
    evaluate()
    let_pass(seconds=301)
    evaluate()
    assert told() == ["fired"]


def test_an_old_report_brings_no_alert_back_that_is_over() -> None:
    begin_outage()
    old = collect()
    evaluate(old)
    Outage.objects.end(address())
    evaluate()
    Alert.objects.update(gone_at=timezone.now() - timedelta(seconds=301))
    evaluate()
    evaluate(old)
    assert told() == ["fired", "resolved"]


def test_a_queue_without_a_worker_is_told_after_its_delay() -> None:
    live_worker(queues="critical,high,low")
    evaluate()
    assert told("queue_without_worker") == []
    let_pass(seconds=61)
    evaluate()
    assert told("queue_without_worker") == ["fired"]
    assert Alert.objects.get(rule="queue_without_worker").key == "default"


def test_what_passes_before_its_delay_leaves_nothing_behind() -> None:
    live_worker(queues="critical,high,low")
    evaluate()
    live_worker("second")
    evaluate()
    assert not Alert.objects.filter(rule="queue_without_worker").exists()


def test_what_nobody_can_tell_leaves_an_alert_as_it_is() -> None:
    begin_outage()
    evaluate()
    evaluate(replace(collect(), dead_letters=None, open_outages=[]))
    assert Alert.objects.get(rule=OUTAGE).gone_at is None


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("dead_letters", {"dead_letters": {"total": 11, "oldest": None}}),
        ("dead_letter_old", {"dead_letters": {"total": 1, "oldest": {"days": 1.5}}}),
        ("unprotected", {"unprotected": 101}),
        ("fallback_backlog_late", {"oldest_row": timezone.now() - timedelta(hours=1)}),
    ],
)
def test_a_limit_that_is_exceeded_is_told(rule: str, changes: dict[str, Any]) -> None:
    live_worker()
    evaluate(judged(replace(collect(), **changes)))
    assert told(rule) == ["fired"]
    assert not Alert.objects.filter(rule="degraded").exists()  # once is enough


def test_a_silent_rule_is_told_when_the_silence_is_over() -> None:
    begin_outage()
    until = timezone.now() + timedelta(hours=1)
    AlertSilence.objects.silence(OUTAGE, until=until, by="ann")
    evaluate()
    assert (told(), Alert.objects.firing().filter(rule=OUTAGE).count()) == ([], 1)
    AlertSilence.objects.lift(OUTAGE)
    evaluate()
    assert told() == ["fired"]


def test_the_end_of_what_nobody_was_told_is_not_told() -> None:
    begin_outage()
    AlertSilence.objects.silence(OUTAGE, until=timezone.now() + timedelta(hours=1), by="ann")
    evaluate()
    Outage.objects.end(address())
    evaluate()
    let_pass(seconds=301)
    AlertSilence.objects.lift(OUTAGE)
    evaluate()
    assert (told(), Alert.objects.firing().filter(rule=OUTAGE).count()) == ([], 0)


def test_people_are_reminded_at_intervals(settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {"ALERT_CHANNELS": ["log"], "ALERT_REMIND": 600}
    begin_outage()
    evaluate()
    evaluate()
    assert told() == ["fired"]
    let_pass(seconds=601)
    evaluate()
    evaluate()
    assert told() == ["fired", "reminder"]


def test_a_rule_that_is_off_ends(settings: Settings) -> None:
    begin_outage()
    evaluate()
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "ALERT_RULES_OFF": [OUTAGE]}
    evaluate()
    let_pass(seconds=301)
    evaluate()
    assert told() == ["fired", "resolved"]


# ---- delivery ------------------------------------------------------------------------------------


def test_two_who_send_at_once_send_once(settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {"ALERT_CHANNELS": ["signal"]}
    heard: list[Notice] = []

    def hear(notice: Notice, **kwargs: Any) -> None:
        heard.append(notice)

    signals.alert_notified.connect(hear)
    try:
        begin_outage()
        evaluate()
        mine = AlertNotice.objects.filter(alert__rule=OUTAGE).get()
        wins = [AlertNotice.objects.claim(mine, 60), AlertNotice.objects.claim(mine, 60)]
        assert wins == [True, False]
        deliver()
        assert OUTAGE not in [notice.rule for notice in heard]  # somebody is at it
        AlertNotice.objects.update(try_at=timezone.now())
        deliver()
        deliver()
    finally:
        signals.alert_notified.disconnect(hear)
    assert [notice.rule for notice in heard].count(OUTAGE) == 1


def test_a_channel_that_fails_is_tried_a_few_times_and_keeps_no_other(settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {
        "ALERT_CHANNELS": ["tests.alerting.refuse", "log"],
        "ALERT_TRIES": 3,
    }
    begin_outage()
    evaluate()
    for _ in range(20):
        deliver()
        AlertNotice.objects.update(try_at=timezone.now())
    assert set(AlertNotice.objects.filter(channel="log").values_list("problem", "tries")) == {
        ("", 1)
    }
    failed = AlertNotice.objects.exclude(channel="log")
    assert set(failed.values_list("tries", flat=True)) == {3}
    assert not failed.filter(done_at=None).exists()
    assert failed[0].problem == "ConnectionError: nobody is there"


def test_what_is_over_for_a_month_is_forgotten() -> None:
    begin_outage()
    evaluate()
    Outage.objects.end(address())
    evaluate()
    let_pass(seconds=301)
    evaluate()
    let_pass(days=31)
    forget()
    assert not Alert.objects.exists()


# ---- channels ------------------------------------------------------------------------------------


def test_a_webhook_is_signed(settings: Settings) -> None:
    secret = f"whsec_{b64encode(b'k' * 24).decode()}"
    with hook() as web:
        settings.RESILIENT_QUEUE = {"ALERT_WEBHOOK_URL": web.url, "ALERT_WEBHOOK_SECRET": secret}
        send("webhook", Notice.for_test())
    ((heads, body),) = web.posts
    moment = int(heads["webhook-timestamp"])
    assert heads["webhook-signature"] == signature(secret, heads["webhook-id"], moment, body)
    assert heads["webhook-signature"] != signature(secret, heads["webhook-id"], moment + 1, body)
    assert web.bodies[0]["rule"] == "test"


def test_the_signature_is_that_of_the_specification() -> None:
    """The example of the specification's own libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [302, 307, 500])
def test_a_webhook_follows_no_redirect_and_takes_no_error_for_an_answer(
    settings: Settings, status: int
) -> None:
    with hook() as web:
        web.status = status
        settings.RESILIENT_QUEUE = {"ALERT_WEBHOOK_URL": web.url, "ALERT_WEBHOOK_SECRET": "hush"}
        with pytest.raises(OSError, match=str(status)):
            send("webhook", Notice.for_test())
    assert len(web.posts) == 1


def test_a_webhook_that_hangs_is_given_up(settings: Settings) -> None:
    with hanging_server() as port:
        settings.RESILIENT_QUEUE = {
            "ALERT_WEBHOOK_URL": f"http://127.0.0.1:{port}/",
            "ALERT_WEBHOOK_SECRET": "hush",
            "ALERT_TIMEOUT": 1,
        }
        with pytest.raises((OSError, ChannelTimeout)):
            send("webhook", Notice.for_test())


def test_mail_goes_to_the_admins(settings: Settings) -> None:
    settings.ADMINS = [("Ann", "ann@example.org")]
    send("mail", Notice.for_test())
    assert mail.outbox[0].to == ["ann@example.org"]
    assert "INFO test: test" in mail.outbox[0].subject


def test_apprise_sends_to_its_urls(settings: Settings) -> None:
    with hook() as web:
        url = web.url.replace("http://", "json://")
        settings.RESILIENT_QUEUE = {"ALERT_APPRISE_URLS": [url]}
        send("apprise", Notice.for_test())
        web.status = 500
        with pytest.raises(ConnectionError, match="each of ALERT_APPRISE_URLS"):
            send("apprise", Notice.for_test())
    assert web.bodies[0]["type"] == "info"


@pytest.mark.parametrize("name", ["webhook", "apprise", "nowhere.at.all", "tests.jobs.no"])
def test_a_channel_that_lacks_something_says_what(name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="RESILIENT_QUEUE"):
        send(name, Notice.for_test())


# ---- the command ---------------------------------------------------------------------------------


def alerts(*words: str) -> str:
    output = io.StringIO()
    call_command("alerts", *words, stdout=output)
    return output.getvalue()


def test_the_command_lists_silences_and_tests() -> None:
    begin_outage()
    evaluate()
    assert "refused by all" in alerts("list")
    assert "is silent until" in alerts("silence", OUTAGE, "--for", "2h", "--reason", "known")
    assert "known" in alerts("list")
    assert OUTAGE in alerts("list", "--json")
    assert "heard again" in alerts("unsilence", OUTAGE)
    assert alerts("test") == "log: sent\n"


@pytest.mark.parametrize(
    "words", [["silence", "no", "--for", "2h"], ["silence", OUTAGE, "--for", "2 hours"]]
)
def test_the_command_refuses_a_mistake(words: Sequence[str]) -> None:
    with pytest.raises(CommandError):
        alerts(*words)


@pytest.mark.parametrize("words", [["unsilence", OUTAGE], ["test", "tests.alerting.refuse"]])
def test_the_command_fails_where_nothing_was_done(words: Sequence[str]) -> None:
    with pytest.raises(SystemExit):
        alerts(*words)
