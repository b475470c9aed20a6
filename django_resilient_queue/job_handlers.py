"""The shipped job types: each module registers its own when it is imported."""

from __future__ import annotations

from .handlers.business.export import handler as data_export  # noqa: F401
