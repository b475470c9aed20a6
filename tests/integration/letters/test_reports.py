"""What is mailed to the admins when a page of a letter fails, or a call of the API."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import got_request_exception
from django.http import HttpRequest
from django.test import Client
from django.views.debug import ExceptionReporter

from django_resilient_queue.admin import dead_letter
from django_resilient_queue.admin.letters import correction, revealing
from django_resilient_queue.api import letters
from tests.integration.letters.desk import address, client_of, letter_of
from tests.rest import ROOT
from tests.rest import client as rest_client

pytestmark = pytest.mark.django_db(transaction=True)

SECRETS = ("k-123", "typed-1")  # of the job, and of a correction
FORM = {"argument-kwargs": json.dumps({"api_key": "typed-1"}), "confirm": "1", "reason": "x"}


@pytest.fixture
def reports() -> Iterator[list[str]]:
    found: list[str] = []

    def write(request: HttpRequest, **kwargs: Any) -> None:
        kind, error, trace = sys.exc_info()
        report = ExceptionReporter(request, kind, error, trace, is_email=True)
        found.append(report.get_traceback_text() + report.get_traceback_html())

    got_request_exception.connect(write)
    yield found
    got_request_exception.disconnect(write)


def fail(*args: object, **kwargs: object) -> None:
    raise RuntimeError("a page fails here")


@pytest.mark.parametrize(
    ("module", "name", "page", "form"),
    [
        (dead_letter, "_corrections", "change", None),
        (correction, "away_since", "correct", None),
        (correction, "requeue", "correct", FORM),
        (revealing, "pretty", "reveal", FORM),
    ],
)
def test_a_report_of_a_page_that_fails_has_no_secrets(
    reports: list[str],
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    page: str,
    form: dict[str, str] | None,
) -> None:
    client: Client = client_of(raise_request_exception=False)
    where = address(page, letter_of().pk)
    monkeypatch.setattr(module, name, fail)
    answer = client.get(where) if form is None else client.post(where, form)
    assert answer.status_code == 500
    [report] = reports
    assert "a page fails here" in report
    assert not [secret for secret in SECRETS if secret in report]


def test_nor_has_one_of_a_call_that_fails(
    reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = rest_client(raise_request_exception=False)
    monkeypatch.setattr(letters, "requeue", fail)
    body = {"kwargs": {"api_key": "typed-1"}}
    answer = client.post(f"{ROOT}dlq/{letter_of().pk}/payload/", body, format="json")
    assert answer.status_code == 500
    [report] = reports
    assert "a page fails here" in report
    assert not [secret for secret in SECRETS if secret in report]
