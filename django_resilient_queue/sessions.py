"""The session of a request, where a page has nothing to do with it."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def leave_session(request: HttpRequest) -> None:
    """Have Django's middleware neither save the session, as ``SESSION_SAVE_EVERY_REQUEST`` says,
    nor wait for a store of it that hangs; unless this request has changed it."""
    session = getattr(request, "session", None)
    if session is not None and not session.modified:
        # To one that is empty, and came with a cookie, the middleware says to delete that.
        request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
        request.session = type(session)()
