"""Answers that all who look at the overview share."""

from __future__ import annotations

import threading

from django_resilient_queue.admin.overview.snapshot import Kept


def test_an_answer_that_was_under_way_at_a_change_is_not_kept() -> None:
    """A pause would not be seen on the page that comes after it."""
    state, asked, changed = ["before"], threading.Event(), threading.Event()

    def look() -> str:
        found = state[0]
        asked.set()
        assert changed.wait(60)
        return found

    kept = Kept(look, 60.0)
    early = threading.Thread(target=kept.get)
    early.start()
    assert asked.wait(60)
    state[0] = "after"
    kept.forget()
    changed.set()
    early.join()
    assert kept.get() == "after"


def test_an_answer_is_made_once_while_it_is_good() -> None:
    answers = iter(["first", "second"])
    kept = Kept(lambda: next(answers), 60.0)
    assert [kept.get(), kept.get()] == ["first", "first"]
    kept.forget()
    assert kept.get() == "second"
