"""What goes over the pipe between a worker and its horse, as JSON: nothing is unpickled there."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..jobs import JobSnapshot
from ..outcomes import Ending, Failure, Reason, Settlement
from ..stores.base import Claim


@dataclass(frozen=True, slots=True)
class Order:
    """A job for the horse to perform."""

    snapshot: JobSnapshot
    store: str
    execution_id: str
    attempt: int

    @classmethod
    def of(cls, claim: Claim) -> Order:
        """Make the order of a claim."""
        return cls(claim.snapshot, claim.store, claim.token, claim.attempt)

    def pack(self) -> bytes:
        """Write the order for the pipe."""
        data = {
            "id": self.snapshot.job_id,
            "queue": self.snapshot.queue_name,
            "generation": self.snapshot.generation,
            "fields": _text(self.snapshot.fields),
            "store": self.store,
            "execution_id": self.execution_id,
            "attempt": self.attempt,
        }
        return json.dumps(data).encode()

    @classmethod
    def unpack(cls, raw: bytes) -> Order:
        """Read what ``pack`` wrote."""
        data = json.loads(raw)
        snapshot = JobSnapshot(
            data["id"], data["queue"], data["generation"], _bytes(data["fields"])
        )
        return cls(snapshot, data["store"], data["execution_id"], data["attempt"])


@dataclass(frozen=True, slots=True)
class Report:
    """What the horse says: the settlement of its order or, without one, the job's new ``meta``."""

    settlement: Settlement | None = None
    meta: bytes | None = None

    def pack(self) -> bytes:
        """Write the report for the pipe."""
        data: dict[str, Any] = {"meta": self.meta.decode("latin-1") if self.meta else None}
        if self.settlement is not None:
            end = self.settlement
            plain = replace(end, failure=None, fields=_text(end.fields))  # type: ignore[arg-type]
            data["settlement"] = asdict(plain)
            data["failure"] = asdict(end.failure) if end.failure else None
        return json.dumps(data).encode()

    @classmethod
    def unpack(cls, raw: bytes) -> Report:
        """Read what ``pack`` wrote."""
        data = json.loads(raw)
        meta = data["meta"].encode("latin-1") if data["meta"] else None
        if "settlement" not in data:
            return cls(meta=meta)
        values, failure = data["settlement"], data["failure"]
        values["ending"] = Ending(values["ending"])
        values["fields"] = _bytes(values["fields"])
        if failure:
            values["failure"] = Failure(**{**failure, "reason": Reason(failure["reason"])})
        return cls(Settlement(**values), meta)


def _text(fields: Any) -> dict[str, str]:
    return {name: b64encode(value).decode() for name, value in fields.items()}


def _bytes(fields: dict[str, str]) -> dict[str, bytes]:
    return {name: b64decode(text) for name, text in fields.items()}
