"""One contract, `stores/base.py`, kept by both stores: each test here is made of either."""

from __future__ import annotations

import pytest

from example_project.servers import RedisServer
from tests.stores import STORES, Bench, bench_of


@pytest.fixture(params=STORES)
def bench(request: pytest.FixtureRequest, redis_server: RedisServer) -> Bench:
    return bench_of(request.param, redis_server)
