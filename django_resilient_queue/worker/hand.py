"""What a worker has in hand: claimed jobs, and ends that not every store has been told of."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ..outcomes import Settlement
from ..stores.base import Claim

End = tuple[Claim, Settlement]

# Ends of which Redis knows and the database, being away, does not. Beyond this the oldest are let
# go: reconcile finds them settled, the sweep finds the dead.
_MOST_UNTOLD = 10_000


@dataclass
class Hand:
    """An id stays in the in-flight list until both stores have been told."""

    claims: dict[str, Claim] = field(default_factory=dict)
    ended: list[End] = field(default_factory=list)
    untold: deque[End] = field(default_factory=lambda: deque(maxlen=_MOST_UNTOLD))
    executed: int = 0  # from the database, not yet counted in the outage's row

    def take(self, claim: Claim) -> None:
        """A job was claimed."""
        self.claims[_key(claim)] = claim

    def drop(self, claim: Claim) -> None:
        """A job is somebody else's, or given back."""
        self.claims.pop(_key(claim), None)

    def end(self, claim: Claim, settlement: Settlement) -> None:
        """An attempt ended; no store knows yet."""
        self.drop(claim)
        self.ended.append((claim, settlement))

    def in_flight(self) -> list[tuple[str, str]]:
        """Every job that is not wholly done with, as (id, token)."""
        return [(claim.job_id, claim.token) for claim in self.every_claim()]

    def every_claim(self) -> list[Claim]:
        """The claims of the same jobs."""
        ended = [claim for claim, _ in (*self.ended, *self.untold)]
        return [*self.claims.values(), *ended]

    def ids(self) -> set[str]:
        """The ids of the same jobs."""
        return {job_id for job_id, _ in self.in_flight()}

    @property
    def is_empty(self) -> bool:
        """Tell whether everything is done with."""
        return not (self.claims or self.ended or self.untold)


def _key(claim: Claim) -> str:
    return f"{claim.job_id}:{claim.token}"
