"""One permission of Django's for each verb of each view."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

APP = "django_resilient_queue"
ANYBODY = ""  # in the place of a permission


class VerbPermission(BasePermission):
    """The user has what the view's ``verbs`` name for the method. A method that they do not name is
    refused, so that nothing is open by having been forgotten."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Ask Django's permission system."""
        name = view.verbs.get(request.method)
        if name == ANYBODY:
            return True
        user: Any = request.user  # None where UNAUTHENTICATED_USER is
        return bool(name and user and user.is_authenticated and has(request, name))


def has(request: Request, name: str) -> bool:
    """Tell whether the user of a request has a permission of this app."""
    user: Any = request.user
    return bool(user and user.has_perm(f"{APP}.{name}"))
