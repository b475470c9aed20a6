"""What a dead job was called with, in JSON values, and what of it is not for everybody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..exceptions import UndecodableSnapshot
from ..handlers.performing import handler_of, redact_keys
from ..jobs import JobSnapshot
from ..reading import Unreadable, as_json, read
from ..redaction import EVERY_NAME, redact


@dataclass(slots=True)
class Called:
    """A job's call and its meta, cut short where they are long. *keys* are of the names under which
    values are masked, *problems* say what can't be read."""

    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    # Of what can't be read, nobody knows what it was to be masked by.
    keys: Sequence[str] = EVERY_NAME
    function: str = ""

    @classmethod
    def of(cls, payload: bytes) -> Called:
        """Read what was stored of a job."""
        found = cls()
        try:
            fields = JobSnapshot.load(payload).fields
        except UndecodableSnapshot as error:
            found.problems.append(str(error))
            return found
        found._read("data", found._read_call, fields.get("data", b""))
        found._read("meta", found._read_meta, fields.get("meta", b""))
        return found

    @classmethod
    def of_call(cls, data: bytes) -> Called:
        """Read the call alone, as rq has it."""
        found = cls()
        found._read("data", found._read_call, data)
        return found

    @property
    def is_of_handler(self) -> bool:
        """Tell whether it is one of a handler, registered here or not."""
        return handler_of(self.function, self.args) is not None

    def revealed(self) -> dict[str, Any]:
        """Return it as it is."""
        return {
            "args": self.args,
            "kwargs": self.kwargs,
            "meta": self.meta,
            "problems": self.problems,
        }

    def masked(self) -> dict[str, Any]:
        """Return it with masks for secrets, and why when that is all of it."""
        return {
            "args": redact(self.args, self.keys),
            "kwargs": redact(self.kwargs, self.keys),
            "meta": redact(self.meta, self.keys),
            "problems": [*self.problems, *self._unknown()],
        }

    def _unknown(self) -> list[str]:
        if not self.is_of_handler or self.keys is not EVERY_NAME:
            return []
        name = handler_of(self.function, self.args)
        return [f"everything is masked: no handler {name} is registered here"]

    def _read(self, name: str, read_part: Callable[[bytes], None], raw: bytes) -> None:
        try:
            read_part(raw)
        except Unreadable as error:
            self.problems.append(f"{name}: {error}")

    def _read_call(self, raw: bytes) -> None:
        called = read(raw)
        if not (isinstance(called, list | tuple) and len(called) == 4):
            raise Unreadable("no call of rq's")
        args, kwargs = as_json(called[2]), as_json(called[3])
        if not (isinstance(args, list) and isinstance(kwargs, dict)):
            raise Unreadable("no call of rq's")
        self.function, self.args, self.kwargs = str(called[0]), args, kwargs
        self.keys = redact_keys(self.function, args)

    def _read_meta(self, raw: bytes) -> None:
        meta = as_json(read(raw)) if raw else {}
        if not isinstance(meta, dict):
            raise Unreadable("not named")
        self.meta = meta
