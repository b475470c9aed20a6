"""The outbox: a row for each job from enqueue until it ends, which stands in for Redis when needed.

Nothing here talks to Redis.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from ..jobs import JobSnapshot
from .finish import Finish, finish_all
from .indexes import StateIndex
from .names import NameField
from .paused_queue import ALL, PausedQueue


class State(models.TextChoices):
    """Where a job is, as far as the database knows."""

    DISPATCHED = "dispatched", _("dispatched")  # Redis has it, may have it, or is about to
    READY = "ready", _("ready")  # surely no copy in Redis
    CLAIMED = "claimed", _("claimed")  # a worker executes it from here
    FINISHED = "finished", _("finished")  # ended, while Redis has not been told


class Standing(models.TextChoices):
    """What becomes of a job next, for people."""

    RUNNING = "running", _("runs from the database")
    ENDED = "ended", _("has ended; Redis is to be told")
    WAITS_FOR_JOB = "waits_for_job", _("waits for another job")
    WAITS_FOR_TIME = "waits_for_time", _("waits for its time")
    PAUSED = "paused", _("waits: its queue is paused")
    IN_REDIS = "in_redis", _("waits in Redis for a worker")
    STORED = "stored", _("waits for a worker, or for Redis to return")


class FallbackJobQuerySet(models.QuerySet["FallbackJob"]):
    """Questions that chain, and guarded transitions that say how many rows they won."""

    def with_pauses(self) -> FallbackJobQuerySet:
        """Tell of each row whether its queue is paused, as `is_paused`."""
        pauses = PausedQueue.objects.using(self.db)
        mine = pauses.filter(queue_name__in=(ALL, OuterRef("queue_name")))
        return self.annotate(is_paused=Exists(mine))

    def on_queues(self, names: Collection[str]) -> FallbackJobQuerySet:
        """Those of some queues."""
        return self.filter(queue_name__in=names)

    def ready(self) -> FallbackJobQuerySet:
        """Those without a copy in Redis."""
        return self.filter(state=State.READY)

    def dispatched(self) -> FallbackJobQuerySet:
        """Those that Redis may hold."""
        return self.filter(state=State.DISPATCHED)

    def claimed(self) -> FallbackJobQuerySet:
        """Those that a worker executes from the database."""
        return self.filter(state=State.CLAIMED)

    def finished(self) -> FallbackJobQuerySet:
        """Those that have ended and of which Redis has not been told."""
        return self.filter(state=State.FINISHED)

    def due(self, now: datetime) -> FallbackJobQuerySet:
        """Those whose time has come, and which need nothing that only Redis knows."""
        return self.filter(due_at__lte=now, waits_for="")

    def in_claim_order(self) -> FallbackJobQuerySet:
        """Of one queue, as in Redis: the front first, then what has been due the longest."""
        return self.order_by("-at_front", "due_at", "pk")

    def of(self, job_id: str, generation: str) -> FallbackJobQuerySet:
        """The row of one enqueue of an id."""
        return self.filter(job_id=job_id, generation=generation)

    # ---- transitions ---------------------------------------------------------------------------

    def mark_ready(self, snapshots: Sequence[JobSnapshot]) -> int:
        """A producer's pushes were surely not applied: the rows may be executed from here.

        Only rows that nobody claimed or decided to push since: their version would be higher.
        """
        untouched = self.dispatched().filter(
            job_id__in=[each.job_id for each in snapshots],
            generation__in=[each.generation for each in snapshots],
            version=0,
        )
        return untouched.update(state=State.READY, redis_copy=False)

    def claim(self, pks: Sequence[int], *, state: str, worker_name: str, token: str) -> int:
        """Take rows that are still in *state* for a worker."""
        return self.filter(pk__in=pks, state=state).update(
            state=State.CLAIMED,
            claimed_by=worker_name,
            claim_token=token,
            version=F("version") + 1,
        )

    def dispatch(self, pks: Sequence[int], *, token: str, look_at: datetime) -> int:
        """Decide to push ready rows: marked before the push, so a crash leaves no double."""
        return self.filter(pk__in=pks, state=State.READY).update(
            state=State.DISPATCHED,
            redis_copy=True,
            stale_copy=False,
            claim_token=token,
            version=F("version") + 1,
            check_at=look_at,
            checks=0,
        )

    def finish_all(self, ends: Sequence[Finish]) -> int:
        """End claimed rows that are still their claims'."""
        return finish_all(self.db, self.model._meta.db_table, ends)

    def give_back(self, now: datetime) -> int:
        """Return claimed rows; a row with a copy in Redis never becomes ready."""
        clean = self.claimed().filter(redis_copy=False)
        copied = self.claimed().filter(redis_copy=True)
        freed = {"claimed_by": "", "claim_token": "", "check_at": now, "checks": 0}
        won = clean.update(state=State.READY, **freed)
        return won + copied.update(state=State.DISPATCHED, **freed)


