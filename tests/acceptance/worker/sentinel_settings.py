"""Settings of a project whose Redis is named by Sentinels."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403

RQ_QUEUES = json.loads(os.environ["DRQ_TEST_SENTINEL_QUEUES"])
