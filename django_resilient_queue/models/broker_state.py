"""What is known of each Redis in common: its epoch, and the lock that a change of mode takes."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models, transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from .names import NameField
from .tally import COUNTED, Tally


class BrokerStateQuerySet(models.QuerySet["BrokerState"]):
    """Guarded changes."""

    def lock(self, name: str) -> None:
        """Hold the broker's row until the transaction ends; only inside ``atomic()``.

        An UPDATE, because it locks on every database: SQLite, too, takes its write lock with it.
        """
        if not self.filter(name=name).update(turn=F("turn") + 1):
            # Two at once: the loser finds the winner's row.
            with transaction.atomic(self.db):
                self.get_or_create(name=name)
            self.filter(name=name).update(turn=F("turn") + 1)

    def take_duty(self, name: str, worker_name: str, *, stale: set[str] | None = None) -> bool:
        """Become the one worker that reconciles; *stale* are holders known to be gone."""
        free = models.Q(reconciler="") | models.Q(reconciler=worker_name)
        if stale:
            free |= models.Q(reconciler__in=stale)
        return self.filter(free, name=name).update(reconciler=worker_name) == 1

    def drop_duty(self, name: str, worker_name: str) -> None:
        """Let another worker reconcile."""
        self.filter(name=name, reconciler=worker_name).update(reconciler="")

    def add(self, name: str, counts: Mapping[str, int]) -> None:
        """Take over the counts of a worker that is gone, in the transaction that drops its row;
        the lock is held."""
        self.filter(name=name).update(**{each: F(each) + counts[each] for each in COUNTED})


class BrokerState(Tally):
    """One Redis, by its address, and what its workers that are gone have done."""

    name = NameField(_("address"), max_length=200, unique=True)
    epoch = models.CharField(_("epoch last reconciled"), max_length=64, blank=True, default="")
    run_id = models.CharField(_("server run last seen"), max_length=64, blank=True, default="")
    reconciler = NameField(_("reconciling worker"), max_length=200, blank=True, default="")
    turn = models.BigIntegerField(default=0, editable=False)

    objects = BrokerStateQuerySet.as_manager()

    class Meta:
        verbose_name = _("broker state")
        verbose_name_plural = _("broker states")
        permissions = (
            ("view_health", _("Can view the whole health report")),
            ("view_metrics", _("Can view the metrics page")),
        )

    def __str__(self) -> str:
        return self.name
