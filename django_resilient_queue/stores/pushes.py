"""Jobs on their way into Redis, and what the script that takes them answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..jobs import JobSnapshot
from .links import Reconnected

BACK, FRONT, NOWHERE = "back", "front", "nowhere"


@dataclass(frozen=True, slots=True)
class Push:
    """One job on its way into Redis. ``place`` is the end of the list, or the second it is due."""

    snapshot: JobSnapshot
    version: int = 0
    attempt: int = 0
    place: str = BACK
    bare: bool = False
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the push script said: pushed, known, settled, fenced, expired, epoch or duplicate."""

    word: str
    epoch: str
    clock: float


class PushRefused(Reconnected):
    """The push script refused: Redis's epoch or clock is not the one that the worker knows."""


def answer_of(raw: Any) -> Any:
    """Read what the script said; an error, in its place, stays one."""
    if isinstance(raw, Exception):
        return raw
    word, epoch, clock = raw
    return Answer(word.decode(), epoch.decode(), float(clock))
