"""The arguments of a dead job put right: what they were, what they become, and the difference."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jsonpatch
from django.utils import timezone
from django_rq.settings import get_queues_map
from rq.exceptions import DeserializationError
from rq.job import Job

from ..exceptions import InvalidPayload, PayloadTooLarge
from ..handlers.handler import Handler, shallow
from ..handlers.performing import PERFORM, redact_keys
from ..handlers.registry import registry
from ..jobs import JobSnapshot
from ..models import Correction, DeadLetter
from ..models.correction import storable
from ..models.dead_letter import Change
from ..queues import get_queue
from ..redaction import unmask
from .difference import shown_difference
from .refusal import without_secrets

DEEPEST = 100  # levels of arguments that are corrected; a payload of a handler has fewer


def arguments(letter: DeadLetter) -> dict[str, Any]:
    """Return what a letter's job was called with, whole and with its secrets: ``args`` (list) and
    ``kwargs`` (dict). Raises ValueError when they can't be read or are no JSON values, and
    UndecodableSnapshot for a payload that can't be trusted."""
    found = _arguments(letter, _job_of(letter))
    _require_json(letter, "has", found)
    return found


def masked_names(letter: DeadLetter) -> Sequence[str]:
    """Return the parts of names under which a letter's arguments are masked, however long they are.
    Raises as `arguments` does."""
    job = _job_of(letter)
    _arguments(letter, job)
    return redact_keys(job.func_name, job.args)


def filled_in(letter: DeadLetter, written: Mapping[str, Any]) -> dict[str, Any]:
    """Return keyword arguments with what masks hide of the job's own. Raises ValueError for a mask
    that hides nothing and for what is nested too deeply, and as `arguments` does."""
    shallow(written, DEEPEST)
    return dict(unmask(written, arguments(letter)["kwargs"], masked_names(letter)))


def correct(
    letter: DeadLetter,
    kwargs: Mapping[str, Any],
    change: Change,
    *,
    written: Mapping[str, Any] | None = None,
) -> tuple[JobSnapshot, Correction]:
    """Return a letter's job with other keyword arguments, and the correction, not yet saved.

    *written* is *kwargs* as somebody wrote it who may not see secrets, with masks for those that
    they left alone: nothing that they are told depends on what masks hide.

    Nothing is changed. Raises ValueError, InvalidPayload, UnknownHandler and UndecodableSnapshot,
    as `requeue` does.
    """
    job = _job_of(letter)
    before = _arguments(letter, job)
    keys = redact_keys(job.func_name, job.args)
    had_own_description = job.description != job.get_call_string()
    hidden = None if written is None else keys
    after = {"args": before["args"], "kwargs": _validated(job, kwargs, hidden)}
    _require_json(letter, "has", before)
    _require_json(letter, "was given", after)
    job.kwargs = after["kwargs"]
    fields = {"data": JobSnapshot.of(job, queue_name=letter.queue_name).fields["data"]}
    if not had_own_description:
        fields["description"] = str(job.get_call_string()).encode()
    recorded = storable(before), storable(after)
    correction = Correction(
        letter=letter,
        made_at=timezone.now(),
        made_by=change.by[:200],
        reason=change.reason[:500],
        before=recorded[0],
        after=recorded[1],
        diff=jsonpatch.make_patch(*recorded).patch,
        shown=shown_difference(*recorded, keys, written),
    )
    return letter.snapshot.changed(fields), correction


def is_of_handler(letter: DeadLetter) -> bool:
    """Tell whether a letter's job is one of a registered type, which may have a schema."""
    return letter.handler in registry


def _job_of(letter: DeadLetter) -> Job:
    # Of a queue that is configured no more the job can be read all the same.
    known = get_queues_map()
    queue = get_queue(letter.queue_name if letter.queue_name in known else next(iter(known)))
    return letter.snapshot.to_job(queue.job_class, queue.connection, queue.serializer)


def _arguments(letter: DeadLetter, job: Job) -> dict[str, Any]:
    try:
        return {"args": list(job.args), "kwargs": dict(job.kwargs)}
    except DeserializationError as error:
        raise ValueError(f"the arguments of {letter.handler} can't be read: {error}") from error


def _validated(job: Job, kwargs: Mapping[str, Any], hidden: Sequence[str] | None) -> dict[str, Any]:
    """Hold the payload of a handler's job against its schema, as at the front door; a refusal
    repeats nothing that is *hidden*, by parts of names."""
    if job.func_name != PERFORM:
        return dict(kwargs)
    handler = registry.get(*job.args)
    return handler.payload(kwargs) if hidden is None else _discreetly(handler, kwargs, hidden)


def _discreetly(
    handler: Handler, kwargs: Mapping[str, Any], hidden: Sequence[str]
) -> dict[str, Any]:
    refusal: Exception
    try:
        return handler.payload(kwargs)
    except PayloadTooLarge:
        raise
    except InvalidPayload as error:
        refusal = InvalidPayload(handler.name, without_secrets(error.errors, kwargs, hidden))
    except ValueError as error:
        refusal = ValueError(f"the schema of {handler.name} fails with {type(error).__name__}")
    # Not while the other is handled, which a report of this one would show.
    raise refusal


def _require_json(letter: DeadLetter, verb: str, given: Mapping[str, Any]) -> None:
    if not _is_json(given):
        raise ValueError(
            f"{letter.handler} {verb} arguments that are no JSON values:"
            " only those can be corrected"
        )


def _is_json(given: Mapping[str, Any]) -> bool:
    """Tell whether the values come back from JSON as they went in: no tuple, no number as a key."""
    try:
        return bool(json.loads(json.dumps(given, allow_nan=False)) == given)
    except (TypeError, ValueError):
        return False
