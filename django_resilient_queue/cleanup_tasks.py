"""The shipped tasks of cleanup: each module registers its own when it is imported."""

from __future__ import annotations

from .handlers.business.export import cleaning as _exports  # noqa: F401
from .handlers.business.notification import cleaning as _notifications  # noqa: F401
from .handlers.maintenance.cleanup import files as _files  # noqa: F401
from .handlers.maintenance.cleanup import letters as _letters  # noqa: F401
from .handlers.maintenance.cleanup import sessions as _sessions  # noqa: F401
