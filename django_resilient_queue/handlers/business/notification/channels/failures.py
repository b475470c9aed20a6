"""Why a channel did not take a notification. Reasons name no address and repeat no message."""

from __future__ import annotations


class NotTaken(Exception):
    """The next channel may take it; of this one, ``state`` is recorded."""

    state: str

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unreachable(NotTaken):
    """The user has no address for this channel."""

    state = "unreachable"


class Refused(NotTaken):
    """No other attempt can succeed."""

    state = "refused"


class Unavailable(NotTaken):
    """Another attempt may succeed. *reached*: some of the user's devices have it by now."""

    state = "unavailable"

    def __init__(self, reason: str, *, reached: bool = False) -> None:
        super().__init__(reason)
        self.reached = reached
