"""What the tests of enqueueing share: every way in, every way for a store to be away, and a look."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import django_rq
from django.db import connections
from pytest_django import Settings
from rq.job import Job
from rq.queue import Queue

import django_resilient_queue
from django_resilient_queue.models import FallbackJob
from django_resilient_queue.queues import QUEUE_CLASS_NAME, ResilientQueue
from example_project.servers import FaultyProxy, RedisServer
from example_project.servers.ports import ReservedPort
from tests.jobs import succeed

HOUR = timedelta(hours=1)
