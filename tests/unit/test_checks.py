"""Promises of the system checks. None needs a server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import CheckMessage, run_checks
from django.test import override_settings
from django_rq.queues import DjangoRQ
from rq import Worker

from django_resilient_queue import checks
from django_resilient_queue.api.scoping import Scope
from django_resilient_queue.checks import CHECKS, TAG, check_settings
from django_resilient_queue.handlers.handler import Handler
from django_resilient_queue.handlers.registry import Registry
from django_resilient_queue.queues import ResilientQueue
from django_resilient_queue.worker import ResilientWorker

HERE = __name__
RQ = {
    "QUEUE_CLASS": "django_resilient_queue.queues.ResilientQueue",
    "WORKER_CLASS": "django_resilient_queue.worker.ResilientWorker",
}
QUEUES: dict[str, dict[str, Any]] = {"default": {"URL": "redis://127.0.0.1:1/0"}, "mail": {}}


class OwnQueue(ResilientQueue):
    """A project's class derived from ours."""


class OwnWorker(ResilientWorker):
    """A project's class derived from ours."""


class OwnScope(Scope):
    """A project's class derived from ours."""


class PlainQueue(DjangoRQ):
    """A project's class not derived from ours."""


class PlainWorker(Worker):
    """A project's class not derived from ours."""


