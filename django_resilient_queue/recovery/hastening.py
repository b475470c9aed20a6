"""Have one job of the outbox looked at now, rather than when its time comes."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from ..models import FallbackJob
from ..models.fallback_job import State
from ..stores.database import DatabaseStore


def hasten(row: FallbackJob) -> bool:
    """Have a job that no worker has in hand begin as soon as it can.

    One without a copy in Redis is due at once. One that Redis may have is looked for there at the
    next turn of the worker on duty, which puts it back should Redis have lost it: nothing is moved
    here, so that the job can't run twice because of it. Returns False when the row has changed
    since it was read, or a worker has it. Raises StoreRefused or StoreAmbiguous when the database
    is away.
    """
    now = timezone.now()
    known: dict[State, dict[str, Any]] = {
        State.READY: {"due_at": now},
        State.DISPATCHED: {"check_at": now, "checks": 0},
    }
    changes = known.get(State(row.state))
    if changes is None:
        return False
    table = DatabaseStore()
    with table.statement():
        same = table.rows.filter(pk=row.pk, version=row.version, generation=row.generation)
        return same.filter(state=row.state).update(**changes) == 1
