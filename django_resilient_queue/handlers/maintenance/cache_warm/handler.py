"""The job type cache:warm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.checks import register

from ....checks import TAG
from ...registry import job_handler
from .checks import check_cache_loaders
from .schemas import CacheWarm
from .warming import Warming

_HALF_AN_HOUR = 1800


@job_handler("cache:warm", schema=CacheWarm, timeout=_HALF_AN_HOUR)
def warm(data: Mapping[str, Any]) -> dict[str, Any]:
    """Load each key and write it to the cache; return how many had which outcome."""
    return Warming(data["loader"], data).run()


register(check_cache_loaders, TAG)
