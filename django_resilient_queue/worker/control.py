"""Ending jobs before their time: an operator's commands, and the limit of a job's time."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from .. import events
from ..conf import settings
from ..exceptions import StoreError
from ..models import WorkerHeartbeat
from ..outcomes import Attempt, Failure, Reason, Settlement, fail, stop
from ..stores.base import Claim, boottime
from .horse import Horse

if TYPE_CHECKING:
    from .shift import Shift


_PACE = 0.5  # seconds between two looks at the horses


class Control:
    """Acts on the jobs of one shift."""

    def __init__(self, shift: Shift) -> None:
        self.shift, self.worker = shift, shift.worker
        self._checked_at = 0.0
        self._stopped: set[tuple[str, str]] = set()  # (id, token) of what an operator has stopped

    def stop_job(self, job_id: str, execution_id: str = "") -> bool:
        """Stop one job, begun or not; False when this worker does not have it (any more)."""
        for claim in list(self.shift.hand.claims.values()):
            if claim.job_id == job_id and execution_id in ("", claim.token):
                return self._stop(claim)
        return False

    def stop_as_wished(self, wish: str) -> None:
        """Stop the job that an operator named in the worker's row, unless it has ended."""
        token, _, job_id = wish.partition(":")
        if not self.stop_job(job_id, token):
            events.NOT_STOPPED.log(job_id=job_id)
        table = self.worker.station.table
        try:
            with table.statement():
                WorkerHeartbeat.objects.using(table.alias).heard(self.worker.name, wish)
        except StoreError as error:  # it is read again, and of a job that is gone by then
            events.WISH_NOT_TAKEN_BACK.log(cause=error)

    def kill_horses(self) -> bool:
        """Kill every horse that performs a job; those jobs fail. False when there is none."""
        busy = [horse for horse in self.shift.stable.horses if not horse.is_idle]
        for horse in busy:
            self.shift.supply.recall(horse)
            horse.kill()
        return bool(busy)

    def check_overtime(self) -> None:
        """Kill a horse whose job neither ends nor times out by itself (an extension that hogs the
        interpreter lock); find those that are dead."""
        now = boottime()
        if now - self._checked_at < _PACE:
            return
        self._checked_at = now
        for horse in self.shift.stable.horses:
            self._look_after(horse)
            claim = horse.current
            if claim is None or horse.is_overdue or horse.death is not None:
                continue
            timeout = claim.snapshot.timeout or self.worker.queue_class.DEFAULT_TIMEOUT
            if timeout > 0 and boottime() - horse.began_at > timeout + settings.KILL_GRACE:
                horse.is_overdue = self._kill(horse, claim)

    def end_with(self, horse: Horse, claim: Claim) -> Settlement:
        """Say how a job ended whose horse is dead."""
        began = timezone.now() - timedelta(seconds=boottime() - horse.began_at)
        attempt = Attempt(self.worker.name, claim.token, began, timezone.now())
        if claim.key in self._stopped:
            self._stopped.discard(claim.key)
            self.shift.errands.call_stopped_callback(claim)
            return stop(claim.snapshot, attempt)
        death = horse.bury()
        self.shift.errands.report_killed(claim, death)
        text = f"Work-horse terminated unexpectedly; waitpid returned {death.status}"
        if death.status and not os.WIFEXITED(death.status):
            text += f" (signal {os.WTERMSIG(death.status)})"
        reason = Reason.TIMEOUT if horse.is_overdue else Reason.KILLED
        end = fail(claim.snapshot, attempt, Failure(reason, "", text, text + "; "))
        self.shift.errands.send_webhooks(claim, end)
        return end

    def _look_after(self, horse: Horse) -> None:
        horse.look_after()
        while horse.death is not None and horse.channel.has_report:
            before = len(horse.given)
            self.shift.hear(horse)
            if len(horse.given) == before:
                break

    def _stop(self, claim: Claim) -> bool:
        found = self.shift.stable.horse_with(claim.job_id)
        if found is not None:
            horse, claim = found
            self.shift.supply.recall(horse)
        if claim in self.shift.supply.waiting:
            self.shift.supply.waiting.remove(claim)
            now = timezone.now()
            attempt = Attempt(self.worker.name, claim.token, now, now)
            self.shift.errands.call_stopped_callback(claim)
            self.shift.end(claim, stop(claim.snapshot, attempt))
            return True
        if found is None:
            return False
        self._stopped.add(claim.key)
        if not self._kill(horse, claim):
            self._stopped.discard(claim.key)
            return False
        return True

    def _kill(self, horse: Horse, claim: Claim) -> bool:
        """Kill a horse for the sake of one job; False when it has done with that one meanwhile."""
        self.shift.supply.recall(horse)
        for report in horse.corner():
            self.shift.take_report(horse, report)
        current = horse.current
        if horse.death is None and (current is None or current.token != claim.token):
            horse.go_on()
            return False
        horse.kill()
        return True
