"""Settings of a project that uses Sentry, at DRQ_TEST_SENTRY; with DRQ_TEST_SENTRY_PII=1 it sends
personal data."""

from __future__ import annotations

import os

import sentry_sdk

from tests.settings import *  # noqa: F403

sentry_sdk.init(
    dsn=os.environ["DRQ_TEST_SENTRY"],
    traces_sample_rate=1.0,
    include_local_variables=False,
    keep_alive=False,
    send_default_pii=os.environ.get("DRQ_TEST_SENTRY_PII") == "1",
)
