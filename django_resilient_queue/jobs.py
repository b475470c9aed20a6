"""An rq job outside rq: its hash as bytes, lossless, and what can be read of it without unpickling.

Nothing here talks to a store.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rq.job import Job
from rq.serializers import PickleSerializer
from rq.utils import str_to_date

from .calls import type_of_call
from .context import ORIGIN, origin
from .exceptions import UndecodableSnapshot, describe
from .seal import seal, unseal

if TYPE_CHECKING:
    from redis import Redis

_TIMES = frozenset(("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat"))

# Fields that this package adds to rq's job hash; rq ignores fields that it does not know.
GENERATION = "drq_generation"
VERSION = "drq_version"
ATTEMPT = "drq_attempt"
RESCUES = "drq_rescues"
DEAD = "drq_dead"
DONE = "drq_done"
LETTERED = "drq_lettered"
DISCARD = "drq_discard"  # nothing is to be kept in Redis once there is a letter: failure_ttl is 0
LETTER = "drq_letter"  # the key of the dead letter that a job was requeued from; part of the job
OUR_FIELDS = frozenset((GENERATION, VERSION, ATTEMPT, RESCUES, DEAD, DONE, LETTERED, DISCARD))

# Who asked for a job, out of its meta: a worker's log lines say so without unpickling that.
_ORIGIN = {name: f"drq_{name}" for name in ORIGIN}

# What stands in such a hash as failure_ttl meanwhile: rq would delete it at once, unseen.
HELD = b"3600"

_PURPOSE = "job"

# The beginning of rq's own description of a call: of a function's path, which few words look like.
_CALL = re.compile(r"([A-Za-z_]\w*(?:\.[\w<>]+)+)\(", re.ASCII)


def new_generation() -> str:
    """Draw what tells one enqueue of an id from the next: 16 random bytes, as 32 hex digits."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """One job of one generation: what rq keeps in ``rq:job:<id>``, less our own fields."""

    job_id: str
    queue_name: str
    generation: str
    fields: Mapping[str, bytes]

    @classmethod
    def of(cls, job: Job, *, queue_name: str) -> JobSnapshot:
        """Take *job* as it is; serialises its arguments, so what pickle refuses raises here."""
        fields = {name: as_bytes(value) for name, value in job.to_dict().items()}
        if job.meta:
            said = origin(job.meta)
            fields |= {_ORIGIN[name]: json.dumps(value).encode() for name, value in said.items()}
        return cls(job.id, queue_name, new_generation(), fields)

    @classmethod
    def from_hash(
        cls, job_id: str, queue_name: str, raw: Mapping[bytes, bytes], *, generation: str = ""
    ) -> JobSnapshot:
        """Read what Redis holds; a hash of plain rq has no generation, then *generation* counts."""
        fields = {name.decode(): value for name, value in raw.items()}
        return cls.from_fields(job_id, queue_name, fields, generation=generation)

    @classmethod
    def from_fields(
        cls, job_id: str, queue_name: str, fields: Mapping[str, bytes], *, generation: str = ""
    ) -> JobSnapshot:
        """Read the same with the names as text."""
        found = fields.get(GENERATION, b"").decode() or generation
        kept = {name: value for name, value in fields.items() if name not in OUR_FIELDS}
        if DISCARD in fields and kept.get("failure_ttl") == HELD:
            kept["failure_ttl"] = b"0"
        return cls(job_id, queue_name, found, kept)

    @classmethod
    def load(cls, sealed: bytes) -> JobSnapshot:
        """Read what ``dump`` wrote. Raises UndecodableSnapshot for a wrong signature or form."""
        body = unseal(bytes(sealed), purpose=_PURPOSE)
        try:
            data = json.loads(body)
            fields = {name: text.encode("latin-1") for name, text in data["fields"].items()}
            return cls(data["id"], data["queue"], data["generation"], fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UndecodableSnapshot("the stored job has an unknown form") from error

    def dump(self) -> bytes:
        """Write the job as signed bytes for the table."""
        # latin-1 maps each byte to one character and back, so JSON carries binary losslessly.
        fields = {name: value.decode("latin-1") for name, value in self.fields.items()}
        data = {
            "id": self.job_id,
            "queue": self.queue_name,
            "generation": self.generation,
            "fields": fields,
        }
        return seal(json.dumps(data, separators=(",", ":")).encode(), purpose=_PURPOSE)

    @property
    def letter(self) -> int | None:
        """The primary key of the dead letter that the job was requeued from, if it was."""
        return self.number(LETTER) if LETTER in self.fields else None

    def changed(self, changes: Mapping[str, bytes]) -> JobSnapshot:
        """Return the same job with some fields of its hash replaced."""
        return replace(self, fields={**self.fields, **changes})

    def to_job(self, job_class: type[Job], connection: Redis, serializer: Any = None) -> Job:
        """Build rq's object. Unpickles ``meta``, so only for a snapshot whose origin is trusted.

        Raises UndecodableSnapshot for fields that rq can't read, whatever it makes of them.
        """
        # rq checks any but the default against a protocol, for a tenth of its time.
        chosen = None if serializer is PickleSerializer else serializer
        job = job_class(self.job_id, connection=connection, serializer=chosen)
        try:
            self._restore(job)
        except Exception as error:
            raise UndecodableSnapshot(f"rq can't read the job: {describe(error)}") from error
        return job

    def _restore(self, job: Job) -> None:
        """Have rq read the hash, all but the times: it takes half of its time for these."""
        times = _TIMES if type(job).restore is Job.restore else ()
        job.restore({n.encode(): value for n, value in self.fields.items() if n not in times})
        for name in times:
            if raw := self.fields.get(name):
                setattr(job, name, moment(raw))

    # ---- what can be read without unpickling --------------------------------------------------

    def text(self, name: str) -> str:
        """Return a field as text, empty when it is not set."""
        return self.fields.get(name, b"").decode("utf-8", "replace")

    def number(self, name: str) -> int | None:
        """Return a field as a whole number, None when it is not set or not a number."""
        try:
            return int(float(self.fields[name]))
        except (KeyError, ValueError, OverflowError):
            return None

    def numbers(self, name: str) -> list[int]:
        """Return a field that holds a JSON list of numbers (rq's intervals), empty when not set."""
        try:
            return [int(value) for value in json.loads(self.fields[name])]
        except (KeyError, ValueError, TypeError):
            return []

    def time(self, name: str) -> datetime | None:
        """Return a field that holds one of rq's timestamps, None when it is not set or not one."""
        raw = self.fields.get(name)
        try:
            return moment(raw) if raw else None
        except ValueError:
            return None

    @property
    def description(self) -> str:
        """What rq shows of the call; it contains arguments, so it never goes to a log."""
        return self.text("description")

    @property
    def job_type(self) -> str:
        """The handler's name or the function's path, at most 255 characters; empty where nothing
        says it. The call itself goes before its description."""
        if name := type_of_call(self.fields.get("data", b"")):
            return name
        # Written by a serialiser of the project's own.
        found = _CALL.match(self.description)
        return found[1][:255] if found else ""

    def about(self, attempts: int | None = None) -> dict[str, Any]:
        """What log lines say of the job besides their own facts; *attempts* begun so far."""
        who = {name: _said(self.fields.get(field)) for name, field in _ORIGIN.items()}
        return {
            "job_id": self.job_id,
            "job_type": self.job_type,
            "queue": self.queue_name,
            "attempts": attempts,
            **who,
        }

    @property
    def dependency_ids(self) -> list[str]:
        """The ids of the jobs that this one waits for."""
        try:
            return [str(value) for value in json.loads(self.fields["dependency_ids"])]
        except (KeyError, ValueError, TypeError):
            return []

    @property
    def rate_limit(self) -> tuple[str, int]:
        """rq's rate-limit key and how many jobs of it may run; ``("", 0)`` when it has none."""
        return self.text("rate_limit_key"), self.number("rate_limit_concurrency") or 0

    @property
    def timeout(self) -> int | None:
        """Seconds that the job may run; -1 for no limit, None for the queue's default."""
        return self.number("timeout")


def _said(raw: bytes | None) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None


def as_bytes(value: Any) -> bytes:
    """Encode one value of rq's hash the way redis-py does, so that the bytes are the same."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):  # includes rq's JobStatus, whose value is the text
        return str.encode(value)
    return repr(value).encode()


def timestamp(time: datetime) -> bytes:
    """Write an aware moment as rq does in its hashes."""
    return (
        time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds").encode() + b"Z"
    )


def moment(raw: bytes) -> datetime:
    """Read what rq wrote, in either of its forms. Raises ValueError."""
    try:
        time = datetime.fromisoformat(raw.decode())
    except ValueError:
        return str_to_date(raw)
    return time if time.tzinfo is not None else str_to_date(raw)
