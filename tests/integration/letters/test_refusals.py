"""What a schema says of a correction does not repeat what the user may not see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from rest_framework import serializers

from django_resilient_queue.exceptions import InvalidPayload
from django_resilient_queue.handlers.performing import PERFORM
from django_resilient_queue.handlers.registry import job_handler, registry
from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.models import DeadLetter
from django_resilient_queue.outcomes import Failure, Reason
from django_resilient_queue.recovery.requeueing import requeue
from tests.enqueueing import queue
from tests.integration.letters.desk import REVEAL, VIEW, address, client_of
from tests.rest import ROOT
from tests.rest import client as rest_client

pytestmark = pytest.mark.django_db(transaction=True)

MASK = "********"
CORRECT = "correct_deadletter"
NEUTRAL = "This value does not fit the schema; it is masked, and so is what is wrong with it."
HAD: dict[str, Any] = {
    "city": "Kiel",
    "secret_code": "hunter2",
    "account": {"user": "ann", "password": "hunter2"},
    "accounts": [{"user": "bob", "password": "b"}, {"user": "ann", "password": "hunter2"}],
}
SHOWN: dict[str, Any] = {
    "city": "Kiel",
    "secret_code": MASK,
    "account": {"user": "ann", "password": MASK},
    "accounts": [{"user": "bob", "password": MASK}, {"user": "ann", "password": MASK}],
}
ORDER = "visit:order"


class Account(serializers.Serializer[Any]):
    user = serializers.CharField(max_length=5)
    password = serializers.CharField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if REFUSE == "nested" and attrs.get("password") == "hunter2":
            raise serializers.ValidationError(f"{attrs} is no account")
        return attrs


class Visit(serializers.Serializer[Any]):
    city = serializers.ChoiceField(choices=["Kiel", "Ulm"])
    secret_code = serializers.CharField(required=False)
    account = Account(required=False)
    accounts = Account(many=True, required=False)

    def validate_secret_code(self, value: str) -> str:
        if REFUSE == "crash":
            raise ValueError(f"{value} is no number")
        if REFUSE == "secret":
            raise serializers.ValidationError(f"{value} is no code")
        return value

    def validate_account(self, value: Any) -> Any:
        if REFUSE == "parent":
            raise serializers.ValidationError(f"{value} is no account")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if REFUSE == "whole":
            raise serializers.ValidationError(f"{attrs} is no visit")
        return attrs


REFUSE = ""


def visit(data: dict[str, Any]) -> None: ...


@pytest.fixture
def letter() -> Iterator[DeadLetter]:
    job_handler(ORDER, schema=Visit)(visit)
    job = queue().create_job(PERFORM, args=(ORDER,), kwargs=HAD, description=ORDER, job_id="job")
    snapshot = JobSnapshot.of(job, queue_name="default")
    DeadLetter.objects.record([DeadLetter.of(snapshot, Failure(Reason.RAISED), attempts=1)])
    yield DeadLetter.objects.get()
    registry.remove(ORDER)


@pytest.fixture(params=["secret", "nested", "parent", "whole"])
def refuse(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.REFUSE", request.param)


def in_the_form(letter: DeadLetter, *permissions: str, **changed: str) -> str:
    fields = {"city": "Ulm", "secret_code": MASK}
    fields |= {name: json.dumps(SHOWN[name]) for name in ("account", "accounts")}
    data = {f"argument-{name}": value for name, value in {**fields, **changed}.items()}
    client = client_of(VIEW, CORRECT, *permissions)
    page: str = client.post(address("correct", letter.pk), {**data, "check": "1"}).text
    return page


def over_rest(letter: DeadLetter, *permissions: str, **changed: Any) -> Any:
    path, body = f"{ROOT}dlq/{letter.pk}/payload/", {"kwargs": {**SHOWN, "city": "Ulm", **changed}}
    answer = rest_client(CORRECT, *permissions).post(path, body, format="json")
    assert answer.status_code == 400, answer.content
    return answer.json()["errors"]["data"]


@pytest.mark.usefixtures("refuse")
def test_a_refusal_repeats_no_secret(letter: DeadLetter) -> None:
    page, errors = in_the_form(letter), over_rest(letter)
    assert "hunter2" not in page
    assert NEUTRAL in page
    assert "hunter2" not in str(errors)
    assert NEUTRAL in str(errors)


@pytest.mark.usefixtures("refuse")
def test_a_refusal_is_said_in_full_to_who_may_see_secrets(letter: DeadLetter) -> None:
    assert "hunter2" in in_the_form(letter, REVEAL)
    assert "hunter2" in str(over_rest(letter, REVEAL))
    with pytest.raises(InvalidPayload) as caught:
        requeue(letter, kwargs={**HAD, "city": "Ulm"})
    assert "hunter2" in str(caught.value.errors)


def test_nor_does_a_schema_that_fails_itself(
    letter: DeadLetter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.REFUSE", "crash")
    path, body = f"{ROOT}dlq/{letter.pk}/payload/", {"kwargs": {**SHOWN, "city": "Ulm"}}
    answer = rest_client(CORRECT).post(path, body, format="json")
    assert answer.status_code == 400
    assert "hunter2" not in answer.content.decode()
    assert "the schema of visit:order fails with ValueError" in answer.json()["detail"]
    assert "hunter2" not in in_the_form(letter)
    assert "hunter2" in in_the_form(letter, REVEAL)


def test_what_is_wrong_with_no_secret_is_said_in_full(letter: DeadLetter) -> None:
    accounts = [SHOWN["accounts"][0], {"user": "longer", "password": MASK}]
    errors = over_rest(letter, city="Bonn", accounts=accounts)
    assert errors["city"] == ['"Bonn" is not a valid choice.']
    assert "{'user': ['Ensure this field has no more than 5 characters.']}" in str(errors)


def test_a_name_that_the_schema_has_not_is_said_even_of_a_secret(letter: DeadLetter) -> None:
    assert over_rest(letter, api_key="x") == {"api_key": ["Unknown field."]}
