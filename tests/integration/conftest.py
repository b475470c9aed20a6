"""What tests in several folders use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from django_resilient_queue.signals import operator_acted
from example_project.servers import RedisServer
from tests.patience import patience

if TYPE_CHECKING:
    from tests.stores import Bench


@pytest.fixture(autouse=True)
def _patience(request: pytest.FixtureRequest) -> Iterator[None]:
    """How long something takes is asserted by tests that run alone."""
    with nullcontext() if request.node.get_closest_marker("alone") else patience():
        yield


@pytest.fixture(params=["redis", "database"])
def bench(request: pytest.FixtureRequest, redis_server: RedisServer) -> Bench:
    """Either store."""
    # Imports models: too early for it where pytest loads this file before the settings are there.
    from tests.stores import bench_of

    return bench_of(request.param, redis_server)


@pytest.fixture
def acts() -> Iterator[list[dict[str, Any]]]:
    """What the signal of the admin's operations has told, once it was true."""
    heard: list[dict[str, Any]] = []

    def hear(**words: Any) -> None:
        assert not connection.in_atomic_block
        heard.append(words)

    operator_acted.connect(hear)
    yield heard
    operator_acted.disconnect(hear)
