"""Settings of a project that exports spans."""

from __future__ import annotations

import os

from tests.settings import *  # noqa: F403
from tests.settings import RESILIENT_QUEUE
from tests.spans import FILE, export_to

RESILIENT_QUEUE["TRACING"] = True
export_to(os.environ[FILE])
