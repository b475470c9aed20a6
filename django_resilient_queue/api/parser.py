"""Bodies of requests: JSON, read no further than DATA_UPLOAD_MAX_MEMORY_SIZE."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, cast

from django.conf import settings as django_settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from .problem import too_large


class BoundedJSONParser(JSONParser):
    """The REST framework's reads without a bound, and lets the depth of a body end in an error of
    the server."""

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return what the body says. Raises Problem and ParseError."""
        limit = cast(int | None, django_settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        body = stream.read() if limit is None else stream.read(limit + 1)
        if limit is not None and len(body) > limit:
            raise too_large()
        try:
            return super().parse(BytesIO(body), media_type, parser_context)
        except RecursionError:
            raise ParseError("JSON parse error - nested too deeply") from None
