"""The metrics as a page, and the collector for registries of the project's own."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..exceptions import MissingExtra

if TYPE_CHECKING:
    from .answers import Answers
    from .collector import QueueCollector

_NAME, _MODULE = "metrics", "prometheus_client"


def new_collector() -> QueueCollector:
    """Make a collector. Raises MissingExtra, with the line that installs it, without the extra."""
    if find_spec(_MODULE) is None:
        raise MissingExtra(_NAME, [_MODULE], _NAME)
    from .collector import QueueCollector

    return QueueCollector()


@cache
def page_collector() -> QueueCollector:
    """The one of this process's page, which remembers how workers' heartbeats moved."""
    return new_collector()


def exposition(found: Answers, accept: str = "") -> tuple[bytes, str]:
    """Write answers as text in the form that an ``Accept`` header asks for; returns the text and
    its content type."""
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.registry import Collector, CollectorRegistry

    from .collector import Metric, metrics_of

    class Found(Collector):
        def collect(self) -> list[Metric]:
            return metrics_of(found)

    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Found())
    return encode(registry), content_type
