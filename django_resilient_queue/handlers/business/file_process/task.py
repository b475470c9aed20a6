"""What the worker asks of the program that decodes files, and what that answers: plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

Operation = dict[str, Any]  # as `schemas.Operation` validated it, its defaults filled in

TASK_NAME, REPORT_NAME, SOURCE_NAME = "task.json", "report.json", "source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes, pixels, pages and seconds that one file may cost."""

    seconds: float
    memory: int
    output: int
    pixels: int
    unpacked: int
    pages: int
    video_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One file that was made: its name in the folder, and what is known of it."""

    operation: str
    file: str
    content_type: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Either what was found and made, or why nothing was."""

    content_type: str = ""
    kind: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    refused: str = ""
    missing: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Report:
        """Read JSON values. Raises TypeError and KeyError for other ones."""
        return cls(**{**values, "outputs": [Output(**each) for each in values["outputs"]]})
