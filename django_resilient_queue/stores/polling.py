"""Asking several Redis at the same time: those that are away keep nobody waiting one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from .. import crew, forks
from ..conf import settings
from ..exceptions import StoreAmbiguous, StoreError
from . import patience
from .brokers import Broker

T = TypeVar("T")

_ROUNDS = 2  # times ENQUEUE_TIMEOUT that a question may take: some are of two parts


def ask_each(
    brokers: Sequence[Broker], question: Callable[[Broker], T]
) -> Iterator[tuple[Broker, T | StoreError]]:
    """Put a question to each Redis; yields the answers in the order of the brokers, a StoreError in
    the place of one that there is none from. Who has seen enough need not wait for the others."""
    forks.notice()
    since = time.monotonic()
    waited_for = [each for each in brokers if patience.lost_with(each.link) is None]
    # One alone, and who refuses at once, is asked without a thread.
    calls = {each: _begin(each, question) for each in waited_for} if len(waited_for) > 1 else {}
    for broker in brokers:
        if broker in calls:
            yield broker, _awaited(broker, calls[broker], since)
        else:
            yield broker, _answer(broker, question)


def _answer(broker: Broker, question: Callable[[Broker], T]) -> T | StoreError:
    try:
        return question(broker)
    except StoreError as error:
        return error


def _begin(broker: Broker, question: Callable[[Broker], T]) -> crew.Call | None:
    try:
        return crew.redis_crew.begin(lambda: _answer(broker, question))
    except crew.TookTooLong:
        return None


def _awaited(broker: Broker, call: crew.Call | None, since: float) -> T | StoreError:
    until = since + settings.ENQUEUE_TIMEOUT * _ROUNDS
    try:
        if call is None:
            raise crew.TookTooLong
        answer: T | StoreError = call.wait(max(until - time.monotonic(), 0))
    except crew.TookTooLong:
        error = StoreAmbiguous(TimeoutError("no answer in time"))
        patience.lose_with(broker.link, error, since)
        return error
    return answer
