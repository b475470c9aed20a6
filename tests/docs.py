"""Parts of the documentation that are made from the code; `python -m tests.docs` makes them."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from django_resilient_queue.conf import Settings
from django_resilient_queue.events import EVENTS

README = Path(__file__).resolve().parent.parent / "README.md"
LOGS = README.parent / "docs" / "logs.md"


def settings_table() -> str:
    """One row a setting: key, default, meaning."""
    rows = []
    for name, setting in Settings.table().items():
        default = setting.default
        shown = dict(default) if isinstance(default, Mapping) else default
        rows.append(f"| `{name}` | `{shown}` | {setting.help_text} |")
    return "\n".join(rows)


def events_table() -> str:
    """One row an event: name, level, when."""
    head = ["| event | level | when |", "| --- | --- | --- |"]
    rows = [f"| `{e.name}` | {logging.getLevelName(e.level)} | {e.when} |" for e in EVENTS]
    return "\n".join([*head, *rows])


def part(text: str, name: str) -> str:
    """What stands between the marks of a part."""
    found = re.search(rf"<!-- {name} -->\n(.*?)\n?<!-- /{name} -->", text, re.DOTALL)
    if found is None:
        raise LookupError(f"no part is named {name}")
    return found[1]


def with_part(text: str, name: str, content: str) -> str:
    """The text with the content of a part replaced."""
    marks = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    return re.sub(marks, lambda m: f"{m[1]}{content}\n{m[2]}", text, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(with_part(README.read_text(), "settings", settings_table()))
    LOGS.write_text(with_part(LOGS.read_text(), "events", events_table()))
