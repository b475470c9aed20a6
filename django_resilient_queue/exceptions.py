"""Every error this package raises. Messages name causes, never a payload or a password."""

from __future__ import annotations

import re

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


class UndecodableSnapshot(ResilientQueueError):
    """A stored job whose signature or format is wrong: it is not unpickled and never run."""


def _root(cause: BaseException) -> str:
    """Describe the client's own error where a store error wraps it."""
    return str(cause) if isinstance(cause, StoreError) else describe(cause)
