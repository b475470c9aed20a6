"""Settings of a project whose mail server, at DRQ_TEST_MAIL_PORT, hangs."""

from __future__ import annotations

import os

from tests.settings import *  # noqa: F403

EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = "127.0.0.1"
EMAIL_PORT = int(os.environ.get("DRQ_TEST_MAIL_PORT", "25"))
ADMINS = [("Ann", "ann@example.org")]
