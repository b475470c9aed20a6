"""What holds for every test of the metrics."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_resilient_queue.metrics import answers


@pytest.fixture(autouse=True)
def _no_spare_connection() -> Iterator[None]:
    yield
    answers._spare.close()
