"""Parts of the README that are made from the code. `python -m tests.docs` writes them anew."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from django_resilient_queue.conf import Settings

README = Path(__file__).resolve().parent.parent / "README.md"


def settings_table() -> str:
    """One row a setting: key, default, meaning."""
    rows = []
    for name, setting in Settings.table().items():
        default = setting.default
        shown = dict(default) if isinstance(default, Mapping) else default
        rows.append(f"| `{name}` | `{shown}` | {setting.help_text} |")
    return "\n".join(rows)


def part(text: str, name: str) -> str:
    """What stands between the marks of a part."""
    found = re.search(rf"<!-- {name} -->\n(.*?)\n?<!-- /{name} -->", text, re.DOTALL)
    if found is None:
        raise LookupError(f"README.md has no part named {name}")
    return found[1]


def with_part(text: str, name: str, content: str) -> str:
    """The text with the content of a part replaced."""
    marks = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    return re.sub(marks, lambda m: f"{m[1]}{content}\n{m[2]}", text, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(with_part(README.read_text(), "settings", settings_table()))
