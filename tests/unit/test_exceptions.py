"""Promises of the errors."""

from __future__ import annotations

import inspect
import pickle

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from django_resilient_queue import exceptions
from django_resilient_queue.exceptions import (
    EnqueueUncertain,
    InvalidPayload,
    MissingExtra,
    PayloadTooLarge,
    ResilientQueueError,
    StoreAmbiguous,
    StoreError,
    StoreRefused,
    StoresUnavailableError,
    UndecodableSnapshot,
    UnknownHandler,
    describe,
)

REDIS_CAUSE = RedisConnectionError("Connection refused")
DATABASE_CAUSE = OSError("disk full")
BOTH = [StoresUnavailableError, EnqueueUncertain]
WRAPPERS = [StoreError, StoreRefused, StoreAmbiguous]
CLASSES = [
    item
    for _, item in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(item, Exception)
]


@pytest.mark.parametrize("error_class", CLASSES)
def test_every_error_can_be_caught_by_one_name_and_says_what_it_means(
    error_class: type[Exception],
) -> None:
    """A caller needs one except clause."""
    assert issubclass(error_class, ResilientQueueError)
    assert vars(error_class)["__doc__"]


@pytest.mark.parametrize("error_class", WRAPPERS)
def test_a_store_error_carries_its_cause_and_names_it(error_class: type[StoreError]) -> None:
    """Logs say what the client said."""
    error = error_class(DATABASE_CAUSE, "database")
    assert (error.cause, error.store) == (DATABASE_CAUSE, "database")
    assert str(error) == "OSError: disk full"


def test_a_refusal_and_an_ambiguity_are_never_taken_for_each_other() -> None:
    """One allows a second write, the other forbids it."""
    assert not issubclass(StoreRefused, StoreAmbiguous)
    assert not issubclass(StoreAmbiguous, StoreRefused)


@pytest.mark.parametrize("error_class", BOTH)
def test_an_unaccepted_job_is_named_with_both_causes(
    error_class: type[StoresUnavailableError],
) -> None:
    """The message is all that an operator sees."""
    error = error_class("job-1", REDIS_CAUSE, DATABASE_CAUSE)
    assert (error.job_id, error.redis_cause, error.database_cause) == (
        "job-1",
        REDIS_CAUSE,
        DATABASE_CAUSE,
    )
    assert "job job-1 " in str(error)
    assert "(Redis: ConnectionError: Connection refused; database: OSError: disk full)" in str(
        error
    )


@pytest.mark.parametrize("error_class", BOTH)
def test_the_causes_are_named_also_when_they_come_wrapped_by_the_stores(
    error_class: type[StoresUnavailableError],
) -> None:
    """The wrapper's name would hide the client's."""
    error = error_class("job-1", StoreRefused(REDIS_CAUSE), StoreAmbiguous(DATABASE_CAUSE))
    assert "(Redis: ConnectionError: Connection refused; database: OSError: disk full)" in str(
        error
    )


def test_only_the_uncertain_error_promises_that_enqueueing_the_id_again_is_safe() -> None:
    """The caller learns from the message what to do."""
    assert "enqueueing this id again is safe" in str(
        EnqueueUncertain("1", REDIS_CAUSE, REDIS_CAUSE)
    )
    assert "refused by both stores" in str(StoresUnavailableError("1", REDIS_CAUSE, REDIS_CAUSE))


@pytest.mark.parametrize(
    "error",
    [
        StoreRefused(DATABASE_CAUSE, "database"),
        StoresUnavailableError("job-1", REDIS_CAUSE, DATABASE_CAUSE),
        EnqueueUncertain("job-1", REDIS_CAUSE, DATABASE_CAUSE),
        UndecodableSnapshot("unknown format"),
        UnknownHandler("a:c", ["a:b"]),
        InvalidPayload("a:b", {"to": ["This field is required."]}),
        PayloadTooLarge("a:b", 1024, 3),
        MissingExtra("a:b", ["css_inline"], "mail"),
    ],
)
def test_an_error_survives_pickling_with_its_message(error: Exception) -> None:
    """A job that enqueues another may raise it in a work horse."""
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), str(error))
    assert repr(vars(copy)) == repr(vars(error))


@pytest.mark.parametrize(
    "message",
    [
        "duplicate key\nDETAIL:  Failing row contains (secret-payload).",
        "unknown command 'DRQ', with args beginning with: 'secret-payload' ",
        "(1366, \"Incorrect string value: 'secret-payload' for column 'body'\")",
        "cannot connect to redis://user:secret-payload@localhost:6379/0",
        "cannot connect to redis://:secret-payload@localhost:6379/0",
    ],
)
def test_no_message_repeats_a_payload_or_a_password(message: str) -> None:
    """Messages and representations go to logs."""
    cause = RuntimeError(message)
    error = EnqueueUncertain("job-1", StoreAmbiguous(cause), cause)
    shown = [str(error), repr(error), repr(StoreRefused(cause)), describe(cause)]
    assert "secret" not in " ".join(shown)


def test_a_description_stays_on_one_short_line() -> None:
    """A log line holds it."""
    assert describe(ValueError("x" * 1000)) == "ValueError: " + "x" * 188


def test_an_error_without_a_message_is_described_by_its_class() -> None:
    """Timeouts often have none."""
    assert describe(TimeoutError()) == "TimeoutError"


def test_what_is_missing_is_named_with_the_line_that_installs_it() -> None:
    """Whoever enqueues is not who wrote the handler."""
    words = "a:b needs css_inline, premailer, not installed: pip install "
    assert str(MissingExtra("a:b", ["css_inline", "premailer"], "mail")) == (
        words + '"django-resilient-queue[mail]"'
    )
    assert str(MissingExtra("a:b", ["css_inline", "premailer"])) == (
        words + '"css_inline premailer"'
    )


def test_a_payload_among_many_is_named_by_its_place() -> None:
    """Also after it was pickled."""
    for error in (InvalidPayload("a:b", {"to": ["no"]}), PayloadTooLarge("a:b", 1024)):
        error.at(7)
        assert "at index 7 refused" in str(pickle.loads(pickle.dumps(error)))
