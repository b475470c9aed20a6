"""What is said of a mail server's answer."""

from __future__ import annotations

import pytest

from django_resilient_queue.handlers.business.email_send.answer import Answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(550, "5.1.1"), "550 5.1.1: there is no such mailbox"),
        (Answer(452, "4.2.2"), "452 4.2.2: the mailbox is full"),
        (Answer(550, "5.9.9"), "550 5.9.9"),
        (Answer(554), "554"),
        (Answer(0, "rejected"), "rejected"),
    ],
)
def test_codes_are_followed_by_what_they_mean_where_that_is_known(
    answer: Answer, words: str
) -> None:
    assert answer.explained == words
