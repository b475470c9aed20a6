"""Jobs in Redis, in rq's own keys: every change of a job is one script that says whether it won."""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from ..conf import settings
from ..exceptions import ResilientQueueError
from ..jobs import ATTEMPT, RESCUES, VERSION, JobSnapshot, timestamp
from ..outcomes import Ending, Settlement
from .base import Claim, Claimant, Verdict, boottime
from .keys import Keys, our_key
from .links import RedisLink, script
from .pushes import BACK, FRONT, Push, answer_of

# rq's dashboards bury entries that have expired. Ours are rescued long before, by their worker's
# heartbeat; the expiry counts only where no worker of ours is left.
ENTRY_TTL = 90
_SCHEDULER_TTL = 15  # seconds until another worker schedules in the place of one that is gone
_LONG = 86_400  # seconds that a job may run which says nothing of it: its queue does
MOST_AT_ONCE = 500  # jobs in one script: as long as it runs, Redis does nothing else


@dataclass(frozen=True, slots=True)
class Tending:
    """What a worker hears once a second or two: whether rq *knows* it, tokens of claims that it has
    *lost*, whether it *schedules* any queue, (queue, id) of due jobs with a rate limit, and what
    is wrong with which keys."""

    knows: bool
    lost: set[str]
    schedules: bool
    limited: list[tuple[str, str]]
    troubles: dict[str, str]


class EpochChanged(ResilientQueueError):
    """Redis is not the one that the worker knows: it lost its data, or another took its place."""

    def __init__(self, epoch: str) -> None:
        super().__init__(epoch)
        self.epoch = epoch


