"""Settings of the example shop; what differs between machines comes from the environment."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
DEMO_DIR = Path(os.environ.get("DEMO_DIR") or BASE_DIR / "example_project" / "var")


def _kept_secret_key(path: Path) -> str:
    """Web server and workers sign for each other, so they share the first key written here."""
    key = get_random_secret_key()
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        draft.touch(mode=0o600)
        draft.write_text(key, encoding="utf-8")
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)  # complete or absent: nobody reads half a key
        draft.unlink()
        return path.read_text(encoding="utf-8")
    except OSError:
        return key  # a folder that can't be written: good for this process alone


SECRET_KEY = os.environ.get("SECRET_KEY") or _kept_secret_key(DEMO_DIR / "secret_key")
DEBUG = os.environ.get("DEBUG") == "1"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",  # the pages of the API, with no other site involved
    "health_check",
    "django_rq",
    "django_resilient_queue",  # with django_rq above, this is all that a project has to add
    "example_project.shop",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DEMO_DIR / "shop.sqlite3",
        "OPTIONS": {
            # Writers queue at BEGIN: a lock wanted later fails at once, whatever the timeout.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_REDIS = {
    "HOST": os.environ.get("REDIS_HOST", "127.0.0.1"),
    "PORT": int(os.environ.get("REDIS_PORT", "6379")),
    "PASSWORD": os.environ.get("REDIS_PASSWORD") or None,
    "DB": int(os.environ.get("REDIS_DB", "0")),
}
RQ_QUEUES = {name: dict(_REDIS) for name in ("critical", "high", "default", "low")}

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    # Counted in each process's memory: the limits hold while Redis is down.
    "DEFAULT_THROTTLE_RATES": {"submit": "600/min", "recover": "60/min"},
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Example shop",
    "DESCRIPTION": "Jobs, dead letters, recovery runs and workers of the shop's queues.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAdminUser"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "REDOC_DIST": "SIDECAR",
}

EMAIL_HOST = os.environ.get("SMTP_HOST", "127.0.0.1")
EMAIL_PORT = int(os.environ.get("SMTP_PORT", "25"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = "Example Shop <shop@example.com>"

STATIC_URL = "static/"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {"django_resilient_queue": {"level": "INFO"}},
}
