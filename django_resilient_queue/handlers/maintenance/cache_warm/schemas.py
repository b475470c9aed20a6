"""What a payload of cache:warm says."""

from __future__ import annotations

from typing import Any

from django.core.cache import caches
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from .loaders import cache_loaders

_MOST_KEYS = 1000
_YEAR = 365 * 86_400


class CacheWarm(serializers.Serializer[Any]):
    """Either ``keys``, or ``all``. ``ttl``, in seconds, and ``cache``, an alias in CACHES, go
    before the loader's; ``only_missing`` leaves what is there."""

    loader = serializers.CharField(max_length=64)
    # No cache takes blanks, or more than 250 characters with its prefixes.
    keys = serializers.ListField(
        child=serializers.RegexField(r"\A[^\s\x00-\x1f\x7f]+\Z", max_length=150),
        default=list,
        max_length=_MOST_KEYS,
    )
    all = serializers.BooleanField(default=False)
    ttl = serializers.IntegerField(default=None, allow_null=True, min_value=1, max_value=_YEAR)
    cache = serializers.CharField(default="", allow_blank=True, max_length=100)
    only_missing = serializers.BooleanField(default=False)

    def validate_loader(self, name: str) -> Any:
        """Put the loader itself in the place of its name."""
        loader = cache_loaders.find(name)
        if loader is None:
            words = f"{_('No cache loader has this name.')} {cache_loaders.hint(name)}"
            raise serializers.ValidationError(words, "unknown")
        return loader

    def validate_cache(self, alias: str) -> str:
        """Take what CACHES names."""
        if alias and alias not in caches.settings:
            raise serializers.ValidationError(_("No cache has this name in CACHES."), "unknown")
        return alias

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Want one of the two, and ``all`` of those alone that know all their keys."""
        if bool(attrs["keys"]) == attrs["all"]:
            raise serializers.ValidationError({"keys": [_("Either name keys or say all.")]})
        if attrs["all"] and attrs["loader"].keys is None:
            words = _("This loader does not know all its keys: name some.")
            raise serializers.ValidationError({"all": [words]})
        return attrs
