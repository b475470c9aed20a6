"""One notification on its way to one user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....conf import settings
from ....models import NotificationDelivery
from ....models.notification_delivery import NotificationDeliveryQuerySet
from .recipients import language_of
from .wording import Words, words_in


@dataclass(frozen=True, slots=True)
class Notice:
    """A validated payload, its user, and the job that delivers it."""

    user: Any
    payload: Mapping[str, Any]
    job_id: str
    queue_name: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)  # of the job, for the one that follows

    @property
    def user_key(self) -> str:
        """What tables name the user by."""
        return str(self.user.pk)

    @property
    def key(self) -> str:
        """What stays the same over attempts, requeues and the job after the quiet hours."""
        return str(self.payload["key"])

    @property
    def kind(self) -> str:
        """Its type."""
        return str(self.payload["type"])

    @property
    def channels(self) -> Sequence[str]:
        """Names of channels, in order."""
        channels: Sequence[str] = self.payload["channels"]
        return channels

    @property
    def first_only(self) -> bool:
        """Whether the first channel that takes it is enough."""
        return bool(self.payload["mode"] == "first")

    def words(self, channel: str) -> Words:
        """Return what is told by a channel."""
        return words_in(language_of(self.user), self.payload, channel)

    def records(self) -> NotificationDeliveryQuerySet:
        """What became of it so far."""
        deliveries = NotificationDelivery.objects.using(settings.DATABASE)
        return deliveries.of(self.user_key, self.key)

    def record(self, channel: str, state: str, *, target: str = "", **values: Any) -> None:
        """Write down what became of it on a channel."""
        NotificationDelivery.objects.using(settings.DATABASE).record(
            self.user_key, self.key, channel, target, state=state, job_id=self.job_id, **values
        )
