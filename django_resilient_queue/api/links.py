"""Where an answer leads: the links of the OpenAPI document from one operation to the next."""

from __future__ import annotations

from typing import Any

from rest_framework.settings import api_settings

_JOB = ("get_job", "cancel_job")
_LETTER = ("get_letter", "requeue_letter", "correct_letter", "discard_letter")
_RUN = ("get_run", "pause_run", "resume_run", "cancel_run")
_STORED = ("get_stored_job", "get_job")
_OUTAGE = ("get_outage",)
_WORKER = ("get_worker", "stop_worker")
# What of an address the id is, where it is not a row's key.
_PARAMETERS: dict[tuple[str, ...], str] = {_JOB: "job_id", _STORED: "job_id", _WORKER: "name"}
# By operation: where it leads, and where its answer has the id for that.
_LINKS = {
    "submit_job": (_JOB, "/id"),
    "submit_jobs": (_JOB, "/jobs/0/id"),
    "list_jobs": (_JOB, "/results/0/id"),
    "get_job": (_JOB, "/id"),
    "list_letters": (_LETTER, "/results/0/id"),
    "get_letter": (_LETTER, "/id"),
    "requeue_letter": (_JOB, "/job_id"),
    "correct_letter": (_JOB, "/job_id"),
    "start_run": (_RUN, "/id"),
    "list_runs": (_RUN, "/results/0/id"),
    "get_run": (_RUN, "/id"),
    "pause_run": (_RUN, "/id"),
    "resume_run": (_RUN, "/id"),
    "list_stored_jobs": (_STORED, "/results/0/id"),
    "get_stored_job": (_STORED, "/id"),
    "list_outages": (_OUTAGE, "/results/0/id"),
    "list_workers": (_WORKER, "/results/0/name"),
    "get_worker": (_WORKER, "/name"),
}


def links_of(operation_id: str) -> dict[str, Any]:
    """Return the links of an operation's successful answers."""
    targets, pointer = _LINKS.get(operation_id, ((), ""))
    key = "id" if api_settings.SCHEMA_COERCE_PATH_PK else "pk"
    return {
        target: {
            "operationId": target,
            "parameters": {f"path.{_PARAMETERS.get(targets, key)}": f"$response.body#{pointer}"},
        }
        for target in targets
        if target != operation_id
    }
