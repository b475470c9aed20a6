"""The Django app: puts our classes where the project chose none, and registers the checks."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import register
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from .instruments import Instrument

_RQ = "RQ"
_SENTRY = "sentry_sdk.integrations.rq"  # which `sentry_sdk.init` imports
QUEUE_CLASS = "django_resilient_queue.queues.ResilientQueue"
WORKER_CLASS = "django_resilient_queue.worker.ResilientWorker"


class ResilientQueueConfig(AppConfig):
    """Hooks this package into django-rq."""

    name = "django_resilient_queue"
    verbose_name = _("Resilient queue")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Fill in the classes and register the checks."""
        from . import checks, instruments
        from .alerts import events
        from .api.checks import check_scope
        from .handlers.registry import registry

        fill_rq_settings()
        register(checks.check_settings, checks.TAG)
        register(checks.check_extras, checks.TAG, deploy=True)
        register(check_scope, checks.TAG)
        registry.discover()
        events.listen()
        instruments.register("tracing", find_tracing)
        instruments.register("sentry", find_sentry)


def find_tracing() -> Instrument | None:
    """Return what makes spans, where the project wants them; a check says when it can't be."""
    from .conf import settings

    if not settings.TRACING or not find_spec("opentelemetry"):
        return None
    from .contrib.tracing import tracing

    return tracing


def find_sentry() -> Instrument | None:
    """Return what serves Sentry, where the project has initialised it: nothing imports it else."""
    if _SENTRY not in sys.modules:
        return None
    from .contrib.sentry import in_use

    return in_use()


def fill_rq_settings() -> None:
    """Set `QUEUE_CLASS` and `WORKER_CLASS` in `settings.RQ` where the project did not."""
    chosen = getattr(settings, _RQ, None) or {}
    # A new dict: the project's own may be shared with other settings or with a test's override.
    filled = {"QUEUE_CLASS": QUEUE_CLASS, "WORKER_CLASS": WORKER_CLASS, **chosen}
    setattr(settings, _RQ, filled)
