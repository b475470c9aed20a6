"""The ways to a user, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from ..notice import Notice
from . import in_app, mail, push, sms


@dataclass(frozen=True, slots=True)
class Channel:
    """*send* raises NotTaken; *missing* names settings that are not there; *disturbs*: it keeps
    quiet hours. *requires* are modules, which come with *extra*."""

    name: str
    send: Callable[[Notice], None]
    missing: Callable[[], str | None]
    disturbs: bool = True
    requires: Sequence[str] = ()
    extra: str = ""

    @property
    def missing_modules(self) -> list[str]:
        """Modules that are not installed."""
        return [module for module in self.requires if find_spec(module) is None]


CHANNELS = {
    channel.name: channel
    for channel in (
        Channel("in_app", in_app.send, in_app.missing, disturbs=False),
        Channel("email", mail.send, mail.missing),
        Channel("push", push.send, push.missing, requires=["pywebpush"], extra="push"),
        Channel("sms", sms.send, sms.missing, requires=["twilio", "phonenumbers"], extra="sms"),
    )
}
