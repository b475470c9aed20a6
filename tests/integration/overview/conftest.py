"""What holds for every test of the overview."""

from __future__ import annotations

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def _long_lease(settings: Settings) -> None:
    """Rows of workers that nobody renews are those of live ones, also in tests that run alone."""
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "LEASE": 300}
