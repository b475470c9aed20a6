"""The Django app: puts our classes where the project chose none, and registers the checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import register
from django.utils.translation import gettext_lazy as _

_RQ = "RQ"
QUEUE_CLASS = "django_resilient_queue.queues.ResilientQueue"
WORKER_CLASS = "django_resilient_queue.worker.ResilientWorker"


class ResilientQueueConfig(AppConfig):
    """Hooks this package into django-rq."""

    name = "django_resilient_queue"
    verbose_name = _("Resilient queue")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Fill in the classes and register the checks."""
        from . import checks
        from .alerts import events
        from .handlers.registry import registry

        fill_rq_settings()
        register(checks.check_settings, checks.TAG)
        register(checks.check_extras, checks.TAG, deploy=True)
        registry.discover()
        events.listen()


def fill_rq_settings() -> None:
    """Set `QUEUE_CLASS` and `WORKER_CLASS` in `settings.RQ` where the project did not."""
    chosen = getattr(settings, _RQ, None) or {}
    # A new dict: the project's own may be shared with other settings or with a test's override.
    filled = {"QUEUE_CLASS": QUEUE_CLASS, "WORKER_CLASS": WORKER_CLASS, **chosen}
    setattr(settings, _RQ, filled)
