"""What tests warm in workers; found because this is an installed app."""

from __future__ import annotations

from django_resilient_queue import cache_loader


@cache_loader("postage", ttl=600, keys=lambda: ["letter", "parcel", "lost"], cache="shared")
def postage(kind: str) -> int:
    return {"letter": 95, "parcel": 549}[kind]
