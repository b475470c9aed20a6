"""What a worker has in hand: claimed jobs, and ends that not every store has been told of."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from ..outcomes import Ending, Settlement
from ..stores.base import Claim, boottime
from .measuring import measure

End = tuple[Claim, Settlement]
Key = tuple[str, str]  # a job's id and the token of its claim

# Ends of which Redis knows and the database, being away, does not. Beyond this the oldest are let
# go: reconcile finds them settled, the sweep finds the dead.
_MOST_UNTOLD = 10_000
_COUNTED_AS = {
    Ending.FINISHED: "jobs_finished",
    Ending.REPEAT: "jobs_finished",
    Ending.RETRY: "jobs_retried",
    Ending.DEAD: "jobs_failed",
    Ending.STOPPED: "jobs_failed",
}


@dataclass
class Hand:
    """An id stays in the in-flight list until both stores have been told."""

    claims: dict[Key, Claim] = field(default_factory=dict)
    ended: dict[Key, End] = field(default_factory=dict)
    aside: dict[Key, End] = field(default_factory=dict)  # Redis can't record these yet
    untold: deque[End] = field(default_factory=lambda: deque(maxlen=_MOST_UNTOLD))
    ended_since: float = 0.0  # when the first of the ended ended
    untold_since: float = 0.0
    executed: int = 0  # from the database, not yet counted in the outage's row
    tally: Counter[str] = field(default_factory=Counter)  # ends since the worker started

    def take(self, claim: Claim) -> None:
        """A job was claimed, or has changed since."""
        self.claims[claim.key] = claim

    def drop(self, claim: Claim) -> None:
        """A job is somebody else's, or given back."""
        self.claims.pop(claim.key, None)

    def end(self, claim: Claim, settlement: Settlement) -> None:
        """An attempt ended; no store knows yet."""
        key = claim.key
        self.claims.pop(key, None)
        if not self.ended:
            self.ended_since = boottime()
        self.ended[key] = claim, settlement

    def first_ended(self, most: int, *, store: str | None = None) -> list[End]:
        """The ends of which no store knows yet, the oldest first; of jobs from one store or all."""
        fitting: Iterable[End] = self.ended.values()
        if store is not None:
            fitting = (end for end in fitting if end[0].store == store)
        return list(islice(fitting, most))

    def tell(self, end: End) -> None:
        """The store that an end was claimed from, or the one in its stead, knows of it."""
        self.ended.pop(end[0].key, None)

    def count(self, end: End, *, from_database: bool) -> None:
        """A store has recorded an end."""
        measure(*end)
        self.tally[_COUNTED_AS[end[1].ending]] += 1
        self.tally["jobs_from_database"] += from_database

    def set_aside(self, end: End) -> None:
        """Redis can't record an end, because a key of its job is spoilt; the others go on."""
        self.ended.pop(end[0].key, None)
        self.aside[end[0].key] = end

    def take_up(self) -> None:
        """Try once more what was set aside."""
        self.ended.update(self.aside)
        self.aside.clear()

    def keep_untold(self, end: End) -> None:
        """Redis knows of an end; the database is to hear of it."""
        if not self.untold:
            self.untold_since = boottime()
        self.untold.append(end)

    def in_flight(self) -> list[Key]:
        """Every job that is not wholly done with, as (id, token)."""
        return [claim.key for claim in self.every_claim()]

    def every_claim(self) -> list[Claim]:
        """The claims of the same jobs."""
        ended = [claim for claim, _ in (*self.ended.values(), *self.aside.values(), *self.untold)]
        return [*self.claims.values(), *ended]

    def ids(self) -> set[str]:
        """The ids of the same jobs."""
        return {job_id for job_id, _ in self.in_flight()}

    @property
    def is_empty(self) -> bool:
        """Tell whether everything is done with."""
        return not (self.claims or self.ended or self.aside or self.untold)
