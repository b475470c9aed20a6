"""Which kind an error is, and which errors are the same one again."""

from __future__ import annotations

import pytest

from django_resilient_queue.failures import (
    CATEGORIES,
    category_of,
    fingerprint_of,
    innermost_frame,
    passages,
)
from django_resilient_queue.outcomes import Failure, Reason

TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/site-packages/rq/job.py", line 1471, in perform
    self._result = self._execute()
  File "/srv/app/shop/mails.py", line 12, in confirm
    send(order)
  File "/srv/app/site-packages/smtplib.py", line 300, in send
    raise error
ValueError: no
"""


def failure(error_class: str, message: str = "", traceback: str = "") -> Failure:
    return Failure(Reason.RAISED, error_class, message, traceback)


@pytest.mark.parametrize(
    ("error_class", "message", "category"),
    [
        ("builtins.TimeoutError", "", "timeout"),
        ("requests.exceptions.ReadTimeout", "", "timeout"),
        ("celery.exceptions.SoftTimeLimit", "", "other"),
        ("builtins.ConnectionRefusedError", "", "connection"),
        ("smtplib.SMTPServerDisconnected", "", "connection"),
        ("socket.gaierror", "", "connection"),
        ("builtins.PermissionError", "", "permission"),
        ("smtplib.SMTPAuthenticationError", "", "permission"),
        ("smtplib.SMTPRecipientsRefused", "", "validation"),
        (
            "django_resilient_queue.handlers.business.email_send.errors.MailRefused",
            "",
            "validation",
        ),
        ("shop.MailRefused", "refused, the first with 554 5.7.1: no", "permission"),
        ("shop.MailRefused", "refused, the first with 552 5.2.2: full", "resource"),
        ("shop.MailRefused", "refused, the first with 550 5.1.1: nobody", "validation"),
        ("shop.MailRefused", "refused, the first with 552 5.2.20: what", "validation"),
        ("smtplib.SMTPDataError", "(550, b'5.7.26 not authenticated')", "permission"),
        ("shop.VersionRefused", "5.7.1 is too old", "validation"),
        ("app.models.Order.DoesNotExist", "", "not_found"),
        ("builtins.FileNotFoundError", "", "not_found"),
        ("builtins.KeyError", "", "not_found"),
        ("builtins.MemoryError", "", "resource"),
        ("botocore.errorfactory.ThrottlingException", "", "resource"),
        ("builtins.OSError", "[Errno 28] No space left on device", "resource"),
        ("builtins.ValueError", "", "validation"),
        ("django.core.exceptions.ValidationError", "", "validation"),
        ("django.db.utils.IntegrityError", "", "validation"),
        ("django_resilient_queue.exceptions.InvalidPayload", "", "validation"),
        ("django_resilient_queue.exceptions.PayloadTooLarge", "", "validation"),
        ("django_resilient_queue.exceptions.UnknownHandler", "", "not_found"),
        ("django_resilient_queue.exceptions.MissingExtra", "", "not_found"),
        ("django_resilient_queue.exceptions.PermanentError", "", "other"),
        ("app.errors.Broken", "", "other"),
        ("", "", "other"),
    ],
)
def test_the_class_of_an_error_says_of_which_kind_it_is(
    error_class: str, message: str, category: str
) -> None:
    assert category_of(failure(error_class, message)) == category
    assert category in CATEGORIES


@pytest.mark.parametrize(
    ("reason", "category"),
    [
        (Reason.TIMEOUT, "timeout"),
        (Reason.UNDECODABLE, "validation"),
        (Reason.NOT_IMPORTABLE, "not_found"),
        (Reason.KILLED, "other"),
    ],
)
def test_a_reason_that_says_more_than_the_class_counts(reason: Reason, category: str) -> None:
    assert category_of(Failure(reason, "builtins.Exception")) == category


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order 17 is gone", "order 4711 is gone"),
        ("<Order object at 0x7f01>", "<Order object at 0x55aa10>"),
        ("no user 'ann'", "no user 'bob'"),
        ("id 0f8fad5b-d9cb-469f-a165-70867728950e", "id 7c9e6679-7425-40de-944b-e07fc1f90ae7"),
        ("took 1.5 s", "took 2.25 s"),
    ],
)
def test_what_varies_in_a_message_makes_no_other_error_of_it(one: str, other: str) -> None:
    prints = {fingerprint_of(failure("E", words), "f") for words in (one, other)}
    assert len(prints) == 1


def test_class_words_and_place_tell_errors_apart() -> None:
    elsewhere = TRACEBACK.replace("in confirm", "in refuse")
    prints = {
        fingerprint_of(each, "f")
        for each in (
            failure("E", "no", TRACEBACK),
            failure("E", "no", elsewhere),
            failure("E", "yes", TRACEBACK),
            failure("F", "no", TRACEBACK),
        )
    }
    assert len(prints) == 4


def test_the_line_and_the_folder_of_the_place_do_not_count() -> None:
    moved = TRACEBACK.replace("line 12", "line 99").replace("/srv/app/", "/opt/next/")
    assert fingerprint_of(failure("E", "no", TRACEBACK), "f") == fingerprint_of(
        failure("E", "no", moved), "f"
    )


@pytest.mark.parametrize(
    ("traceback", "frame"),
    [
        (TRACEBACK, "mails.py:confirm"),
        ("", ""),
        ('  File "/a/site-packages/x.py", line 1, in go\n', "x.py:go"),
    ],
)
def test_the_place_is_the_innermost_frame_of_the_project(traceback: str, frame: str) -> None:
    assert innermost_frame(traceback) == frame


def test_without_a_place_the_function_stands_for_it() -> None:
    killed = Failure(Reason.KILLED)
    assert fingerprint_of(killed, "a.b") != fingerprint_of(killed, "c.d")


def test_a_traceback_is_cut_where_the_code_of_the_project_begins_and_ends() -> None:
    cut = passages(TRACEBACK)
    assert "".join(lines for _, lines in cut) == TRACEBACK
    assert [is_own for is_own, _ in cut] == [False, True, False]
    assert cut[1][1] == '  File "/srv/app/shop/mails.py", line 12, in confirm\n    send(order)\n'
    assert passages("") == []
