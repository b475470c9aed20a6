"""Nobody finds out what is masked by writing what it might be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command

from django_resilient_queue.models import Correction, DeadLetter, FallbackJob
from tests.integration.letters.desk import REVEAL, VIEW, address, client_of, letter_of
from tests.rest import ROOT
from tests.rest import client as rest_client

pytestmark = pytest.mark.django_db(transaction=True)

MASK = "********"
CORRECT = "correct_deadletter"


def payload(code: str, token: str, password: str) -> dict[str, Any]:
    return {
        "city": "Kiel",
        "secret_code": code,
        "options": {"token": token, "colour": "red"},
        "parts": [{"name": "a", "password": password}, {"name": "b", "password": "p-2"}],
        "secret_box": {"code": code},
    }


RIGHT, WRONG = payload("c-9", "t-5", "p-1"), payload("c-0", "t-0", "p-2")
SHOWN = {
    "city": "Kiel",
    "secret_code": MASK,
    "options": {"token": MASK, "colour": "red"},
    "parts": [{"name": "a", "password": MASK}, {"name": "b", "password": MASK}],
    "secret_box": MASK,
}
# What is written instead of what is shown; None for what is left out.
GUESSES: list[dict[str, Any]] = [
    {"secret_code": "c-9"},
    {"options": {"token": "t-5", "colour": "red"}},
    {"options": {"token": "t-5", "colour": "blue"}},
    {"parts": [{"name": "a", "password": "p-1"}, {"name": "b", "password": MASK}]},
    {"parts": [{"name": "b", "password": MASK}, {"name": "a", "password": "p-1"}]},
    {"parts": [{"name": "b", "password": MASK}]},
    {"secret_code": None, "city": "c-9"},
    {"secret_code": None, "note": "c-9"},
    {"secret_code": None, "token": "c-9"},
    {"secret_box": {"code": "c-9"}},
]


def written(guess: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**SHOWN, **guess}.items() if value is not None}


def told(page: str) -> list[str]:
    """What a page of the admin says of a change."""
    parts = r'<div class="drq-changes">.*?</div>|<ul class="(?:errorlist|messagelist).*?</ul>'
    return re.findall(parts, page, re.DOTALL)


def correct(step: str, letter: DeadLetter, guess: dict[str, Any], *more: str) -> list[str]:
    data = {"argument-kwargs": json.dumps(written(guess)), step: "1"}
    client = client_of(VIEW, CORRECT, *more)
    return told(client.post(address("correct", letter.pk), data, follow=True).text)


def check(letter: DeadLetter, guess: dict[str, Any]) -> Any:
    return correct("check", letter, guess)


def confirm(letter: DeadLetter, guess: dict[str, Any]) -> Any:
    return correct("confirm", letter, guess)


def over_rest(letter: DeadLetter, guess: dict[str, Any]) -> Any:
    path, body = f"{ROOT}dlq/{letter.pk}/payload/", {"kwargs": written(guess)}
    answer = rest_client(CORRECT).post(path, body, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()["diff"]


def afterwards(letter: DeadLetter, guess: dict[str, Any]) -> Any:
    """What is told of a correction to whoever looks at the letter later."""
    over_rest(letter, guess)
    page = client_of(VIEW).get(address("change", letter.pk)).text
    [line] = rest_client(VIEW).get(f"{ROOT}dlq/{letter.pk}/").json()["corrections"]
    return told(page), line["diff"]


@pytest.mark.parametrize("look", [check, confirm, over_rest, afterwards])
@pytest.mark.parametrize("guess", GUESSES, ids=str)
def test_a_guess_looks_the_same_whether_it_is_right(
    guess: dict[str, Any], look: Callable[[DeadLetter, dict[str, Any]], Any]
) -> None:
    seen = look(letter_of("job", kwargs=RIGHT), guess)
    assert seen
    DeadLetter.objects.all().delete()
    FallbackJob.objects.all().delete()
    assert seen == look(letter_of("job", kwargs=WRONG), guess)


def test_the_shell_tells_no_more_of_it_without_being_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    letter = letter_of(kwargs=RIGHT)
    over_rest(letter, {"secret_code": "c-9"})
    call_command("dlq", "show", str(letter.pk), "--json")
    [masked] = json.loads(capsys.readouterr().out)["corrections"]
    assert masked["diff"] == [{"op": "replace", "path": "/kwargs/secret_code", "value": MASK}]
    call_command("dlq", "show", str(letter.pk), "--json", "--reveal")
    [shown] = json.loads(capsys.readouterr().out)["corrections"]
    assert shown["diff"] == []


def test_a_guess_that_is_right_is_a_change_all_the_same() -> None:
    letter = letter_of(kwargs=RIGHT)
    assert "Requeued with other arguments" in str(confirm(letter, {"secret_code": "c-9"}))
    assert Correction.objects.get().after["kwargs"] == RIGHT


def test_who_may_see_secrets_hears_that_nothing_is_changed() -> None:
    letter = letter_of(kwargs=RIGHT)
    guess = {"secret_code": "c-9"}
    assert "Nothing is changed yet." in str(correct("check", letter, guess, REVEAL))
    assert "it is masked" in str(correct("check", letter, {"secret_code": "c-1"}, REVEAL))


def test_masks_that_are_left_alone_over_rest_keep_what_they_hide() -> None:
    letter = letter_of(kwargs=RIGHT)
    assert over_rest(letter, {"city": "Ulm"}) == [
        {"op": "replace", "path": "/kwargs/city", "value": "Ulm"}
    ]
    assert Correction.objects.get().after["kwargs"] == {**RIGHT, "city": "Ulm"}


@pytest.mark.parametrize("permissions", [(CORRECT,), (CORRECT, REVEAL)])
def test_a_mask_over_rest_that_hides_nothing_is_refused(permissions: tuple[str, ...]) -> None:
    letter = letter_of(kwargs=RIGHT)
    body = {"kwargs": {"city": MASK}}
    path = f"{ROOT}dlq/{letter.pk}/payload/"
    answer = rest_client(*permissions).post(path, body, format="json")
    assert answer.status_code == 400
    assert "mask" in answer.json()["detail"]
    assert not Correction.objects.exists()


def test_what_is_hidden_is_not_felt_out_by_masks_within_it() -> None:
    """A mask stands for all of it; nobody can know of names within."""
    letter = letter_of(kwargs={"secret_box": {"token": "t-5"}})
    body = {"kwargs": {"secret_box": {"token": MASK}}}
    answer = rest_client(CORRECT).post(f"{ROOT}dlq/{letter.pk}/payload/", body, format="json")
    assert answer.status_code == 400
    assert not Correction.objects.exists()
