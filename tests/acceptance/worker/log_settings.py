"""Settings of a project that logs JSON, as docs/logs.md has it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.acceptance.worker.handler_settings import *  # noqa: F403

_TEXT = (Path(__file__).parents[3] / "docs" / "logs.md").read_text()
_SNIPPET = re.search(r"```python\n(LOGGING = .*?)```", _TEXT, re.DOTALL)
assert _SNIPPET is not None
exec(_SNIPPET[1])
