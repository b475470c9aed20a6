"""Sending the notices that are due: each is claimed first, and tried a bounded number of times."""

from __future__ import annotations

from .. import events
from ..conf import settings
from ..exceptions import describe
from ..models import AlertNotice
from ..stores.guard import database_errors
from .channels import send
from .notice import Notice

BATCH = 50
_FIRST_WAIT, _LONGEST_WAIT = 10.0, 600.0  # seconds between two tries, doubled each time


def deliver(limit: int = BATCH) -> int:
    """Send what is due, the oldest first; returns how many were sent. A channel that fails is left
    alone for the rest of the batch: one that hangs costs its timeout once. Raises StoreError."""
    notices = AlertNotice.objects.using(settings.DATABASE)
    with database_errors(settings.DATABASE):
        batch = list(notices.due().select_related("alert").order_by("try_at", "pk")[:limit])
    failing: set[str] = set()
    sent = 0
    for notice in batch:
        if notice.channel in failing:
            continue
        with database_errors(settings.DATABASE):
            if not notices.claim(notice, _wait(notice.tries)):
                continue
        problem = _problem_of(notice)
        if problem:
            failing.add(notice.channel)
        sent += not problem
        _note(notice, problem)
    return sent


def longest() -> float:
    """Return after how many seconds a batch surely hangs: each channel has failed once."""
    return (len(settings.ALERT_CHANNELS) + 1) * settings.ALERT_TIMEOUT + 10


def _wait(tries: int) -> float:
    """Return when to try again, at a time when this try is surely over."""
    growing = min(_FIRST_WAIT * float(2 ** min(tries, 10)), _LONGEST_WAIT)
    return settings.ALERT_TIMEOUT + growing


def _problem_of(notice: AlertNotice) -> str:
    try:
        send(notice.channel, Notice.of(notice))
    except Exception as error:  # noqa: BLE001 - whatever a channel raises: it is tried again
        return describe(error)
    return ""


def _note(notice: AlertNotice, problem: str) -> None:
    notices = AlertNotice.objects.using(settings.DATABASE)
    is_last = notice.tries + 1 >= settings.ALERT_TRIES
    with database_errors(settings.DATABASE):
        if problem and not is_last:
            notices.fail(notice, problem)
        else:
            notices.finish(notice, problem)
    if problem:
        events.ALERT_NOT_SENT.log(
            channel=notice.channel,
            rule=notice.alert.rule,
            kind=notice.kind,
            tries=notice.tries + 1,
            given_up=is_last,
            cause=problem,
        )
