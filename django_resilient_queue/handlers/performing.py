"""The one function that every job of a handler calls."""

from __future__ import annotations

import time
from typing import Any, TypedDict

from rq.job import Retry

from ..exceptions import PermanentError
from .progress import write_last
from .registry import registry, require_modules


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


PERFORM = f"{perform.__module__}.{perform.__qualname__}"
