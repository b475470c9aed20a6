"""The shipped job types: each module registers its own when it is imported."""

from __future__ import annotations

from .handlers.business.file_process import handler as _file_process  # noqa: F401
