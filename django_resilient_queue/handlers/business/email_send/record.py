"""Who has got a mail: written into the job's meta, so that another attempt, or the job that its
dead letter is requeued as, goes on from there. Addresses stand there as digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from rq import get_current_job
from rq.job import Job

from .addresses import Address
from .answer import Answer

META_KEY = "email"


class Record:
    """What is known of one mail, in whichever attempt. ``token`` names the mail, for ever; without
    a job it is given."""

    def __init__(self, job: Job | None, token: str = "") -> None:
        self._job = job
        found = _found(job)
        self.token = str(found.get("token") or token or _token(job))
        self._accepted = set(found.get("accepted", ()))
        self._refused: dict[str, Answer] = {}
        # To an operator who requeues it, a refusal is not the last word.
        if job is not None and found.get("job_id") == job.id:
            self._refused = {key: Answer(**each) for key, each in found["refused"].items()}

    def pending(self, recipients: Sequence[Address]) -> list[Address]:
        """Return those that have neither got it nor been refused for good."""
        return [
            each
            for each in recipients
            if self._digest(each) not in self._accepted and self.refusal(each) is None
        ]

    def has_got(self, recipient: Address) -> bool:
        """Tell whether a server has taken it for this recipient."""
        return self._digest(recipient) in self._accepted

    def refusal(self, recipient: Address) -> Answer | None:
        """Return why a recipient will not get it."""
        return self._refused.get(self._digest(recipient))

    def note(self, recipients: Sequence[Address], refused: Mapping[str, Answer]) -> None:
        """Write down at once what came of these; *refused* is by address."""
        for each in recipients:
            answer = refused.get(each.email)
            if answer is None:
                self._accepted.add(self._digest(each))
            elif answer.is_permanent:
                self._refused[self._digest(each)] = answer
        self.save()

    def save(self) -> None:
        """Save it with the job, where there is one."""
        if self._job is None:
            return
        self._job.meta[META_KEY] = {
            "job_id": self._job.id,
            "turn": self._job.repeats_left,
            "token": self.token,
            "accepted": sorted(self._accepted),
            "refused": {key: asdict(each) for key, each in self._refused.items()},
        }
        self._job.save_meta()

    def _digest(self, recipient: Address) -> str:
        return hashlib.sha256(f"{self.token}\0{recipient.key}".encode()).hexdigest()[:24]


def current() -> Record:
    """Return the record of the job that this is called from."""
    return Record(get_current_job())


def _found(job: Job | None) -> Mapping[str, Any]:
    found = job.meta.get(META_KEY) if job is not None else None
    # A job that rq repeats keeps its id and its meta, yet is another mail.
    if job is None or not isinstance(found, Mapping) or found.get("turn") != job.repeats_left:
        return {}
    return found


def _token(job: Job | None) -> str:
    if job is None:
        return uuid4().hex
    # The same in every attempt, and not in another job that gets the same id.
    parts = (job.id, str(job.created_at), str(job.repeats_left))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
