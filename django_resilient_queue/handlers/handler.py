"""One job type: its function, its schema, and what is done for its jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from ..conf import settings
from ..exceptions import InvalidPayload, PayloadTooLarge
from .backoff import Backoff, Effort, effort_for

WHOLE = "non_field_errors"  # where the REST framework puts what is wrong with no single field


@dataclass(frozen=True, slots=True)
class Handler:
    """What `job_handler` was given."""

    name: str
    function: Callable[[Any], Any]
    schema: type[Any] | None = None
    queue_name: str | None = None
    priority: int | None = None
    attempts: int | None = None
    backoff: Backoff | None = None
    timeout: int | None = None
    concurrency: int | None = None
    critical: bool = False
    redact: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    extra: str = ""

    @property
    def place(self) -> str:
        """Where the function stands, as ``module.function (file:line)``."""
        code = getattr(self.function, "__code__", None)
        if code is None:
            return repr(self.function)
        path = f"{self.function.__module__}.{self.function.__qualname__}"
        return f"{path} ({code.co_filename}:{code.co_firstlineno})"

    @property
    def rate_limit_key(self) -> str:
        """What its jobs are counted under while they run."""
        return f"handler:{self.name}"

    def effort(self, priority: int) -> Effort:
        """Return how often and how far apart a job of this priority is attempted."""
        usual = effort_for(priority)
        return Effort(self.attempts or usual.attempts, self.backoff or usual.backoff)

    def payload(self, given: object) -> dict[str, Any]:
        """Return a payload as it is stored: JSON values, valid, with the schema's defaults.

        Raises InvalidPayload, with its errors by field, and PayloadTooLarge.
        """
        if not isinstance(given, Mapping):
            words = f"Expected a dict of fields, not {type(given).__name__}."
            raise InvalidPayload(self.name, {WHOLE: [words]})
        plain = self._plain(given)
        if self.schema is None:
            return plain
        checked = self._checked(plain)
        fields = getattr(checked, "fields", None)
        if fields is None:
            return plain
        if unknown := [name for name in plain if name not in fields]:
            raise InvalidPayload(self.name, {name: ["Unknown field."] for name in unknown})
        return {**_defaults(fields, plain, checked.validated_data), **plain}

    def validated(self, payload: Mapping[str, Any]) -> Any:
        """Return what the function gets for a stored payload. Raises InvalidPayload: the schema
        may have changed since. A field that it has no more is no error."""
        return dict(payload) if self.schema is None else self._checked(payload).validated_data

    def _checked(self, payload: Mapping[str, Any]) -> Any:
        schema: Any = self.schema
        checked = schema(data=dict(payload))
        if not checked.is_valid():
            raise InvalidPayload(self.name, checked.errors)
        return checked

    def _plain(self, given: Mapping[Any, Any]) -> dict[str, Any]:
        """Return the payload as it comes back from JSON."""
        texts: dict[str, str] = {}
        problems: dict[str, list[str]] = {}
        room = settings.PAYLOAD_LIMIT
        for name, value in given.items():
            try:
                texts[name] = _json(value)
            except (TypeError, ValueError, RecursionError):
                problems[str(name)[:100]] = ["Not a JSON value."]
                continue
            if not isinstance(name, str):
                problems[str(name)[:100]] = ["The name of a field must be a string."]
                continue
            room -= len(name) + len(texts[name])
            if room < 0:
                raise PayloadTooLarge(self.name, settings.PAYLOAD_LIMIT)
        if problems:
            raise InvalidPayload(self.name, problems)
        return {name: json.loads(text) for name, text in texts.items()}


def _json(value: object) -> str:
    # ASCII, so that a character counts as a byte; an infinite number is no JSON.
    return json.dumps(value, cls=DjangoJSONEncoder, allow_nan=False)


def _defaults(
    fields: Mapping[str, Any], payload: Mapping[str, Any], validated: Mapping[str, Any]
) -> dict[str, Any]:
    """What the schema filled in: now and once, for a default may be the time or a new id."""
    found = {}
    for name, field in fields.items():
        if name not in payload and field.source in validated:
            value = validated[field.source]
            # A hidden field has no form of its own, and takes its default again.
            with suppress(NotImplementedError):
                form = None if value is None else field.to_representation(value)
                found[name] = json.loads(_json(form))
    return found
