"""Jobs by the page and their results: bounded, and without unpickling anything."""

from __future__ import annotations

import zlib
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

from django_rq.connection_utils import get_connection
from django_rq.jobs import get_job_class
from django_rq.settings import get_queues_list
from rq.results import Result

from .conf import settings
from .exceptions import StoreError, UndecodableSnapshot
from .job_info import RQ_STATES, JobInfo, JobState, row_state
from .models import FallbackJob
from .models.fallback_job import State
from .outcomes import Settlement
from .reading import Unreadable, as_json, read
from .stores.brokers import Broker, broker_of
from .stores.guard import database_errors
from .stores.polling import ask_each


def states_of(rows: Sequence[FallbackJob]) -> list[JobState]:
    """Say where the jobs of some rows stand: by one question to each Redis for those that it has,
    by the rows alone where it does not answer."""
    found = [row_state(row) for row in rows]
    places = {
        broker: [
            i
            for i, row in enumerate(rows)
            if row.state == State.DISPATCHED and row.queue_name in names
        ]
        for names, broker in _brokers()
        if broker.is_in_use
    }
    key_for = get_job_class(None).key_for

    def ask(broker: Broker) -> list[Any]:
        keys = [key_for(rows[i].job_id) for i in places[broker]]
        return broker.link.call_all([("HGET", key, "status") for key in keys])

    for broker, words in ask_each([each for each in places if places[each]], ask):
        if isinstance(words, StoreError):
            continue
        for i, word in zip(places[broker], words, strict=True):
            if isinstance(word, bytes):
                found[i] = RQ_STATES.get(word.decode("utf-8", "replace"), found[i])
    return found


def result_of(info: JobInfo) -> tuple[Any, str]:
    """Return what a job returned, as JSON values, and the last line of how it failed."""
    stored = _result_in_database(info) if info.backend == "database" else _result_in_redis(info)
    if not stored:
        return None, info.error
    value, error = None, info.error
    try:
        if text := stored.get("return_value"):
            value = as_json(read(b64decode(text)))
        if text := stored.get("exc_string"):
            error = error or _last_line(text)
    except (Unreadable, ValueError) as problem:
        error = error or f"unreadable: {problem}"
    return value, error


def _result_in_redis(info: JobInfo) -> dict[str, Any]:
    for names, broker in _brokers():
        if info.queue_name not in names:
            continue
        key = Result.get_key(info.job_id)
        try:
            entries = broker.link.call("XREVRANGE", key, "+", "-", "COUNT", "1")
        except StoreError:
            return {}
        words = [word.decode("utf-8", "replace") for word in entries[0][1]] if entries else []
        return dict(zip(words[::2], words[1::2], strict=True))
    return {}


def _result_in_database(info: JobInfo) -> dict[str, Any]:
    try:
        with database_errors(settings.DATABASE):
            rows = FallbackJob.objects.using(settings.DATABASE).filter(job_id=info.job_id)
            row = rows.exclude(outcome=None).first()
        return dict(Settlement.load(bytes(row.outcome or b"")).result or {}) if row else {}
    except (StoreError, UndecodableSnapshot):
        return {}


def _last_line(text: str) -> str:
    try:
        lines = zlib.decompress(b64decode(text)).decode("utf-8", "replace").strip().splitlines()
    except zlib.error:
        return ""
    return lines[-1][:500] if lines else ""


def _brokers() -> list[tuple[set[str], Any]]:
    """Each Redis with the names of its queues."""
    found: dict[int, tuple[set[str], Any]] = {}
    for config in get_queues_list():
        broker = broker_of(get_connection(config["name"]))
        found.setdefault(id(broker), (set(), broker))[0].add(config["name"])
    return list(found.values())
