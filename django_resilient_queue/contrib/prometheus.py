"""For projects with a Prometheus registry of their own, as that of django-prometheus.

    class ShopConfig(AppConfig):
        def ready(self):
            from django_resilient_queue.contrib import prometheus

            prometheus.register()

A registry in multiprocess mode (``PROMETHEUS_MULTIPROC_DIR``) takes no collectors: there use the
page ``metrics/``, which speaks for all processes anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_resilient_queue.metrics import new_collector

if TYPE_CHECKING:
    from prometheus_client.registry import Collector, CollectorRegistry


def register(registry: CollectorRegistry | None = None) -> Collector:
    """Add the queue's metrics to *registry*, by default to prometheus_client's own.

    Returns the collector, for ``registry.unregister``. Raises MissingExtra without the extra, and
    ValueError when they are in it already.
    """
    collector = new_collector()
    from prometheus_client import REGISTRY

    (registry or REGISTRY).register(collector)
    return collector
