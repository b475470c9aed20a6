"""Jobs that have died."""

from __future__ import annotations

from django_resilient_queue.models import DeadLetter
from django_resilient_queue.outcomes import Failure, Reason
from tests.stores import snapshot


def die(*job_ids: str, error_class: str = "E", queue_name: str = "default") -> list[DeadLetter]:
    failure = Failure(Reason.RAISED, error_class)
    letters = [DeadLetter.of(snapshot(i, queue_name), failure, attempts=1) for i in job_ids]
    DeadLetter.objects.record(letters)
    return list(DeadLetter.objects.filter(job_id__in=job_ids).order_by("pk"))
