"""The shipped job types: each module registers its own when it is imported."""

from __future__ import annotations

from .handlers.business.email_send import handler as _email_send  # noqa: F401
from .handlers.business.export import handler as _export  # noqa: F401
from .handlers.business.file_process import handler as _file_process  # noqa: F401
from .handlers.business.notification import handler as _notification  # noqa: F401
from .handlers.maintenance.cache_warm import handler as _cache_warm  # noqa: F401
from .handlers.maintenance.cleanup import handler as _cleanup  # noqa: F401
