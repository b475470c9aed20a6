"""Limits by user, counted in the process's own memory: no Redis, and no database, is asked.

With N processes a user has up to N times the rate; a proxy in front can do better.
"""

from __future__ import annotations

from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle

SUBMIT, RECOVER = "submit", "recover"
_MOST_USERS = 10_000


class LocalThrottle(SimpleRateThrottle):
    """The rate of the view's ``throttle`` in DRF's ``DEFAULT_THROTTLE_RATES``; none, no limit."""

    cache = LocMemCache("drq-throttle", {"OPTIONS": {"MAX_ENTRIES": _MOST_USERS}})

    def __init__(self) -> None:
        """Wait for the view, which has the scope."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count changes; reading is free."""
        self.scope = getattr(view, "throttle", "")
        rate: Any = (api_settings.DEFAULT_THROTTLE_RATES or {}).get(self.scope)
        if request.method in ("GET", "HEAD", "OPTIONS") or not rate:
            return True
        self.rate = rate
        self.num_requests, self.duration = self.parse_rate(self.rate)
        allowed: bool = super().allow_request(request, view)
        return allowed

    def get_cache_key(self, request: Request, view: Any) -> str:
        """Name the user, or the address of one whom nobody knows."""
        pk = getattr(request.user, "pk", None)
        return f"{self.scope}:{pk if pk is not None else self.get_ident(request)}"
