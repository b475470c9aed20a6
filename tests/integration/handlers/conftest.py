"""Files of the tests go to folders of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings


@pytest.fixture
def folders(tmp_path: Path, settings: Settings) -> Path:
    """A storage and a spool, both empty."""
    settings.MEDIA_ROOT = str(tmp_path / "media")
    spool = tmp_path / "spool"
    spool.mkdir(mode=0o700)
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "EXPORT_SPOOL": str(spool)}
    return tmp_path
