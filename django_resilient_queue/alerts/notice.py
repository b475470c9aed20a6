"""What a channel is told: words and times, never a payload."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from django.utils import timezone

from ..models import AlertNotice
from ..models.alert import Kind, Severity


@dataclass(frozen=True, slots=True)
class Notice:
    """One message. ``id`` is the same when it has to be sent again: receivers may drop doubles."""

    id: str
    rule: str
    key: str
    kind: str
    severity: str
    message: str
    since: datetime
    resolved_at: datetime | None = None

    @classmethod
    def of(cls, row: AlertNotice) -> Self:
        """Make it from its row."""
        alert, is_end = row.alert, row.kind == Kind.RESOLVED
        return cls(
            id=f"alert_{alert.pk}_{row.pk}",
            rule=alert.rule,
            key=alert.key,
            kind=row.kind,
            severity=Severity.SUCCESS.value if is_end else alert.severity,
            message=row.message,
            since=alert.since,
            resolved_at=alert.resolved_at if is_end else None,
        )

    @classmethod
    def for_test(cls) -> Self:
        """Make one that shows that a channel works."""
        now = timezone.now()
        words = "This is a test: nothing is wrong."
        return cls(f"alert_test_{now:%s}", "test", "", Kind.TEST, Severity.INFO, words, now)

    @property
    def title(self) -> str:
        """One line without line breaks."""
        place = f" ({self.key})" if self.key else ""
        return " ".join(f"{self.severity.upper()} {self.rule}{place}: {self.kind}".split())[:200]

    @property
    def text(self) -> str:
        """The message and its times."""
        lines = [self.message, f"Since {self.since.isoformat(timespec='seconds')}."]
        if self.resolved_at is not None:
            lasted = max((self.resolved_at - self.since).total_seconds(), 0)
            end = self.resolved_at.isoformat(timespec="seconds")
            lines = [f"Over: {self.message}", *lines[1:], f"Resolved {end}, after {lasted:.0f} s."]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """As JSON values; times in ISO 8601."""
        end = self.resolved_at.isoformat() if self.resolved_at else None
        return {**asdict(self), "since": self.since.isoformat(), "resolved_at": end}
