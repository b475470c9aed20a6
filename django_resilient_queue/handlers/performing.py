"""The one function that every job of a handler calls."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, TypedDict

from rq.job import Retry

from ..calls import PERFORM
from ..conf import settings
from ..exceptions import PermanentError
from .progress import write_last
from .registry import registry, require_modules

__all__ = ["PERFORM", "JobResult", "handler_of", "perform", "redact_keys"]


class JobResult(TypedDict):
    """What such a job returns; ``data`` is what the handler returned, times are in seconds."""

    success: bool
    data: dict[str, Any] | None
    processing_time: float


def perform(name: str, /, **payload: Any) -> JobResult | Retry:
    """Perform a job by its handler's name.

    Raises UnknownHandler, InvalidPayload and MissingExtra besides what the handler raises, and
    PermanentError for what it must not return.
    """
    begun = time.monotonic()
    handler = registry.get(name)
    require_modules(handler)
    try:
        data = handler.function(handler.validated(payload))
    finally:
        write_last()
    if isinstance(data, Retry):
        return data
    if not (data is None or isinstance(data, dict)):
        # Its work is done, and would only be done again.
        raise PermanentError(f"{name} returned a {type(data).__name__}, neither a dict nor None")
    seconds = round(time.monotonic() - begun, 6)
    return JobResult(success=True, data=data, processing_time=seconds)


def handler_of(function: str | None, args: Sequence[object]) -> object:
    """Return the handler's name in a call of rq's, as it stands there; None in one of any other
    function."""
    return next(iter(args), "") if function == PERFORM else None


def redact_keys(function: str | None, args: Sequence[object]) -> Sequence[str]:
    """Return the parts of names under which values of such a call are masked."""
    name = handler_of(function, args)
    return settings.REDACT_KEYS if name is None else registry.redact_keys(str(name))
