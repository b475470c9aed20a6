"""A notification by its channels, in order: what is sent, what waits, what falls to the next."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from rq.timeouts import JobTimeoutException

from .... import events
from ....conf import settings
from ....exceptions import PermanentError
from ....models import NotificationDelivery, NotificationPreference, QuietHours
from ....models.notification_delivery import DeliveryState
from ....submission import submit
from .channels import CHANNELS
from .channels.failures import NotTaken, Unavailable
from .notice import Notice
from .schemas import NAME

Outcome = dict[str, str]
_FAILED = (DeliveryState.UNREACHABLE, DeliveryState.REFUSED, DeliveryState.UNAVAILABLE)
# What another attempt of the same job leaves as it is; a requeued one looks again.
_SETTLED = (DeliveryState.UNREACHABLE, DeliveryState.REFUSED, DeliveryState.DELAYED)


class NotDelivered(Exception):
    """A channel may take it at another attempt; the message names channels and reasons."""


class Undeliverable(PermanentError):
    """No channel has taken it, and none will."""


class Delivery:
    """One attempt at one notification."""

    def __init__(self, notice: Notice, *, now: datetime | None = None) -> None:
        self.notice = notice
        self.now = now or timezone.now()
        self.outcomes: dict[str, Outcome] = {}
        self.is_reached = False

    def run(self) -> dict[str, Outcome]:
        """Return what became of it by channel. Raises NotDelivered and Undeliverable."""
        records = {each.channel: each for each in self.notice.records().filter(target="")}
        unwanted = self._preferences().unwanted(self.notice.user_key, self.notice.kind)
        quiet_until = self._quiet_until()
        self.is_reached = any(each.state == DeliveryState.SENT for each in records.values())
        for name in self._order(quiet_until):
            known = self._known(records.get(name))
            if known is not None:
                self.outcomes[name] = known
            elif self.notice.first_only and self.is_reached:
                continue
            elif name in unwanted:
                self._note(name, DeliveryState.OFF)
            elif quiet_until is not None and CHANNELS[name].disturbs:
                self.outcomes[name] = _outcome(DeliveryState.DELAYED, due_at=quiet_until)
            else:
                self._try(name)
        self._delay(quiet_until)
        self._judge()
        return self.outcomes

    def _order(self, quiet_until: datetime | None) -> list[str]:
        """Where the first is enough, what may be sent now goes before what must wait."""
        if self.notice.first_only and quiet_until is not None:
            return sorted(self.notice.channels, key=lambda name: CHANNELS[name].disturbs)
        return list(self.notice.channels)

    def _known(self, record: NotificationDelivery | None) -> Outcome | None:
        """What an earlier attempt has settled."""
        if record is None:
            return None
        same_job = record.job_id == self.notice.job_id
        if record.state == DeliveryState.SENT or (same_job and record.state in _SETTLED):
            return _outcome(record.state, record.reason, record.due_at)
        return None

    def _try(self, name: str) -> None:
        try:
            CHANNELS[name].send(self.notice)
        except NotTaken as error:
            self._note(name, error.state, error.reason)
            self.is_reached |= isinstance(error, Unavailable) and error.reached
        except JobTimeoutException:
            raise
        except Exception as error:  # noqa: BLE001 - of a template or a backend: the next has its turn
            events.CHANNEL_FAILED.log(error=error, channel=name, job_id=self.notice.job_id)
            self._note(name, DeliveryState.UNAVAILABLE, type(error).__name__)
        else:
            self._note(name, DeliveryState.SENT)
            self.is_reached = True

    def _note(self, name: str, state: str, reason: str = "") -> None:
        self.notice.record(name, state, reason=reason)
        self.outcomes[name] = _outcome(state, reason)

    def _delay(self, until: datetime | None) -> None:
        """Give what must wait to a job of its own, first: recorded without one it would be lost."""
        states = self._in(DeliveryState.DELAYED)
        recorded = self.notice.records().filter(
            channel__in=states, state=DeliveryState.DELAYED, job_id=self.notice.job_id, target=""
        )
        waiting = [name for name in states if name not in {each.channel for each in recorded}]
        if until is None or not waiting:
            return
        if self.notice.first_only and self.is_reached:
            for name in waiting:
                del self.outcomes[name]
            return
        # Enqueued twice, after a kill right here, it is the same job, hence with all that waits.
        submit(
            NAME,
            {**self.notice.payload, "channels": states},
            job_id=self._follow_up_id(until),
            queue=self.notice.queue_name,
            meta=self.notice.meta,
            delay=max(until - timezone.now(), timedelta()),
        )
        for name in waiting:
            self.notice.record(name, DeliveryState.DELAYED, due_at=until)

    def _follow_up_id(self, until: datetime) -> str:
        name = f"{self.notice.job_id}:{self.notice.user_key}:{self.notice.key}:{until.isoformat()}"
        return f"notification-{hashlib.sha256(name.encode()).hexdigest()[:40]}"

    def _judge(self) -> None:
        unavailable = self._in(DeliveryState.UNAVAILABLE)
        if unavailable and not (self.notice.first_only and self.is_reached):
            raise NotDelivered(self._reasons(unavailable))
        failed = self._in(*_FAILED)
        if failed and not self.is_reached and not self._in(DeliveryState.DELAYED):
            raise Undeliverable(self._reasons(failed))

    def _in(self, *states: str) -> list[str]:
        return [name for name, outcome in self.outcomes.items() if outcome["state"] in states]

    def _reasons(self, names: list[str]) -> str:
        return "; ".join(f"{name}: {self.outcomes[name].get('reason', '')}" for name in names)

    def _quiet_until(self) -> datetime | None:
        if self.notice.kind in settings.NOTIFICATION_URGENT_TYPES:
            return None
        hours = QuietHours.objects.using(settings.DATABASE).of(self.notice.user_key).first()
        return hours.end_after(self.now) if hours is not None else None

    @staticmethod
    def _preferences() -> Any:
        return NotificationPreference.objects.using(settings.DATABASE)


def _outcome(state: str, reason: str = "", due_at: datetime | None = None) -> Outcome:
    return dict(_said(state, reason, due_at))


def _said(state: str, reason: str, due_at: datetime | None) -> Iterator[tuple[str, str]]:
    yield "state", str(state)
    if reason:
        yield "reason", reason
    if due_at is not None:
        yield "due_at", due_at.isoformat()