class RedisStore:
    """The store contract over rq's keys."""

    name = "redis"

    def __init__(self, link: RedisLink, keys: Keys | None = None) -> None:
        self.link = link
        self.keys = keys or Keys()
        self.epoch = ""  # the epoch whose data this worker knows to be reconciled or watched
        # As of the last claim, settle or tend:
        self.is_suspended = False  # by rqsuspend
        self.paused: frozenset[str] = frozenset()  # names of queues, or ALL
        self.has_follow_ups = False  # jobs that wait for others which have ended
        self.may_forget = True  # settled ids that are old: not after the database was away
        self.troubles: dict[str, str] = {}  # by queue: what is wrong with its keys
        self.problem = ""  # of the last settle: what is wrong with a job's keys
        self._claim_id = ""  # of a claim whose answer has not arrived

    # ---- in ------------------------------------------------------------------------------------

    def push(self, pushes: Sequence[Push], *, epoch: str, deadline: float) -> list[Any]:
        """Push jobs in one round trip; each answer is an Answer, or the error in its place.

        *epoch* is the one that the pusher knows, empty for any; *deadline* the second on Redis's
        clock after which a late push is refused.
        """
        new_epoch = secrets.token_hex(8)
        calls = []
        for push in pushes:
            fixed = (*self.keys.head, push.snapshot.queue_name, push.snapshot.job_id)
            words = (
                push.snapshot.generation,
                push.version,
                push.attempt,
                "" if push.bare else epoch,
                new_epoch,
                deadline,
                push.place,
                push.snapshot.number("ttl") or 0,
                int(push.bare),
                int(push.unique),
            )
            queue_key = self.keys.queue_prefix + push.snapshot.queue_name
            calls.append(([queue_key], (*fixed, *words, *_flat(push.snapshot.fields))))
        return [answer_of(raw) for raw in self.link.run_all(script("push"), calls)]

    # ---- the contract --------------------------------------------------------------------------

    def claim(self, claimant: Claimant, queue_names: Sequence[str], limit: int) -> list[Claim]:
        """Take up to *limit* jobs in one round trip. Raises EpochChanged before it takes any."""
        # Until an answer has arrived the same claim id is used: Redis then repeats the same jobs.
        self._claim_id = self._claim_id or secrets.token_hex(14)
        # The claim counts from when it was asked for: its answer may be long under way.
        now, asked_at = time.time(), boottime()
        word, epoch, *rest = self.link.run(
            script("claim"),
            [self.keys.queue_prefix + name for name in queue_names],
            *self.keys.head,
            claimant.name,
            self._claim_id,
            min(limit, MOST_AT_ONCE),
            self.epoch,
            ENTRY_TTL,
            repr(now),
            timestamp(datetime.fromtimestamp(now, UTC)),
            int(any(settings.outbox_for(name) for name in queue_names)),
            *queue_names,
        )
        if word == b"epoch":
            raise EpochChanged(epoch.decode())
        self._claim_id = ""
        self.is_suspended = word == b"suspended"
        jobs, paused, wrong = rest
        self.troubles = dict(_pairs(wrong))
        self.paused = frozenset(name.decode() for name in paused)
        return [_claim(asked_at, *job) for job in json.loads(jobs.decode("latin-1"))]

    def renew(self, claimant: Claimant, claims: Collection[Claim]) -> set[str]:
        """Extend the entries in the started registries; an empty set when all are still ours."""
        return self.tend(claimant, claims).lost

    def release(self, claim: Claim) -> bool:
        """Put a claimed job back at the front of its list."""
        return self._give_back(claim, rescue=False) >= 0

    def settle(self, claim: Claim, settlement: Settlement) -> Verdict:
        """Record the end of an attempt in rq's keys."""
        return self.settle_all([(claim, settlement)])[0]

    # ---- more than the contract ----------------------------------------------------------------

    def settle_all(
        self, ended: Sequence[tuple[Claim, Settlement]], *, replay: bool = False
    ) -> list[Verdict]:
        """Record many ends in one round trip; *replay* tells Redis what the database settled."""
        if not ended:
            return []
        words: list[Any] = []
        for claim, settlement in ended:
            words += self._settling(claim, settlement, replay)
        verdicts, follow_ups, problem = self.link.run(
            script("settle"),
            [our_key("settled")],
            *self.keys.head,
            repr(time.time()),
            settings.SETTLED_KEEP if self.may_forget else 0,
            len(ended),
            *words,
        )
        self.has_follow_ups = self.has_follow_ups or bool(follow_ups)
        self.problem = problem.decode(errors="replace")
        return [Verdict(word) for word in verdicts.decode().split()]

    def rescue(self, claim: Claim) -> int:
        """Put a job of a dead worker back; how often that happened, -1 if it was not there."""
        return self._give_back(claim, rescue=True)

    def evict(self, claims: Sequence[Claim]) -> None:
        """Drop the copies of jobs that the database executes, and fence them by their versions."""
        calls = [
            (
                [our_key("settled")],
                (*self.keys.head, *_where(claim), claim.snapshot.generation, *_fence(claim)),
            )
            for claim in claims
        ]
        _raise_first(self.link.run_all(script("evict"), calls))

    def look(self, rows: Sequence[tuple[JobSnapshot, int, bool]]) -> list[str]:
        """Say what Redis knows of each (job, attempt, look into the list too)."""
        calls = [
            (
                [our_key("settled")],
                (
                    *self.keys.head,
                    snapshot.queue_name,
                    snapshot.job_id,
                    snapshot.generation,
                    attempt,
                    int(deep),
                    self.epoch,
                ),
            )
            for snapshot, attempt, deep in rows
        ]
        return [
            answer.decode() for answer in _raise_first(self.link.run_all(script("look"), calls))
        ]

    def adopt(self, queue_name: str, start: int, count: int) -> tuple[int, int]:
        """Make jobs of plain rq in a part of a list ours; returns how many (seen, adopted)."""
        seen, adopted = self.link.run(
            script("adopt"),
            [self.keys.queue_prefix + queue_name],
            *self.keys.head,
            queue_name,
            secrets.token_hex(14),
            start,
            start + count - 1,
        )
        return seen, adopted

    def tend(
        self,
        claimant: Claimant,
        claims: Collection[Claim] = (),
        *,
        state: str | bytes = "",
        worker_ttl: int = ENTRY_TTL,
        queue_names: Sequence[str] = (),
    ) -> Tending:
        """Renew a worker and its claims in rq's keys, and move what is due of some queues to their
        lists, in one round trip; *worker_ttl* (seconds) is how long rq knows the worker."""
        now = time.time()
        entries = [
            word for claim in claims for word in (claim.job_id, claim.token, _where(claim)[0])
        ]
        known, lost, schedules, limited, follow_ups, suspended, paused, wrong = self.link.run(
            script("tend"),
            [our_key("settled")],
            *self.keys.head,
            claimant.name,
            ENTRY_TTL,
            repr(now),
            timestamp(datetime.fromtimestamp(now, UTC)),
            state,
            worker_ttl,
            MOST_AT_ONCE,
            _SCHEDULER_TTL,
            len(claims),
            *entries,
            *queue_names,
        )
        self.is_suspended, self.has_follow_ups = bool(suspended), bool(follow_ups)
        self.paused = frozenset(name.decode() for name in paused)
        return Tending(
            bool(known),
            {token.decode() for token in lost},
            bool(schedules),
            _pairs(limited),
            dict(_pairs(wrong)),
        )

    def _give_back(self, claim: Claim, *, rescue: bool) -> int:
        where = (*self.keys.head, *_where(claim), claim.token, int(rescue))
        return int(self.link.run(script("release"), [our_key("settled")], *where))

    def _settling(self, claim: Claim, settlement: Settlement, replay: bool) -> tuple[Any, ...]:
        fields = settlement.fields
        if replay:  # Redis may hold nothing of the job: then its hash is made whole
            fields = {**claim.snapshot.fields, **fields}
        changes, result = _flat(fields), _flat(settlement.result or {})
        place: object = FRONT if settlement.at_front else BACK
        if settlement.delay:
            place = int(time.time()) + settlement.delay
        wants_row = settlement.ending is Ending.REPEAT and settings.outbox_for(
            claim.snapshot.queue_name
        )
        return (
            *_where(claim),
            claim.snapshot.generation,
            claim.attempt,
            claim.token,
            settlement.worker_name,
            settlement.ending.value,
            settlement.ttl,
            place,
            settlement.seconds,
            int(replay),
            claim.snapshot.number("ttl") or 0,
            int(wants_row),
            claim.snapshot.rate_limit[0],
            len(changes),
            len(result),
            *changes,
            *result,
        )


