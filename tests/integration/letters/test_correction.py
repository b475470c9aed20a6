"""The form that arguments are corrected by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from rest_framework import serializers

from django_resilient_queue.handlers.performing import PERFORM
from django_resilient_queue.handlers.registry import job_handler, registry
from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.models import Correction, DeadLetter, FallbackJob
from django_resilient_queue.outcomes import Failure, Reason
from tests.enqueueing import queue
from tests.integration.letters.desk import REVEAL, VIEW, address, client_of, letter_of

pytestmark = pytest.mark.django_db(transaction=True)

MASK = "********"
PARCEL: dict[str, Any] = {
    "city": "Lübeck",
    "note": "ring\ntwice",
    "count": 2,
    "weight": 1.5,
    "is_gift": False,
    "speed": "slow",
    "stops": ["Kiel"],
    "secret_code": "c-9",
    "options": {"token": "t-5", "colour": "red"},
    "parts": [{"name": "a", "password": "p-1"}, {"name": "b", "password": "p-2"}],
}
SENT = {
    "argument-city": "Lübeck",
    "argument-note": "ring\r\ntwice",
    "argument-count": "2",
    "argument-weight": "1.5",
    "argument-is_gift": "false",
    "argument-speed": "slow",
    "argument-stops": '["Kiel"]',
    "argument-secret_code": MASK,
    "argument-options": f'{{"token": "{MASK}", "colour": "red"}}',
    "argument-parts": json.dumps([{"name": name, "password": MASK} for name in "ab"]),
    "argument-address": "",
    "argument-level": "",
    "argument-colours": "",
}


class Parcel(serializers.Serializer[Any]):
    """One field of each kind."""

    city = serializers.CharField(max_length=20, help_text="Where to.")
    note = serializers.CharField(required=False)
    count = serializers.IntegerField(max_value=9)
    weight = serializers.FloatField(required=False)
    is_gift = serializers.BooleanField(required=False)
    speed = serializers.ChoiceField(choices=[("slow", "Slow"), ("fast", "Fast")])
    stops = serializers.ListField(child=serializers.CharField(max_length=5))
    secret_code = serializers.CharField(required=False)
    options = serializers.DictField(required=False)
    parts = serializers.ListField(child=serializers.DictField(), required=False)
    address = serializers.EmailField(required=False)
    level = serializers.ChoiceField(choices=[(1, "one"), (2, "two")], required=False)
    colours = serializers.MultipleChoiceField(choices=["red", "blue"], required=False)


def send_parcel(data: dict[str, Any]) -> None: ...


@pytest.fixture
def letter() -> Iterator[DeadLetter]:
    job_handler("parcel:send", schema=Parcel)(send_parcel)
    yield dead_parcel(PARCEL)
    registry.remove("parcel:send")


def dead_parcel(payload: dict[str, Any]) -> DeadLetter:
    job = queue().create_job(
        PERFORM, args=("parcel:send",), kwargs=payload, description="parcel:send", job_id="job"
    )
    snapshot = JobSnapshot.of(job, queue_name="default")
    DeadLetter.objects.record([DeadLetter.of(snapshot, Failure(Reason.RAISED), attempts=1)])
    return DeadLetter.objects.get()


def send(client: Client, letter: DeadLetter, step: str, **changed: str) -> str:
    fields = {**SENT, **{f"argument-{name}": value for name, value in changed.items()}}
    answer = client.post(address("correct", letter.pk), {**fields, step: "1"}, follow=True)
    assert answer.status_code == 200
    return answer.text


def corrected() -> dict[str, Any]:
    found: dict[str, Any] = Correction.objects.get().after["kwargs"]
    return found


def test_each_field_of_the_schema_has_an_input_with_what_the_job_had(letter: DeadLetter) -> None:
    page = client_of().get(address("correct", letter.pk)).text
    for part in (
        'name="argument-city" value="Lübeck"',
        "ring\ntwice</textarea>",
        'type="number" name="argument-count" value="2"',
        'type="number" name="argument-weight" value="1.5"',
        '<option value="false" selected>no</option>',
        '<option value="slow" selected>Slow</option>',
        'name="argument-address"',
        "Where to.",
    ):
        assert part in page, part
    assert not [secret for secret in ("c-9", "t-5", "p-1", "p-2") if secret in page]


def test_what_is_left_alone_is_no_change(letter: DeadLetter) -> None:
    assert "Nothing is changed yet." in send(client_of(), letter, "confirm")
    assert letter.status == "dead"


def test_a_change_is_shown_before_it_is_made(letter: DeadLetter) -> None:
    client = client_of()
    page = send(client, letter, "check", city="Kiel")
    assert "+ &quot;Kiel&quot;" in page
    assert not Correction.objects.exists()
    assert not LogEntry.objects.exists()
    page = send(client, letter, "back", city="Kiel")
    assert 'type="text" name="argument-city" value="Kiel"' in page
    assert 'name="confirm"' not in page
    assert not Correction.objects.exists()
    assert "Requeued with other arguments as job-r1." in send(
        client, letter, "confirm", city="Kiel"
    )
    assert corrected() == {**PARCEL, "city": "Kiel"}
    assert LogEntry.objects.count() == 1


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"count": "3"}, {"count": 3}),
        ({"weight": "2"}, {"weight": 2}),
        ({"is_gift": "true"}, {"is_gift": True}),
        ({"speed": "fast"}, {"speed": "fast"}),
        ({"level": "2"}, {"level": 2}),
        ({"stops": '["Kiel", "Ulm"]'}, {"stops": ["Kiel", "Ulm"]}),
        ({"note": "ring\r\nonce"}, {"note": "ring\nonce"}),
        ({"secret_code": "c-10"}, {"secret_code": "c-10"}),
        (
            {"options": f'{{"token": "{MASK}", "colour": "blue"}}'},
            {"options": {"token": "t-5", "colour": "blue"}},
        ),
        (
            {"parts": f'[{{"name": "b", "password": "{MASK}"}}]'},
            {"parts": [{"name": "b", "password": "p-2"}]},
        ),
    ],
)
def test_values_keep_their_types_and_masks_keep_what_they_hide(
    letter: DeadLetter, changed: dict[str, str], expected: dict[str, Any]
) -> None:
    send(client_of(), letter, "confirm", **changed)
    assert corrected() == {**PARCEL, **expected}


def test_an_emptied_field_is_left_out(letter: DeadLetter) -> None:
    send(client_of(), letter, "confirm", note="", options="", is_gift="")
    left = {"note", "options", "is_gift"}
    assert corrected() == {name: value for name, value in PARCEL.items() if name not in left}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"count": "10"}, "less than or equal to 9"),
        ({"city": "x" * 21}, "no more than 20 characters"),
        ({"address": "nobody"}, "valid email address"),
        ({"stops": '["Kiel", "far away"]'}, "2: Ensure this field has no more than 5"),
        ({"stops": "[Kiel]"}, "Not JSON"),
        ({"weight": "heavy"}, "Enter a number"),
        ({"speed": "faster"}, "Select a valid choice"),
        ({"parts": f'[{{"name": "c", "password": "{MASK}"}}]'}, "stands where it hides nothing"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_changed(
    letter: DeadLetter, changed: dict[str, str], words: str
) -> None:
    page = send(client_of(), letter, "confirm", **changed)
    assert words in page
    assert "See what changes" in page
    assert DeadLetter.objects.get().status == "dead"


def test_a_value_that_does_not_fit_its_field_is_shown_as_json(letter: DeadLetter) -> None:
    DeadLetter.objects.all().delete()
    letter = dead_parcel({**PARCEL, "count": "two", "old": [1]})
    page = client_of().get(address("correct", letter.pk)).text
    assert "&quot;two&quot;</textarea>" in page
    assert "Unknown field." in send(client_of(), letter, "confirm", old="[1]", count="2")
    send(client_of(), letter, "confirm", old="", count="2")
    assert corrected() == PARCEL


def test_secrets_are_shown_to_who_reveals_them_and_that_is_noted(letter: DeadLetter) -> None:
    client = client_of(VIEW, "correct_deadletter", REVEAL)
    assert "Reveal secrets" in client.get(address("correct", letter.pk)).text
    page = client.post(address("correct", letter.pk), {"reveal": "1"}).text
    assert 'value="c-9"' in page
    assert "Looked at the masked values" in LogEntry.objects.get().change_message
    page = send(client, letter, "check", secret_code="c-10")
    assert "Changed; it is masked." in page


def test_who_may_not_see_secrets_does_not_reveal_them(letter: DeadLetter) -> None:
    client = client_of(VIEW, "correct_deadletter")
    assert "Reveal secrets" not in client.get(address("correct", letter.pk)).text
    answer = client.post(address("correct", letter.pk), {"reveal": "1"})
    assert answer.status_code == 403
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("text", ["half \ud83d of a pair", "a\0b", "50%\r100%"])
def test_a_text_that_no_page_can_carry_is_shown_as_json(letter: DeadLetter, text: str) -> None:
    DeadLetter.objects.all().delete()
    letter, client = dead_parcel({**PARCEL, "note": text}), client_of()
    form = client.get(address("correct", letter.pk)).context["form"]
    shown = form["argument-note"].value()
    assert json.loads(shown) == text
    if "%" in text:  # the others are no text to a schema
        assert "Nothing is changed yet." in send(client, letter, "confirm", note=shown)
        send(client, letter, "confirm", note=shown, city="Kiel")
        assert corrected() == {**PARCEL, "note": text, "city": "Kiel"}


def test_what_is_said_of_a_value_that_no_page_can_carry_is_said(letter: DeadLetter) -> None:
    page = send(client_of(), letter, "confirm", colours='["\\ud800"]')
    assert "is not a valid choice" in page


@pytest.mark.parametrize("name", ["half \ud83d of a pair", "a\0b", "a\rb", "a\nb"])
def test_a_name_that_no_page_can_carry_is_shown_as_json(letter: DeadLetter, name: str) -> None:
    """As of a job that was enqueued by rq's own means, which no schema has seen."""
    DeadLetter.objects.all().delete()
    letter, client = dead_parcel({**PARCEL, name: 1}), client_of()
    form = client.get(address("correct", letter.pk)).context["form"]
    shown = form["argument-kwargs"].value()
    assert json.loads(shown)[name] == 1
    fields = {"argument-kwargs": shown, "confirm": "1"}
    page = client.post(address("correct", letter.pk), fields)
    assert "Unknown field." in page.text
    given = json.loads(shown)
    del given[name]
    fields["argument-kwargs"] = json.dumps(given)
    client.post(address("correct", letter.pk), fields)
    assert corrected() == PARCEL


