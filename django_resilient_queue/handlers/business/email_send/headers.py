"""Which headers a payload may bring. Those of structure, routing and identity are made by us."""

from __future__ import annotations

import re

MOST = 30
LONGEST_SUBJECT = _LONGEST_VALUE = 900  # with its name in a line of 998, were it not folded
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,75}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_ALLOWED = {
    "auto-submitted",
    "feedback-id",
    "importance",
    "in-reply-to",
    "keywords",
    "list-archive",
    "list-help",
    "list-id",
    "list-owner",
    "list-post",
    "list-subscribe",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "organization",
    "precedence",
    "priority",
    "references",
    "sensitivity",
}
# By these some mail services take recipients, templates and accounts.
_COMMANDS = (
    "x-smtpapi",
    "x-msys-",
    "x-mailgun-",
    "x-mailin-",
    "x-mc-",
    "x-mj-",
    "x-mt-",
    "x-pm-",
    "x-ses-",
    "x-sib-",
    "x-tm-",
)


def has_control(text: str) -> bool:
    """Tell whether a text could end a header, or is no text at all."""
    return _CONTROL.search(text) is not None


def subject_problem(subject: str) -> str:
    """Say what is wrong with a subject, empty for nothing."""
    if has_control(subject):
        return "No line breaks and no control characters."
    return f"At most {LONGEST_SUBJECT} characters." if len(subject) > LONGEST_SUBJECT else ""


def problem(name: str, value: object) -> str:
    """Say what is wrong with a header, empty for nothing."""
    if not _NAME.fullmatch(name):
        return "A header's name has letters, digits and dashes only."
    lower = name.lower()
    if lower.startswith(_COMMANDS) or not (lower in _ALLOWED or lower.startswith("x-")):
        return "Not a header that may be set; X-… and List-… may."
    if not isinstance(value, str) or not value.strip():
        return "Expected a text."
    if has_control(value):
        return "No line breaks and no control characters."
    return f"At most {_LONGEST_VALUE} characters." if len(value) > _LONGEST_VALUE else ""
