"""Our tables in a project that looks like django-unfold."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.one_database


def test_every_page_can_be_shown_in_its_look() -> None:
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.unfold"],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr[-2000:]
    assert int(answer.stdout.split()[-2]) > 30