class FallbackJob(models.Model):
    """One job. ``payload`` is its signed snapshot; the other columns say where it stands."""

    job_id = NameField(_("job id"), max_length=255)
    generation = models.CharField(max_length=64, editable=False)
    queue_name = NameField(_("queue"), max_length=200)
    priority = models.SmallIntegerField(_("priority"), default=5)
    at_front = models.BooleanField(default=False, editable=False)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.DISPATCHED)
    version = models.PositiveIntegerField(default=0, editable=False)
    attempt = models.PositiveIntegerField(_("attempt"), default=0)
    rescues = models.PositiveIntegerField(_("rescues"), default=0)
    payload = models.BinaryField(editable=False)
    outcome = models.BinaryField(null=True, default=None, editable=False)
    redis_copy = models.BooleanField(_("may be in Redis"), default=False)
    # The copy in Redis is of an earlier attempt: it is replaced before a worker claims from Redis.
    stale_copy = models.BooleanField(default=False, editable=False)
    waits_for = models.CharField(_("waits for"), max_length=20, blank=True, default="")
    rate_limit_key = NameField(max_length=255, blank=True, default="", editable=False)
    rate_limit_concurrency = models.PositiveIntegerField(default=0, editable=False)
    due_at = models.DateTimeField(_("due"))
    check_at = models.DateTimeField(editable=False)
    checks = models.PositiveSmallIntegerField(default=0, editable=False)
    claimed_by = NameField(_("worker"), max_length=200, blank=True, default="")
    claim_token = models.CharField(max_length=64, blank=True, default="", editable=False)
    created_at = models.DateTimeField(_("created"))

    objects = FallbackJobQuerySet.as_manager()

    class Meta:
        verbose_name = _("fallback job")
        verbose_name_plural = _("fallback jobs")
        # A constraint, not unique=True: that would add a second index for LIKE on PostgreSQL.
        constraints = (models.UniqueConstraint(fields=("job_id",), name="drq_job_once"),)
        indexes = (
            StateIndex(
                fields=("queue_name", "-at_front", "due_at", "id"),
                condition=Q(state="ready"),
                name="drq_job_ready",
            ),
            StateIndex(
                fields=("queue_name", "-at_front", "due_at", "id"),
                condition=Q(state="dispatched"),
                name="drq_job_dispatched",
            ),
            StateIndex(fields=("check_at",), condition=Q(state="dispatched"), name="drq_job_check"),
            models.Index(
                fields=("state", "id"),
                condition=Q(state__in=("claimed", "finished")),
                name="drq_job_in_hand",
            ),
        )
        permissions = (
            ("submit_job", _("Can submit jobs")),
            ("view_job", _("Can see jobs and their results")),
            ("cancel_job", _("Can cancel jobs")),
            ("requeue_fallbackjob", _("Can have waiting jobs looked at at once")),
            ("clean_job", _("Can delete records of jobs that have ended")),
            ("drain_fallbackjob", _("Can drain jobs to Redis")),
        )

    def __str__(self) -> str:
        return f"{self.job_id} ({self.get_state_display()})"

    def standing(self, now: datetime) -> Standing:
        """Say what becomes of it next; only a row of `with_pauses` knows that it is held."""
        if self.state == State.CLAIMED:
            return Standing.RUNNING
        if self.state == State.FINISHED:
            return Standing.ENDED
        if self.waits_for:
            return Standing.WAITS_FOR_JOB
        if self.due_at > now:
            return Standing.WAITS_FOR_TIME
        if getattr(self, "is_paused", False):
            return Standing.PAUSED
        return Standing.IN_REDIS if self.state == State.DISPATCHED else Standing.STORED

    def as_values(self) -> dict[str, Any]:
        """Every column but the key: what a new enqueue of the same id writes over the old row."""
        return {
            field.attname: getattr(self, field.attname)
            for field in self._meta.concrete_fields
            if not field.primary_key
        }
