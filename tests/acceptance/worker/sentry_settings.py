"""Settings of a project that uses Sentry, at DRQ_TEST_SENTRY; with DRQ_TEST_SENTRY_PII=1 it sends
personal data."""

from __future__ import annotations

import os

import sentry_sdk

from django_resilient_queue import instruments
from tests.patience import LIMIT
from tests.settings import *  # noqa: F403

instruments._LONGEST = LIMIT  # a busy machine may need it to take what is sent

sentry_sdk.init(
    dsn=os.environ["DRQ_TEST_SENTRY"],
    traces_sample_rate=1.0,
    include_local_variables=False,
    keep_alive=False,
    send_default_pii=os.environ.get("DRQ_TEST_SENTRY_PII") == "1",
)
