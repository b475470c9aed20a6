"""Names that differ in case, or in an accent, are different names, whatever the database."""

from __future__ import annotations

import pytest

from django_resilient_queue import get_job
from django_resilient_queue.facts import measures
from django_resilient_queue.meter import Key, Kind, Sums
from django_resilient_queue.models import Measure
from example_project.servers import RedisServer
from tests.enqueueing import queue, row_ids
from tests.jobs import succeed

pytestmark = pytest.mark.django_db(transaction=True)
TYPES = ("shop.jobs.send", "shop.jobs.Send", "shop.jobs.SEND")


def test_types_of_jobs_are_counted_apart() -> None:
    keys = [Key(Kind.ENQUEUED, "default", each, "redis") for each in TYPES]
    keys += [Key(Kind.ENQUEUED, "Default", each, "redis") for each in TYPES]
    for shard in range(2):
        Measure.objects.add({key: Sums(n + 1) for n, key in enumerate(keys)}, shard=shard)
    found = {key: sums.count for key, sums in measures().items()}
    assert found == {key: 2 * (n + 1) for n, key in enumerate(keys)}


def test_jobs_whose_ids_differ_in_case_are_two_jobs(redis_server: RedisServer) -> None:
    redis_server.kill()
    for job_id in ("order", "Order", "ORDER"):
        queue().enqueue(succeed, job_id, job_id=job_id)
    assert row_ids() == ["order", "Order", "ORDER"]
    for job_id in row_ids():
        info = get_job(job_id)
        assert info is not None
        assert info.job is not None
        assert info.job.args == (job_id,)
