"""What holds for the tests of all calls of the API, in whichever folder."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _patience(request: pytest.FixtureRequest, settings: Any) -> None:
    """On a busy machine an answer may take longer than a client would wait; how long it takes is
    asserted by tests that run alone."""
    if request.node.get_closest_marker("alone") is None:
        settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "API_TIMEOUT": 30}
