"""Pausing: no worker takes a job from a paused queue, out of either store, until it is resumed.

The table says what is paused. Each Redis has a copy, which its workers' claims read; what does not
reach it from here is brought in line by a worker (`recovery/pausing.py`).
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.dispatch import Signal
from redis import exceptions as redis_errors

from . import events, signals
from .conf import settings
from .exceptions import describe
from .models import PausedQueue
from .models.paused_queue import ALL, PausedQueueQuerySet
from .stores.brokers import Broker, all_brokers, require_queue
from .stores.guard import database_errors
from .stores.keys import our_key
from .stores.polling import ask_each


def pause_queue(name: str, *, reason: str = "", by: object = "") -> bool:
    """Pause a queue of ``RQ_QUEUES``: its jobs are accepted and wait; those claimed are finished.

    *by* (a user, or a name) and *reason* are kept with the pause. Inside ``atomic()`` it takes
    effect with the commit. Returns False when the queue is paused already. Raises ValueError for
    a queue that there is not, StoreRefused or StoreAmbiguous when the database is away.
    """
    require_queue(name)
    return _pause(name, reason, by)


def resume_queue(name: str) -> bool:
    """End the pause of one queue; False when it is not paused by itself. Raises as `pause_queue`,
    but takes the name of a queue that is configured no more."""
    with database_errors(settings.DATABASE):
        changed = _pauses().resume(name)
    _on_commit("SREM", our_key("paused"), name)
    if changed:
        _announce(signals.queue_resumed, queue_name=name)
        _note(events.QUEUE_RESUMED, queue=name)
    return changed


def pause_all(*, reason: str = "", by: object = "") -> bool:
    """Pause every queue with one pause of its own; False when there is one already."""
    return _pause(ALL, reason, by)


def resume_all() -> int:
    """End every pause, that of all queues and those of single ones; returns how many."""
    with database_errors(settings.DATABASE):
        ended = _pauses().delete()[0]
    _on_commit("DEL", our_key("paused"))
    if ended:
        _announce(signals.queue_resumed, queue_name=ALL)
        _note(events.ALL_RESUMED)
    return ended


def pause(name: str, *, reason: str = "", by: object = "") -> bool:
    """Pause one queue, or every one by the name ALL."""
    return _pause(ALL, reason, by) if name == ALL else pause_queue(name, reason=reason, by=by)


def resume(name: str) -> bool:
    """End the pause of one queue, or every pause by the name ALL; False when there is none."""
    return bool(resume_all()) if name == ALL else resume_queue(name)


def paused_queues() -> list[PausedQueue]:
    """Return what is paused; the pause of all queues has the name ``""`` and comes first."""
    with database_errors(settings.DATABASE):
        return list(_pauses())


def _pause(name: str, reason: str, by: object) -> bool:
    with database_errors(settings.DATABASE):
        changed = _pauses().pause(name, reason=reason, paused_by=str(by))
    _on_commit("SADD", our_key("paused"), name)
    if changed:
        _announce(signals.queue_paused, queue_name=name, by=str(by))
        _note(events.QUEUE_PAUSED, queue=name or "(all)", by=by)
    return changed


def _pauses() -> PausedQueueQuerySet:
    return PausedQueue.objects.using(settings.DATABASE)


def _on_commit(*command: Any) -> None:
    transaction.on_commit(lambda: _tell(*command), using=settings.DATABASE)


def _announce(signal: Signal, **words: str) -> None:
    transaction.on_commit(lambda: signal.send_robust(PausedQueue, **words), using=settings.DATABASE)


def _note(event: events.Event, **facts: Any) -> None:
    transaction.on_commit(lambda: event.log(**facts), using=settings.DATABASE, robust=True)


def _tell(*command: Any) -> None:
    """Tell each Redis that is in use, in bounded time; what it misses a worker tells it."""
    in_use = [broker for broker in all_brokers() if broker.is_in_use]
    for broker, answer in ask_each(in_use, lambda each: _told(each, *command)):
        if isinstance(answer, Exception):
            events.PAUSE_NOT_TOLD.log(broker=broker.address, cause=describe(answer))


def _told(broker: Broker, *command: Any) -> Exception | None:
    try:
        broker.link.call(*command)
    except redis_errors.RedisError as error:
        return error
    return None
