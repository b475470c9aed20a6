"""Follow-ups: what rq does after a job has ended, for the jobs that others wait for."""

from __future__ import annotations

import logging

from redis import exceptions as redis_errors
from rq.exceptions import NoSuchJobError
from rq.job import JobStatus
from rq.rate_limit import release_slot

from ..exceptions import StoreAmbiguous, StoreError
from ..stores.redis import our_key
from .station import Station

logger = logging.getLogger("django_resilient_queue")

BATCH = 100
_ENDED = (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED)


def follow_up(station: Station) -> int:
    """Enqueue dependents and free rate-limit slots of settled jobs; returns how many jobs.

    The settle script lists them, so that a crash between the two is made good by any worker.
    """
    link, key = station.redis.link, our_key("followups")
    station.redis.has_follow_ups = False  # whatever becomes of these, the next tend looks again
    entries = [entry.decode() for entry in link.call("SRANDMEMBER", key, BATCH)]
    for entry in entries:
        queue_name, _, job_id = entry.rpartition(" ")
        try:
            _follow_up(station, queue_name, job_id)
        except StoreError:
            raise
        except (redis_errors.ConnectionError, redis_errors.TimeoutError) as error:
            raise StoreAmbiguous(error) from error
        except Exception:  # a job that can't be read keeps no other waiting
            logger.exception("follow-up failed job_id=%s", job_id)
        link.call("SREM", key, entry)
    return len(entries)


def _follow_up(station: Station, queue_name: str, job_id: str) -> None:
    queue = station.queue(queue_name)
    try:
        job = station.job_class.fetch(
            job_id, connection=queue.connection, serializer=queue.serializer
        )
    except NoSuchJobError:
        return
    if job.get_status(refresh=False) in _ENDED:
        queue.enqueue_dependents(job)
    release_slot(job)
