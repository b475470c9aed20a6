"""What an operator could read in the database. Nothing here asks Redis."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.db.models import Count

from django_resilient_queue.exceptions import UndecodableSnapshot
from django_resilient_queue.models import DeadLetter, FallbackJob, Outage, WorkerHeartbeat
from example_project.demo.stage import WORKERS
from example_project.shop.models import Order


@dataclass(frozen=True)
class Sight:
    """One look at the tables of the queue."""

    outbox: dict[str, int]  # rows by state
    outage_open: bool
    modes: tuple[str, ...]  # one a worker

    @property
    def at_work(self) -> bool:
        return len(self.modes) >= WORKERS and set(self.modes) == {"redis"}

    @property
    def healthy(self) -> bool:
        return self.at_work and not self.outage_open and not self.outbox.get("ready")

    @property
    def settled(self) -> bool:
        return not self.outbox


def look() -> Sight:
    rows = FallbackJob.objects.order_by().values_list("state").annotate(rows=Count("pk"))
    return Sight(
        outbox={str(state): count for state, count in rows},
        outage_open=Outage.objects.filter(ended_at=None).exists(),
        modes=tuple(WorkerHeartbeat.objects.order_by("name").values_list("mode", flat=True)),
    )


def placed_orders() -> set[str]:
    """The numbers of all orders in the shop's own table."""
    return set(Order.objects.values_list("number", flat=True))


def dead_orders() -> set[str]:
    """The numbers of the orders whose mail ended as a dead letter."""
    keys = [_order_key(letter) for letter in DeadLetter.objects.all()]
    return set(Order.objects.filter(pk__in=filter(None, keys)).values_list("number", flat=True))


def _order_key(letter: DeadLetter) -> str | None:
    """From the call as rq describes it, `….send_confirmation(17)`."""
    try:
        call = letter.snapshot.description
    except UndecodableSnapshot:
        return None
    found = re.search(r"\.send_confirmation\((\d+)\)", call)
    return found[1] if found else None
