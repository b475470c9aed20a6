"""Settings of a project whose mails go to the test's own server."""

from __future__ import annotations

import os

from tests.settings import *  # noqa: F403

EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = "127.0.0.1"
EMAIL_PORT = int(os.environ.get("DRQ_TEST_EMAIL_PORT", "25"))
EMAIL_TIMEOUT = 5
