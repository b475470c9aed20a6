"""Settings of a project whose jobs are JSON."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import RQ_QUEUES

for queue in RQ_QUEUES.values():
    queue["SERIALIZER"] = "rq.serializers.JSONSerializer"
