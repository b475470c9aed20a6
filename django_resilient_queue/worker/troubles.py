"""Errors that last until somebody mends a key of Redis: said once each, tried again at a rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from redis.exceptions import ResponseError

from .. import events
from ..exceptions import describe
from ..stores.base import boottime

_SHORTEST, _LONGEST = 0.5, 8.0  # seconds of rest: doubled as long as the error lasts
_MOST = 1000  # places remembered


@dataclass
class _Trouble:
    text: str
    rest: float = _SHORTEST
    until: float = 0.0


class Troubles:
    """What of a worker's work fails, by place: a step of the loop, or a key."""

    def __init__(self, worker_name: str, clock: Callable[[], float] = boottime) -> None:
        self.worker_name, self.clock = worker_name, clock
        self._known: dict[str, _Trouble] = {}

    @contextmanager
    def in_step(self, step: str) -> Iterator[None]:
        """Pass over what Redis says is wrong with a key, and give the step a rest."""
        try:
            yield
        except ResponseError as error:
            self.note(step, describe(error))
        else:
            self.end(step)

    def rest_left(self, place: str) -> float:
        """Seconds until it is to be tried again, 0 when it may be."""
        trouble = self._known.get(place)
        return max(trouble.until - self.clock(), 0.0) if trouble else 0.0

    def note(self, place: str, text: str) -> None:
        """It failed; said if it did not before, or for another reason."""
        trouble = self._known.get(place)
        if trouble is None or trouble.text != text:
            trouble = _Trouble(text)
            if len(self._known) < _MOST:
                self._known[place] = trouble
            events.TROUBLE.log(worker=self.worker_name, place=place, cause=text)
        else:
            trouble.rest = min(trouble.rest * 2, _LONGEST)
        trouble.until = self.clock() + trouble.rest

    def end(self, place: str) -> None:
        """It went well; said if it did not before."""
        if self._known.pop(place, None) is not None:
            events.TROUBLE_OVER.log(worker=self.worker_name, place=place)

    def take(self, kind: str, found: Mapping[str, str]) -> None:
        """Of one kind of places, these and no others are in trouble now."""
        prefix = f"{kind} "
        for place in [each for each in self._known if each.startswith(prefix)]:
            if place.removeprefix(prefix) not in found:
                self.end(place)
        for name, text in found.items():
            self.note(prefix + name, text)
