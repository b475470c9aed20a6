"""Having a worker end: it finishes the jobs that it has in hand and takes no more."""

from __future__ import annotations

import json
from datetime import datetime

from rq.command import PUBSUB_CHANNEL_TEMPLATE

from . import events
from .conf import settings
from .exceptions import StoreError
from .models import WorkerHeartbeat
from .stores.brokers import all_brokers
from .stores.guard import database_errors
from .stores.polling import ask_each


def stop_worker(name: str, *, started_at: datetime | None = None) -> bool:
    """Ask a worker to end after the jobs that it has in hand.

    With *started_at* that one of ours is asked whose row says so, and none that was started under
    its name since.

    One of ours reads it in its row, in whichever mode it is, within a quarter of ``LEASE`` seconds;
    it goes on to run with the database away. Any other worker of rq is told over Redis, as by rq's
    own shutdown command. Returns False when no worker of that name is there to hear it, or it
    has been asked already; one that has died counts as there until others have found out. Raises
    StoreRefused or StoreAmbiguous when a store is away, and nobody could be asked.
    """
    problem: StoreError | None = None
    try:
        with database_errors(settings.DATABASE):
            rows = WorkerHeartbeat.objects.using(settings.DATABASE)
            if started_at is not None or rows.filter(name=name).exists():
                asked = rows.ask_to_stop(name, started_at)
                events.WORKER_TO_STOP.log(worker=name)
                return asked
    except StoreError as error:
        if started_at is not None:
            raise
        problem = error
    return _tell(name, problem)


def _tell(name: str, problem: StoreError | None) -> bool:
    channel, command = PUBSUB_CHANNEL_TEMPLATE % name, json.dumps({"command": "shutdown"})
    heard = 0
    for _broker, answer in ask_each(
        all_brokers(), lambda each: int(each.link.call("PUBLISH", channel, command))
    ):
        if isinstance(answer, StoreError):
            problem = problem or answer
        else:
            heard += answer
    if problem is not None and not heard:
        raise problem
    return heard > 0
