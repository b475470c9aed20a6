"""What holds for every test of the overview."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from tests.integration.overview.screen import SHARING


@pytest.fixture(autouse=True)
def patience(
    request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However busy the machine is: rows of workers that nobody renews are those of live ones, and
    stores have time to answer, but where that is what is tested."""
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "LEASE": 300}
    if request.node.get_closest_marker("alone") is None:
        for bound in ("health.collecting.BOUND", f"{SHARING}.BOUND", f"{SHARING}.PATIENCE"):
            monkeypatch.setattr(f"django_resilient_queue.{bound}", 20.0)
