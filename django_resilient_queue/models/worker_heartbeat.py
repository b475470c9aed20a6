"""What each worker says of itself: its mode and the jobs it has in hand."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from .broker_state import BrokerState
from .names import NameField
from .tally import COUNTED, Tally

MOST_HANDS = 5000  # workers that are asked what they have in hand


class Mode(models.TextChoices):
    """Where a worker claims from."""

    STARTING = "starting", _("starting")
    REDIS = "redis", _("Redis")
    DATABASE = "database", _("database")


class WorkerHeartbeatQuerySet(models.QuerySet["WorkerHeartbeat"]):
    """Questions, the one write, and the way out."""

    def of(self, broker: str) -> WorkerHeartbeatQuerySet:
        """Those of one Redis."""
        return self.filter(broker=broker)

    def beat(self, name: str, values: dict[str, Any]) -> bool:
        """Write a worker's row; its ``beat`` differs from the last: that is the sign of life.

        False when there is none, because somebody took the worker for gone.
        """
        return self.filter(name=name).update(**values) == 1

    def ask_to_stop(self, name: str, started_at: datetime | None = None) -> bool:
        """Ask a worker to end after the jobs that it has in hand; False when there is no such row,
        or none that began at that moment, or it has been asked already."""
        mine = self.filter(name=name, is_to_stop=False)
        if started_at is not None:
            mine = mine.filter(started_at=started_at)
        return mine.update(is_to_stop=True) == 1

    def ask_to_stop_job(self, job_id: str) -> bool | None:
        """Ask each worker that says that it has a job in hand to stop it: one of them may be dead
        and its row not gone yet, and a wish names the execution that it is for. None when no worker
        says so, False when none has done with such a wish about another job."""
        answer: bool | None = None
        for name, in_flight in list(self.values_list("name", "in_flight")[:MOST_HANDS]):
            for held, token in in_flight:
                if held == job_id:
                    wish = f"{token}:{job_id}"
                    mine = self.filter(name=name, job_to_stop__in=("", wish))
                    answer = mine.update(job_to_stop=wish) == 1 or bool(answer)
        return answer

    def heard(self, name: str, wish: str) -> None:
        """Make room for the next wish."""
        self.filter(name=name, job_to_stop=wish).update(job_to_stop="")

    def drop(self, **which: Any) -> None:
        """Delete the row of a worker that is gone, and keep what it has counted."""
        with transaction.atomic(self.db):
            row = self.filter(**which).values("name", "beat", "broker", *COUNTED).first()
            if row is None:
                return
            states = BrokerState.objects.using(self.db)
            states.lock(row["broker"])  # first, as a change of mode takes the two
            if self.filter(name=row["name"], beat=row["beat"]).delete()[0]:
                states.add(row["broker"], {each: row[each] for each in COUNTED})


class WorkerHeartbeat(Tally):
    """One running worker. A worker is stale when ``beat`` has not moved for a lease, by the clock
    of whoever watches: ``seen_at`` is for people, no decision compares wall clocks."""

    name = NameField(_("name"), max_length=200, unique=True)
    broker = NameField(_("broker"), max_length=200, db_index=True)
    mode = models.CharField(_("mode"), max_length=10, choices=Mode, default=Mode.STARTING)
    beat = models.CharField(_("beat"), max_length=32)
    in_flight = models.JSONField(_("jobs in hand"), default=list, blank=True)
    queues = models.CharField(_("queues"), max_length=500, blank=True, default="")
    hostname = models.CharField(_("host"), max_length=255, blank=True, default="")
    pid = models.PositiveIntegerField(_("process id"), default=0)
    # Read by the worker itself with the others' rows, in whichever mode it is.
    is_to_stop = models.BooleanField(_("asked to stop"), default=False, editable=False)
    # A claim's token and the job's id; the worker empties it.
    job_to_stop = models.CharField(max_length=320, blank=True, default="", editable=False)
    started_at = models.DateTimeField(_("started"))
    seen_at = models.DateTimeField(_("last seen"))

    objects = WorkerHeartbeatQuerySet.as_manager()

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        permissions = (("stop_worker", _("Can have workers stop")),)

    def __str__(self) -> str:
        return self.name
