"""Functions behind the job types of these tests."""

from __future__ import annotations

from typing import Any


def add(payload: dict[str, Any]) -> int:
    return int(payload["a"] + payload["b"])


def note(payload: dict[str, Any]) -> None:
    """Does nothing."""