@pytest.fixture(autouse=True)
def handlers(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Start without job handlers."""
    registry = Registry(module=None)
    monkeypatch.setattr(checks, "registry", registry)
    return registry


@pytest.fixture(autouse=True)
def sound_settings() -> Iterator[None]:
    """Start from settings that no check complains about."""
    with override_settings(RESILIENT_QUEUE={}, RQ=RQ, RQ_QUEUES=QUEUES):
        yield


def found(**overrides: object) -> list[CheckMessage]:
    """Run all checks under some settings."""
    with override_settings(**overrides):
        return check_settings(None)


def only(expected_id: str, **overrides: object) -> CheckMessage:
    """Run all checks, of which one complains."""
    messages = found(**overrides)
    assert [message.id for message in messages] == [f"django_resilient_queue.{expected_id}"]
    return messages[0]


def test_sound_settings_give_no_message() -> None:
    """An operator who sees a message has something to do."""
    assert found() == []


def test_the_checks_open_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """They run while a container is built."""

    def refuse(*args: object) -> None:
        raise AssertionError(args)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    only("W003", RQ_QUEUES={**QUEUES, "slow": {"ASYNC": False}})


def test_every_check_has_an_id_of_its_own() -> None:
    """The id opens the docstring."""
    ids = [str(check.__doc__).partition(":")[0] for check in CHECKS]
    assert len(set(ids)) == len(CHECKS) == 20


def test_e001_an_unknown_key_is_answered_with_the_nearest_known_one() -> None:
    """A misspelt key would be without effect."""
    message = only("E001", RESILIENT_QUEUE={"FAILURE_TRESHOLD": 3})
    assert message.msg == "RESILIENT_QUEUE has an unknown key 'FAILURE_TRESHOLD'."
    assert message.hint == "Did you mean 'FAILURE_THRESHOLD'?"


def test_e001_a_key_in_small_letters_is_recognised() -> None:
    """The commonest misspelling."""
    assert only("E001", RESILIENT_QUEUE={"outbox": True}).hint == "Did you mean 'OUTBOX'?"


def test_e001_an_unknown_key_like_no_other_is_answered_with_all_keys() -> None:
    """So that the reader can choose."""
    hint = only("E001", RESILIENT_QUEUE={"Q": 1}).hint
    assert hint is not None
    assert hint.startswith("Known: OUTBOX, DATABASE, ")


def test_e001_a_key_that_is_no_string_is_reported_like_any_other() -> None:
    """The checks survive what they check."""
    assert "unknown key 5" in only("E001", RESILIENT_QUEUE={5: 1}).msg


def test_e002_a_value_of_the_wrong_type_is_named_with_its_rule() -> None:
    """The hint says what the setting does."""
    message = only("E002", RESILIENT_QUEUE={"LEASE": "10"})
    assert message.msg == "RESILIENT_QUEUE['LEASE'] must be a number of seconds, not '10'."
    assert "silent" in str(message.hint)


def test_e002_all_wrong_types_are_reported_at_once() -> None:
    """One run of the check is enough."""
    messages = found(RESILIENT_QUEUE={"LEASE": "10", "OUTBOX": None, "DATABASE": 3})
    assert [message.id for message in messages] == ["django_resilient_queue.E002"] * 3


def test_e002_settings_that_are_no_dict_are_reported() -> None:
    """And nothing else fails because of them."""
    message = only("E002", RESILIENT_QUEUE=["OUTBOX"])
    assert message.msg == "RESILIENT_QUEUE must be a dict, not list."


def test_e003_a_value_out_of_range_is_named_with_its_limits() -> None:
    """Limits are inclusive."""
    message = only("E003", RESILIENT_QUEUE={"ENQUEUE_TIMEOUT": 6})
    assert message.msg == "RESILIENT_QUEUE['ENQUEUE_TIMEOUT'] must be between 0.01 and 5, not 6."


def test_e003_a_priority_out_of_range_is_named() -> None:
    """1 to 20."""
    message = only("E003", RESILIENT_QUEUE={"PRIORITIES": {"mail": 21}})
    assert "a dict of priorities between 1 and 20" in message.msg


def test_e003_settings_that_contradict_each_other_are_reported() -> None:
    """Each is valid by itself."""
    message = only("E003", RESILIENT_QUEUE={"LEASE": 2})
    assert "'HEARTBEAT_INTERVAL'] must be at most a third of LEASE" in message.msg


def test_e004_an_alias_that_is_no_database_is_reported() -> None:
    """The first enqueue would fail on it."""
    message = only("E004", RESILIENT_QUEUE={"DATABASE": "defualt"})
    assert message.msg == "RESILIENT_QUEUE['DATABASE'] is 'defualt', which is not in DATABASES."
    assert message.hint == "Did you mean 'default'?"


def test_e004_an_alias_of_a_database_is_welcome() -> None:
    """The package's tables may live in any of them."""
    assert found(RESILIENT_QUEUE={"DATABASE": "default"}) == []


@pytest.mark.parametrize("queues", [None, {}, [], {"default": None}, {"mail": {}, "default": None}])
def test_e005_missing_or_malformed_queues_are_reported(queues: object) -> None:
    """django-rq itself fails on them much later."""
    only("E005", RQ_QUEUES=queues)


@pytest.mark.parametrize(("key", "value"), [("OUTBOX", False), ("PRIORITIES", 3)])
def test_e006_a_setting_for_a_queue_that_does_not_exist_is_reported(
    key: str, value: object
) -> None:
    """A misspelt queue would keep the default."""
    message = only("E006", RESILIENT_QUEUE={key: {"default": value, "mial": value}})
    assert message.msg == (
        f"RESILIENT_QUEUE['{key}'] names the queue 'mial', which is not in RQ_QUEUES."
    )
    assert message.hint == "Did you mean 'mail'?"


def test_e006_without_queues_the_lack_of_them_is_all_that_is_reported() -> None:
    """Each name would repeat it."""
    only("E005", RQ_QUEUES={}, RESILIENT_QUEUE={"OUTBOX": {"mail": False}})


def test_e006_the_default_priorities_may_name_queues_that_the_project_lacks() -> None:
    """Only what the project wrote is checked."""
    assert found(RQ_QUEUES={"mail": {}}) == []


def test_e007_a_project_without_django_rq_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands and its URLs are the way in."""
    monkeypatch.setattr(apps, "is_installed", lambda name: name != "django_rq")
    only("E007")


@pytest.mark.parametrize("path", ["nowhere.Class", "NoDots", "os.path", "os.nothing", 5])
@pytest.mark.parametrize("key", ["QUEUE_CLASS", "WORKER_CLASS"])
def test_e008_a_class_that_cannot_be_had_is_reported(key: str, path: object) -> None:
    """By the place where it is written."""
    message = only("E008", RQ={**RQ, key: path})
    assert message.msg == (f"RQ['{key}'] is {path!r}, which cannot be imported or is not a class.")


def test_e008_a_class_of_one_queue_that_cannot_be_had_is_reported() -> None:
    """Queues may have their own class."""
    message = only("E008", RQ_QUEUES={**QUEUES, "slow": {"QUEUE_CLASS": "nowhere.Class"}})
    assert message.msg.startswith("RQ_QUEUES['slow']['QUEUE_CLASS'] is 'nowhere.Class'")


@pytest.mark.parametrize("queue_class", [PlainQueue, f"{HERE}.PlainQueue"])
def test_w001_a_queue_class_that_is_not_ours_is_reported_with_the_queues_it_leaves_uncovered(
    queue_class: object,
) -> None:
    """Once, however many queues there are."""
    message = only("W001", RQ={**RQ, "QUEUE_CLASS": queue_class})
    assert message.msg.startswith("RQ['QUEUE_CLASS'] is PlainQueue, not a ResilientQueue: ")
    assert "'default', 'mail' have no outbox" in message.msg


def test_w001_the_class_of_one_queue_is_reported_for_that_queue_alone() -> None:
    """The others are covered."""
    message = only("W001", RQ_QUEUES={**QUEUES, "slow": {"QUEUE_CLASS": PlainQueue}})
    assert message.msg.startswith("RQ_QUEUES['slow']['QUEUE_CLASS'] is PlainQueue")
    assert "enqueued to 'slow' have no outbox" in message.msg


def test_w001_a_global_class_that_no_queue_uses_is_not_reported() -> None:
    """Nothing is uncovered then."""
    queues = {name: {**config, "QUEUE_CLASS": OwnQueue} for name, config in QUEUES.items()}
    assert found(RQ={**RQ, "QUEUE_CLASS": PlainQueue}, RQ_QUEUES=queues) == []


def test_w001_a_class_derived_from_ours_is_welcome() -> None:
    """As a class or by its path."""
    queues = {**QUEUES, "slow": {"QUEUE_CLASS": f"{HERE}.OwnQueue"}}
    assert found(RQ={**RQ, "QUEUE_CLASS": OwnQueue}, RQ_QUEUES=queues) == []


def test_w001_settings_that_were_replaced_after_the_start_are_reported() -> None:
    """django-rq then falls back to its own class."""
    assert "is DjangoRQ, not" in only("W001", RQ={"WORKER_CLASS": RQ["WORKER_CLASS"]}).msg


@pytest.mark.parametrize("worker_class", [PlainWorker, f"{HERE}.PlainWorker"])
def test_w002_a_worker_class_that_is_not_ours_is_reported_with_what_it_cannot_do(
    worker_class: object,
) -> None:
    """Jobs would wait in the database."""
    message = only("W002", RQ={**RQ, "WORKER_CLASS": worker_class})
    assert message.msg.startswith("RQ['WORKER_CLASS'] is PlainWorker, not a ResilientWorker: ")
    assert "do not drain the database" in message.msg


def test_w002_a_class_derived_from_ours_is_welcome() -> None:
    """A project may extend the worker."""
    assert found(RQ={**RQ, "WORKER_CLASS": f"{HERE}.OwnWorker"}) == []


def test_w002_settings_that_were_replaced_after_the_start_are_reported() -> None:
    """django-rq then falls back to rq's class."""
    assert "is Worker, not" in only("W002", RQ={"QUEUE_CLASS": RQ["QUEUE_CLASS"]}).msg


def test_w003_a_queue_that_runs_its_jobs_in_the_caller_is_reported() -> None:
    """It is not protected."""
    message = only("W003", RQ_QUEUES={**QUEUES, "slow": {"ASYNC": False}})
    assert message.msg.startswith("RQ_QUEUES['slow']['ASYNC'] is off")


def test_w004_a_limit_for_a_function_that_there_is_not_is_reported() -> None:
    """It would hold for nothing."""
    limits = {"tests.jobs.succeed": 1, "tests.jobs.suceed": 2}
    message = only("W004", RESILIENT_QUEUE={"CONCURRENCY_LIMITS": limits})
    assert "names 'tests.jobs.suceed', which cannot be imported" in message.msg


@pytest.mark.parametrize("key", ["ARCHIVE_STORAGE", "EXPORT_STORAGE"])
def test_e009_a_storage_that_there_is_not_is_reported(key: str) -> None:
    """With the nearest one."""
    message = only("E009", RESILIENT_QUEUE={key: "defualt"})
    assert "is 'defualt', which is not in STORAGES" in message.msg
    assert "default" in str(message.hint)


def test_e011_files_in_a_storage_that_there_is_not_are_reported() -> None:
    """With the nearest one."""
    message = only("E011", RESILIENT_QUEUE={"FILE_STORAGES": {"defualt": {"read": ["uploads"]}}})
    assert "names 'defualt', which is not in STORAGES" in message.msg
    assert "default" in str(message.hint)


def test_a_mailer_that_cannot_be_imported_is_an_error() -> None:
    """Its password is not repeated."""
    mailer = {"BACKEND": "no.such.Backend", "OPTIONS": {"password": "secret"}}
    message = only("E012", RESILIENT_QUEUE={"MAIL_BACKENDS": {"bulk": mailer}})
    assert "['MAIL_BACKENDS']['bulk'] is 'no.such.Backend'" in message.msg
    message = only("E002", RESILIENT_QUEUE={"MAIL_BACKENDS": {"bulk": {"password": "secret"}}})
    assert "secret" not in message.msg


def test_attachments_of_a_storage_that_does_not_exist_are_an_error() -> None:
    message = only("E012", RESILIENT_QUEUE={"MAIL_STORAGES": {"defualt": ["a"]}})
    assert message.hint == "Did you mean 'default'?"


def work(data: object) -> None:
    """What the handlers of these tests do."""


def test_e010_a_handler_whose_queue_does_not_exist_is_reported(handlers: Registry) -> None:
    """With the nearest one."""
    handlers.add(Handler("a:b", work, queue_name="mial"))
    message = only("E010")
    assert message.msg.startswith("The job handler 'a:b' names the queue 'mial'")
    assert message.hint == "Did you mean 'mail'?"


def test_i001_a_handler_that_lacks_a_package_is_told_before_a_deployment(
    handlers: Registry,
) -> None:
    """Nobody else is bothered: the project may not want it."""
    handlers.add(Handler("a:b", work, requires=("json", "no_such_module"), extra="mail"))
    handlers.add(Handler("a:c", work, requires=("json",), extra="mail"))
    assert found() == []
    [message] = run_checks(tags=[TAG], include_deployment_checks=True)
    assert message.id == "django_resilient_queue.I001"
    assert message.msg == "Jobs of 'a:b' are refused: a:b needs no_such_module, not installed."
    assert message.hint == 'pip install "django-resilient-queue[mail]"'
    assert not message.is_serious()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ALERT_CHANNELS": ["maill"]}, "has 'maill': RESILIENT_QUEUE['ALERT_CHANNELS'] has"),
        ({"ALERT_CHANNELS": ["webhook"]}, "'ALERT_WEBHOOK_URL'] must be an https:// address."),
        ({"ALERT_CHANNELS": ["log", "mail"]}, "has 'mail': ADMINS is empty."),
        ({"ALERT_CHANNELS": ["apprise"]}, "'ALERT_APPRISE_URLS'] must not be empty."),
    ],
)
def test_e030_an_alert_channel_that_cannot_send_is_an_error(
    settings: dict[str, Any], words: str
) -> None:
    """Else nobody hears of the first outage, nor of the reason."""
    assert words in only("E030", RESILIENT_QUEUE=settings).msg


