"""The ledger of known loss paths: by which way a job of this project could go without a word.

Those that went when a Redis lost its data are counted, by the worker on duty (`worker/exposed.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django_rq.queues import get_queue_class
from django_rq.settings import get_queues_list

from ..conf import settings
from ..queues import ResilientQueue
from .report import QueueHealth

_PATHS = {
    "unprotected": "accepted by Redis while the database was away: lost if Redis loses its data"
    " before the row is written",
    "outbox_off": "without an outbox a job is as durable as the Redis that holds it",
    "not_covered": "the queue's class is not ours: jobs are refused while Redis is away, and lost"
    " with its data",
    "in_caller": "ASYNC is off: the job runs inside the caller and is lost when that dies",
}


def loss_paths(queues: Sequence[QueueHealth], unprotected: int) -> list[dict[str, Any]]:
    """Return the paths that are open here: ``code``, ``meaning``, ``queues`` they concern (none for
    all), and ``exposed``, how many jobs are on them now (None where nobody could say)."""
    in_redis = {queue.name: queue.redis for queue in queues}
    paths = [_path("unprotected", [], unprotected)] if unprotected else []
    for code, names in paths_by_settings().items():
        known = [in_redis.get(name) for name in names]
        told = [each.waiting + each.active + each.scheduled for each in known if each is not None]
        if names:
            paths.append(_path(code, names, sum(told) if len(told) == len(names) else None))
    return paths


def paths_by_settings() -> dict[str, list[str]]:
    """Return the queues that each path concerns."""
    found: dict[str, list[str]] = {"outbox_off": [], "not_covered": [], "in_caller": []}
    for config in get_queues_list():
        name, options = config["name"], config["connection_config"]
        if not options.get("ASYNC", True):
            found["in_caller"].append(name)
        elif not issubclass(get_queue_class(options), ResilientQueue):
            found["not_covered"].append(name)
        elif not settings.outbox_for(name):
            found["outbox_off"].append(name)
    return found


def _path(code: str, names: Sequence[str], exposed: int | None) -> dict[str, Any]:
    return {"code": code, "meaning": _PATHS[code], "queues": list(names), "exposed": exposed}
