"""A letter learns that its new job has finished, also from Redis alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from django_resilient_queue import requeue
from django_resilient_queue.models import DeadLetter, FallbackJob
from django_resilient_queue.outcomes import Failure, Reason
from django_resilient_queue.recovery.drain import drain
from django_resilient_queue.recovery.recovering import Recovering
from tests.integration.rules.bench import DrivenWorker, failed
from tests.stores import snapshot


@pytest.fixture
def letter(transactional_db: None) -> DeadLetter:
    DeadLetter.objects.record([DeadLetter.of(snapshot("job"), Failure(Reason.RAISED), attempts=1)])
    return DeadLetter.objects.get()


def requeued_into_redis(worker: DrivenWorker, letter: DeadLetter) -> None:
    """As it was a while ago."""
    worker.come_home()
    requeue(letter)
    assert drain(worker.station, 10) == 1
    DeadLetter.objects.update(changed_at=timezone.now() - timedelta(minutes=1))


def status(letter: DeadLetter) -> str:
    letter.refresh_from_db()
    return letter.status


def test_a_letter_recovers_though_the_worker_died_before_it_told_the_table(
    ann: DrivenWorker, bob: DrivenWorker, letter: DeadLetter
) -> None:
    requeued_into_redis(ann, letter)
    ann.end(ann.take())
    ann.settling.tell_redis()
    FallbackJob.objects.all().delete()  # as reconcile does, which finds the job settled
    assert status(letter) == "requeued"
    assert Recovering(bob.station).walk_on() == 1
    assert status(letter) == "recovered"


def test_a_letter_whose_job_is_still_to_run_waits(ann: DrivenWorker, letter: DeadLetter) -> None:
    requeued_into_redis(ann, letter)
    assert Recovering(ann.station).walk_on() == 0
    FallbackJob.objects.all().delete()
    assert Recovering(ann.station).walk_on() == 0
    assert status(letter) == "requeued"


def test_a_letter_whose_job_died_again_stays_as_it_is(
    ann: DrivenWorker, letter: DeadLetter
) -> None:
    requeued_into_redis(ann, letter)
    claim = ann.take()
    ann.end(claim, failed(claim, "ann"))
    ann.settling.tell_redis()
    ann.settling.bring_rows_in_line()
    assert Recovering(ann.station).walk_on() == 0
    assert status(letter) == "requeued"
    assert DeadLetter.objects.get(job_id="job-r1").requeued_from == letter