def test_what_is_nested_too_deeply_is_refused(letter: DeadLetter) -> None:
    """Python reads it, and fails at following it."""
    deep = '{"a":' * 900 + "1" + "}" * 900
    assert "Nested deeper than 100 levels." in send(client_of(), letter, "confirm", options=deep)


# ---- jobs without a schema -----------------------------------------------------------------------


def test_a_plain_function_has_one_field_of_json() -> None:
    letter, client = letter_of(), client_of()
    page = client.get(address("correct", letter.pk)).text
    assert "These positional arguments stay as they are" in page
    fields = {"argument-kwargs": f'{{"city": "Kiel", "api_key": "{MASK}"}}', "confirm": "1"}
    client.post(address("correct", letter.pk), fields)
    assert corrected() == {"city": "Kiel", "api_key": "k-123"}


def test_a_job_of_a_queue_that_is_gone_is_corrected_and_goes_to_another() -> None:
    letter, client = letter_of(queue_name="gone"), client_of()
    page = address("correct", letter.pk)
    assert '<option value="low">low</option>' in client.get(page).text
    assert "queue_name" not in client.get(address("correct", letter_of("other").pk)).text
    fields = {"argument-kwargs": '{"city": "Kiel"}'}
    assert "This field is required." in client.post(page, fields).text
    fields["queue_name"] = "low"
    confirmed = client.post(page, fields).text
    assert '<input type="hidden" name="queue_name" value="low"' in confirmed
    client.post(page, {**fields, "confirm": "1"})
    assert corrected() == {"city": "Kiel"}
    assert FallbackJob.objects.get().queue_name == "low"


@pytest.mark.parametrize("text", ["", "[]", "7", '{"city": NaN}', "{"])
def test_what_is_no_object_is_refused(text: str) -> None:
    letter, client = letter_of(), client_of()
    answer = client.post(address("correct", letter.pk), {"argument-kwargs": text, "confirm": "1"})
    assert "errornote" in answer.text
    assert DeadLetter.objects.get().status == "dead"


def test_arguments_that_are_no_json_are_not_corrected() -> None:
    letter, client = letter_of(kwargs={"parts": {1, 2}}), client_of()
    answer = client.get(address("correct", letter.pk), follow=True)
    assert "no JSON values" in answer.text


def test_arguments_that_no_encoding_has_are_shown_and_kept() -> None:
    letter, client = letter_of(kwargs={"name": "\ud800", "city": "Kiel"}), client_of()
    shown = client.get(address("correct", letter.pk)).context["form"]["argument-kwargs"].value()
    assert json.loads(shown) == {"name": "\ud800", "city": "Kiel"}
    fields = {"argument-kwargs": shown.replace("Kiel", "Bonn"), "confirm": "1"}
    client.post(address("correct", letter.pk), fields)
    assert corrected() == {"name": "\ufffd", "city": "Bonn"}
