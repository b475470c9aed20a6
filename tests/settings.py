"""Settings of the tests and of their workers; all that differs comes from the environment."""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
from pathlib import Path
from typing import Any

SECRET_KEY = os.environ.get("DRQ_TEST_SECRET_KEY", "only-for-tests")
SECRET_KEY_FALLBACKS: list[str] = []
DEBUG = False
USE_TZ = True
TIME_ZONE = "UTC"
ROOT_URLCONF = "tests.urls"
MEDIA_ROOT = os.environ.get("DRQ_TEST_MEDIA", str(Path(tempfile.gettempdir()) / "drq-media"))
STATIC_URL = "/static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "health_check",
    "django_resilient_queue",
    "django_rq",
    "tests.postoffice",
]
if importlib.util.find_spec("example_project.shop"):
    INSTALLED_APPS.append("example_project.shop")

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "tests.policy.StrictPolicy",
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
            ]
        },
    }
]


def sqlite() -> dict[str, Any]:
    """A file, so that workers share it; IMMEDIATE, so that two writers wait and do not fail."""
    name = os.environ.get("DRQ_TEST_DB_NAME") or str(Path(tempfile.gettempdir()) / "drq.sqlite3")
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": name,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
        "TEST": {"NAME": name},
    }


def database_server(engine: str, default_port: str, **options: Any) -> dict[str, Any]:
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": os.environ.get("DRQ_TEST_DB_NAME", "drq"),
        "HOST": os.environ.get("DRQ_TEST_DB_HOST", "127.0.0.1"),
        "PORT": os.environ.get("DRQ_TEST_DB_PORT", default_port),
        "USER": os.environ.get("DRQ_TEST_DB_USER", "drq"),
        "PASSWORD": os.environ.get("DRQ_TEST_DB_PASSWORD", ""),
        "OPTIONS": options,
    }


def chosen_database() -> dict[str, Any]:
    match os.environ.get("DRQ_TEST_DB", "sqlite"):
        case "sqlite":
            return sqlite()
        case "postgres":
            return database_server("postgresql", "5432", connect_timeout=5)
        case "mariadb":
            from example_project.servers.mariadb import use_pymysql

            use_pymysql()
            server = database_server("mysql", "3306", connect_timeout=5, charset="utf8mb4")
            return {**server, "TEST": {"CHARSET": "utf8mb4"}}  # its own default knows no Chinese
        case other:
            raise ValueError(f"DRQ_TEST_DB={other!r}: one of sqlite, postgres, mariadb")


CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # For what workers and a test both look at, with Redis away as well.
    "shared": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": os.environ.get(
            "DRQ_TEST_CACHE", str(Path(tempfile.gettempdir()) / "drq-cache")
        ),
    },
}

DATABASES = {"default": chosen_database()}

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.SessionAuthentication",
        "tests.rest.NamedUser",
        "rest_framework.authentication.TokenAuthentication",
    ],
}

REDIS = {
    "HOST": os.environ.get("DRQ_TEST_REDIS_HOST", "127.0.0.1"),
    "PORT": int(os.environ.get("DRQ_TEST_REDIS_PORT", "6379")),
    "DB": 0,
    "DEFAULT_TIMEOUT": 600,
}
RQ_QUEUES = {name: dict(REDIS) for name in ("critical", "high", "default", "low")}

# A test hands its worker other settings as JSON.
# Without alerts, unless it wants some: tests count and kill the processes of a worker.
RESILIENT_QUEUE: dict[str, Any] = {
    "ALERT_CHANNELS": [],
    **json.loads(os.environ.get("DRQ_TEST_RESILIENT_QUEUE", "{}")),
}
RQ: dict[str, Any] = json.loads(os.environ.get("DRQ_TEST_RQ", "{}"))
