"""Selections: which letters one means, told and read again as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from django_resilient_queue import (
    Selection,
)
from django_resilient_queue.models import DeadLetter
from tests.letters import die

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(ids=(1, 2), reason="raised"),
        Selection(handler="a.b", queue_name="low", category="timeout", priority=1),
        Selection(error_class="E", fingerprint="f" * 32, since=NOON, until=NOON),
    ],
)
def test_a_selection_comes_back_from_json_as_it_was(selection: Selection) -> None:
    assert Selection.from_json(selection.as_json()) == selection


def test_a_criterion_that_there_is_not_is_named() -> None:
    with pytest.raises(ValueError, match="no such criterion: 'que'; there are"):
        Selection.from_json({"que": "low"})


def test_a_selection_takes_what_fits_all_of_it(transactional_db: None) -> None:
    a, b, c = *die("a", "b", error_class="E"), *die("c", queue_name="low")
    DeadLetter.objects.filter(pk=b.pk).update(died_at=NOON)
    letters = DeadLetter.objects.all()

    def found(**criteria: Any) -> set[str]:
        chosen = Selection(**criteria).among(letters)
        return set(chosen.values_list("job_id", flat=True))

    assert found() == {"a", "b", "c"}
    assert found(ids=(a.pk, c.pk)) == {"a", "c"}
    assert found(queue_name="low") == {"c"} == found(priority=1)
    assert found(since=NOON, until=NOON + timedelta(seconds=1)) == {"b"}
    assert found(fingerprint=a.fingerprint, handler=a.handler, category="other") == {"a", "b", "c"}
    assert found(ids=(a.pk,), queue_name="low") == set()
