"""One job type: its function, its schema, and what is done for its jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from ..conf import settings
from ..exceptions import InvalidPayload, PayloadTooLarge
from .backoff import Backoff, Effort, effort_for

_LONGEST_NAME = 100  # characters of a field's name that an error repeats
_DEEPEST = 32
UNKNOWN_FIELD = "Unknown field."
WHOLE = "non_field_errors"  # where the REST framework puts what is wrong with no single field


@dataclass(frozen=True, slots=True, eq=False)
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
    redact: Sequence[str] = ()
    requires: Sequence[str] = ()
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

    def payload(self, given: object, *, by: object = None) -> dict[str, Any]:
        """Return a payload as it is stored: JSON values, valid, with the schema's defaults. The
        schema's context names *by*, the id of the user who enqueues it, as ``user_id``.

        Raises InvalidPayload, with its errors by field, and PayloadTooLarge.
        """
        if not isinstance(given, Mapping):
            words = f"Expected a dict of fields, not {type(given).__name__}."
            raise InvalidPayload(self.name, {WHOLE: [words]})
        plain = self._plain(given)
        if self.schema is None:
            return plain
        checked = self._checked(plain, by)
        fields = getattr(checked, "fields", None)
        if fields is None:
            return plain
        if unknown := [name for name in plain if name not in fields]:
            raise InvalidPayload(self.name, {name: [UNKNOWN_FIELD] for name in unknown})
        return {**_defaults(fields, plain, checked.validated_data), **plain}

    def validated(self, payload: Mapping[str, Any]) -> Any:
        """Return what the function gets for a stored payload. Raises InvalidPayload: the schema
        may have changed since. A field that it has no more is no error."""
        return dict(payload) if self.schema is None else self._checked(payload).validated_data

    def _checked(self, payload: Mapping[str, Any], by: object = None) -> Any:
        schema: Any = self.schema
        checked = schema(data=dict(payload), context={"user_id": by})
        if not checked.is_valid():
            raise InvalidPayload(self.name, dict(checked.errors))
        return checked

    def _plain(self, given: Mapping[Any, Any]) -> dict[str, Any]:
        """Return the payload as it comes back from JSON."""
        plain: dict[str, Any] = {}
        problems: dict[str, list[str]] = {}
        room = settings.PAYLOAD_LIMIT
        for name, value in given.items():
            try:
                text = _json(value)
                plain[_field(name)] = shallow(json.loads(text))
            except (TypeError, ValueError, RecursionError) as error:
                problems[str(name)[:_LONGEST_NAME]] = [_words(error)]
                continue
            room -= len(name) + len(text.encode("utf-8", "surrogatepass"))
            if room < 0:
                raise PayloadTooLarge(self.name, settings.PAYLOAD_LIMIT)
        if problems:
            raise InvalidPayload(self.name, problems)
        return plain


class _Encoder(DjangoJSONEncoder):
    """Django's, which takes times, numbers and ids, without its loss of microseconds."""

    def default(self, o: object) -> Any:
        return o.isoformat() if isinstance(o, datetime) else super().default(o)


class _Refused(ValueError):
    """A value that JSON has room for and a payload has not."""


def _json(value: object) -> str:
    return json.dumps(value, cls=_Encoder, allow_nan=False, ensure_ascii=False)


def _field(name: object) -> str:
    if not isinstance(name, str):
        raise _Refused("The name of a field must be a string.")
    return name


def shallow(value: Any, most: int = _DEEPEST) -> Any:
    """Return what is nested no deeper than pickle, masks and patches can follow. Raises ValueError
    for what is."""
    layer = [value]
    for _ in range(most):
        layer = [inner for each in layer for inner in _inside(each)]
        if not layer:
            return value
    raise _Refused(f"Nested deeper than {most} levels.")


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _words(error: Exception) -> str:
    # The encoder's own words repeat the value.
    return str(error) if isinstance(error, _Refused) else "Not a JSON value."


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