def _where(claim: Claim) -> tuple[str, str]:
    return claim.snapshot.queue_name, claim.job_id


def _fence(claim: Claim) -> tuple[Any, ...]:
    """From which version on a push counts, and the slot that the job holds, and until when."""
    keep, timeout = math.ceil(settings.SETTLED_KEEP), claim.snapshot.timeout or _LONG
    until: object = time.time() + timeout + settings.KILL_GRACE if timeout > 0 else "+inf"
    return claim.version, keep, *claim.snapshot.rate_limit, until


def _flat(mapping: Mapping[str, Any]) -> list[Any]:
    return [word for pair in mapping.items() for word in pair]


def _pairs(raw: Sequence[bytes]) -> list[tuple[str, str]]:
    words = [word.decode(errors="replace") for word in raw]
    return list(zip(words[::2], words[1::2], strict=True))


def _claim(
    asked_at: float, job_id: str, token: str, queue: str, bare: int, words: list[str]
) -> Claim:
    pairs = zip(words[::2], words[1::2], strict=True)
    hash_ = {_name(name): value.encode("latin-1") for name, value in pairs}
    return Claim(
        JobSnapshot.from_fields(_name(job_id), _name(queue), hash_),
        RedisStore.name,
        token,
        attempt=int(hash_.get(ATTEMPT) or 0),
        version=int(hash_.get(VERSION) or 0),
        rescues=int(hash_.get(RESCUES) or 0),
        bare=bare == 1,
        taken_at=asked_at,
    )


@lru_cache(maxsize=512)  # the names of fields and queues come again and again
def _name(word: str) -> str:
    return word.encode("latin-1").decode()


def _raise_first(answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers
