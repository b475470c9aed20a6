"""The job type email:send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....conf import Priority
from ...backoff import exponential
from ...registry import job_handler
from . import record
from .delivery import deliver
from .letter import Letter
from .schemas import EmailSend


@job_handler(
    "email:send",
    schema=EmailSend,
    priority=Priority.HIGH,
    attempts=4,
    backoff=exponential(2),
    timeout=60,
    critical=True,
    redact=["body", "html", "variables"],
    requires=("css_inline", "email_validator"),
    extra="mail",
)
def send_email(data: Mapping[str, Any]) -> dict[str, Any]:
    """Send a mail to each of its recipients, once as far as can be known. See `deliver`."""
    found = record.current()
    return deliver(Letter(data, found.token), found)
