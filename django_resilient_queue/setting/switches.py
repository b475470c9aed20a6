"""Settings that are on or off."""

from __future__ import annotations

from collections.abc import Mapping

from .base import Setting, maps_names_to


class Switch(Setting[bool]):
    """True or False."""

    type_rule = "True or False"

    def has_type(self, value: object) -> bool:
        """Take a bool and nothing that merely counts as one."""
        return isinstance(value, bool)


class OutboxChoice(Setting[bool | Mapping[str, bool]]):
    """A switch for all queues, or one for each."""

    type_rule = "True, False, or a dict of queue name to True or False"

    def has_type(self, value: object) -> bool:
        """Take a bool or a dict of them."""
        return isinstance(value, bool) or maps_names_to(bool, value)
