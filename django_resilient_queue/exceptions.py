"""Every error this package raises. Messages name causes, never a payload or a password."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

_CREDENTIALS = re.compile(r"://[^@\s/]*@")
# Redis echoes arguments and MySQL echoes column values on the first line of an error.
_ECHOED_DATA = re.compile(r"(with args beginning with:|Incorrect string value:).*")
_LONGEST_DESCRIPTION = 200


def describe(error: BaseException) -> str:
    """Return one short line that is safe to log: the class and its message without data."""
    # PostgreSQL puts the failing row, hence the payload, on the lines after the first.
    lines = str(error).splitlines()
    line = _ECHOED_DATA.sub(r"\1 …", _CREDENTIALS.sub("://***@", lines[0])) if lines else ""
    return f"{type(error).__name__}: {line}"[:_LONGEST_DESCRIPTION].rstrip(": ")


class ResilientQueueError(Exception):
    """Something this package reports to its caller; the parent of every error here."""

    def __repr__(self) -> str:
        """Show the safe message: the default would show the causes with their data."""
        return f"{type(self).__name__}({str(self)!r})"


class StoreError(ResilientQueueError):
    """One store did not do what it was asked; `cause` is its client's error, `store` its name."""

    # The causes are the arguments and the message is made on demand, here and below, so that
    # these errors survive pickling on their way out of a work horse.
    def __init__(self, cause: BaseException, store: str = "redis") -> None:
        super().__init__(cause, store)
        self.cause = cause
        self.store = store

    def __str__(self) -> str:
        """Describe the cause."""
        return describe(self.cause)


class StoreRefused(StoreError):
    """The store surely did not apply the request; another store may take it."""


class StoreAmbiguous(StoreError):
    """The store may have applied the request: no answer came, or the connection broke."""


class _BothStoresFailed(ResilientQueueError):
    """Neither store did what was asked about a job."""

    summary: str

    def __init__(
        self, job_id: str, redis_cause: BaseException, database_cause: BaseException
    ) -> None:
        super().__init__(job_id, redis_cause, database_cause)
        self.job_id = job_id
        self.redis_cause = redis_cause
        self.database_cause = database_cause

    def __str__(self) -> str:
        """Name the job, what is known of it, and both causes."""
        return (
            f"job {self.job_id} {self.summary}"
            f" (Redis: {_root(self.redis_cause)}; database: {_root(self.database_cause)})"
        )


class StoresUnavailableError(_BothStoresFailed):
    """Both stores refused: the job was not stored and will not run, or can't be looked up."""

    summary = "is refused by both stores"


class EnqueueUncertain(_BothStoresFailed):
    """No store confirmed the job, but one may hold it; enqueueing that job id again is safe."""

    summary = "may or may not be stored; enqueueing this id again is safe"


class LetterNotDead(ResilientQueueError):
    """Somebody has dealt with the dead letter before: nothing was changed."""

    def __init__(self, pk: int, state: str) -> None:
        super().__init__(pk, state)
        self.pk = pk
        self.state = state

    def __str__(self) -> str:
        """Name the letter and what became of it."""
        return f"dead letter {self.pk} is left as it is: {self.state}"


class RunAlreadyStarted(ResilientQueueError):
    """A recovery run was asked for twice: nothing was changed."""

    def __init__(self, run: int) -> None:
        super().__init__(run)
        self.run = run

    def __str__(self) -> str:
        """Name the run that there is."""
        return f"recovery run {self.run} had been started already"


class PermanentError(ResilientQueueError):
    """Raised by a handler, it or a subclass: no other attempt can succeed, so the job is dead."""


class UnknownHandler(PermanentError):
    """Nothing is registered under this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(name, known)
        self.name = name
        self.known = known

    def __str__(self) -> str:
        """Name the nearest handler, or all."""
        near = get_close_matches(self.name, self.known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self.known) or 'none'}"
        return f"no job handler is named {self.name[:100]!r}; {hint}"


class InvalidPayload(PermanentError):
    """A handler's schema refuses a payload; ``errors`` says why, by field, as the REST framework
    does. ``index`` is the payload's place among many."""

    def __init__(self, handler: str, errors: Mapping[str, Any], index: int | None = None) -> None:
        super().__init__(handler, errors, index)
        self.handler = handler
        self.errors = errors
        self.index = index

    def at(self, index: int) -> None:
        """Say which of many payloads it was."""
        self.index = index
        self.args = (*self.args[:-1], index)

    # Words of a validator may repeat the value, and this text goes to logs and letters.
    def __str__(self) -> str:
        """Name the fields and the kinds of the problems."""
        place = "" if self.index is None else f" at index {self.index}"
        fields = ", ".join(f"{name}{_codes(found)}" for name, found in self.errors.items())
        return f"payload of {self.handler}{place} refused: {fields}"


class PayloadTooLarge(InvalidPayload):
    """A payload has more bytes, as JSON, than PAYLOAD_LIMIT allows."""

    def __init__(self, handler: str, limit: int, index: int | None = None) -> None:
        words = f"At most {limit} bytes as JSON."
        super().__init__(handler, {"non_field_errors": [words]}, index)
        self.args = (handler, limit, index)
        self.limit = limit

    def __str__(self) -> str:
        """Name the limit."""
        place = "" if self.index is None else f" at index {self.index}"
        return f"payload of {self.handler}{place} refused: more than {self.limit} bytes as JSON"


class MissingExtra(ResilientQueueError):
    """A handler needs modules that are not installed."""

    def __init__(self, handler: str, modules: Sequence[str], extra: str = "") -> None:
        super().__init__(handler, modules, extra)
        self.handler = handler
        self.modules = modules
        self.extra = extra

    def __str__(self) -> str:
        """Say what to install."""
        what = f"django-resilient-queue[{self.extra}]" if self.extra else " ".join(self.modules)
        modules = ", ".join(self.modules)
        return f'{self.handler} needs {modules}, not installed: pip install "{what}"'


class UndecodableSnapshot(ResilientQueueError):
    """A stored job whose signature or format is wrong: it is not unpickled and never run."""


def _root(cause: BaseException) -> str:
    """Describe the client's own error where a store error wraps it."""
    return str(cause) if isinstance(cause, StoreError) else describe(cause)


def _codes(found: Any) -> str:
    """Return the kinds of a field's problems in brackets, where they have any."""
    each = found if isinstance(found, list) else [found]
    codes = sorted({code for one in each if (code := getattr(one, "code", ""))})
    return f" ({', '.join(codes)})" if codes else ""
