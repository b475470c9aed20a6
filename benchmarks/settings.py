"""Settings of the fault harness; what differs comes from the environment."""

from __future__ import annotations

import json
import os
from typing import Any

SECRET_KEY = "only-for-benchmarks"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django_rq",
    "django_resilient_queue",
]
# Both as JSON: how to reach the database, and how to reach Redis.
DATABASES: dict[str, Any] = {"default": json.loads(os.environ["DRQ_BENCH_DATABASE"])}
RQ_QUEUES: dict[str, Any] = {"default": json.loads(os.environ["DRQ_BENCH_QUEUE"])}
