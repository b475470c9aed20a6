"""Follow-ups: what rq does after a job has ended, for the jobs that others wait for."""

from __future__ import annotations

import json

from redis import exceptions as redis_errors
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus
from rq.rate_limit import RateLimitRegistry

from .. import events
from ..exceptions import StoreAmbiguous, StoreError, describe
from ..queues import ResilientQueue
from ..stores.keys import our_key
from .station import Station

BATCH = 100
_ENDED = (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED)


def follow_up(station: Station) -> int:
    """Enqueue dependents and free rate-limit slots of settled jobs; returns how many jobs.

    The settle script lists them, so that a crash between the two is made good by any worker.
    """
    link, key = station.redis.link, our_key("followups")
    station.redis.has_follow_ups = False  # whatever becomes of these, the next tend looks again
    entries = link.call("SRANDMEMBER", key, BATCH)
    for entry in entries:
        try:
            _follow_up(station, *json.loads(entry))
        except StoreError:
            raise
        except (redis_errors.ConnectionError, redis_errors.TimeoutError) as error:
            raise StoreAmbiguous(error) from error
        except Exception as error:  # noqa: BLE001 - a bad job keeps no other waiting
            events.FOLLOW_UP_FAILED.log(cause=describe(error), error=error)
        link.call("SREM", key, entry)
    return len(entries)


def _follow_up(station: Station, queue_name: str, job_id: str, _unique: str, limit: str) -> None:
    queue = station.queue(queue_name)
    try:
        job = station.job_class.fetch(
            job_id, connection=queue.connection, serializer=queue.serializer
        )
    except NoSuchJobError:
        job = None
    except Exception:
        # What cannot be read keeps no slot from the others, either.
        _release(queue, limit, job_id)
        raise
    if job is not None and job.get_status(refresh=False) in _ENDED:
        queue.enqueue_dependents(job)
    _release(queue, limit, job_id, job)


def _release(queue: ResilientQueue, limit: str, job_id: str, job: Job | None = None) -> None:
    """Free the slot of a job that has ended, unless the id has come to it again since."""
    if not limit:
        return
    slots = RateLimitRegistry(limit, queue.connection)
    if job is not None and job.rate_limit_key != limit:
        slots.release_and_enqueue(job_id)
    else:
        slots.release_stale_and_enqueue(job_id)