def test_e031_an_alert_rule_that_is_none_is_answered_with_the_nearest() -> None:
    """Misspelt, the rule would go on firing."""
    message = only("E031", RESILIENT_QUEUE={"ALERT_RULES_OFF": ["degradet"]})
    assert message.msg == (
        "RESILIENT_QUEUE['ALERT_RULES_OFF'] names 'degradet', which is no alert rule."
    )
    assert message.hint == "Did you mean 'degraded'?"
    assert found(RESILIENT_QUEUE={"ALERT_RULES_OFF": ["degraded"]}) == []


def test_e034_spans_that_cannot_be_made_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(RESILIENT_QUEUE={"TRACING": True}) == []
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    message = only("E034", RESILIENT_QUEUE={"TRACING": True})
    assert message.hint == 'pip install "django-resilient-queue[tracing]"'


def test_e035_moments_without_time_zones_are_an_error() -> None:
    """SQLite and MariaDB refuse the letter of a job that dies then."""
    assert only("E035", USE_TZ=False).hint == "Set USE_TZ = True, as Django does by default."


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("no.such.Scope", "which cannot be imported: No module named 'no'."),
        ("Scope", "which cannot be imported: Scope doesn't look like a module path."),
        (f"{HERE}.OwnQueue", "which is no class derived from Scope."),
        (f"{HERE}.RQ", "which is no class derived from Scope."),
    ],
)
def test_e036_a_scope_that_is_none_is_an_error(path: str, problem: str) -> None:
    """Else it is found by the first who calls the API."""
    with override_settings(RESILIENT_QUEUE={"API_SCOPE": path}):
        (message,) = run_checks(tags=[TAG])
    assert message.id == "django_resilient_queue.E036"
    assert message.msg == f"RESILIENT_QUEUE['API_SCOPE'] is {path!r}, {problem}"
    assert message.hint is not None
    assert "django_resilient_queue.api.scoping.Scope" in message.hint


def test_a_scope_of_the_project_is_well() -> None:
    with override_settings(RESILIENT_QUEUE={"API_SCOPE": f"{HERE}.OwnScope"}):
        assert run_checks(tags=[TAG]) == []


def test_a_scope_that_is_no_text_is_told_once() -> None:
    with override_settings(RESILIENT_QUEUE={"API_SCOPE": 7}):
        (message,) = run_checks(tags=[TAG])
    assert message.id == "django_resilient_queue.E002"
