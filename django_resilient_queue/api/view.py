"""What all our views have in common: bounded, permitted verb by verb, problems in one form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from .. import crew
from ..conf import settings
from ..reports import kept_out_of_reports
from ..sessions import leave_session
from ..stores import patience
from ..stores.guard import outside_transactions
from .parser import BoundedJSONParser
from .permissions import VerbPermission
from .problem import handle, took_too_long
from .throttles import LocalThrottle


# ATOMIC_REQUESTS would ask the database first, and hold an answer back until its commit.
@method_decorator(outside_transactions, name="dispatch")
class QueueView(APIView):
    """``verbs`` names the permission of each method; authentication is as DRF's settings say."""

    verbs: ClassVar[Mapping[str, str]]
    throttle = ""
    permission_classes = (VerbPermission,)
    throttle_classes = (LocalThrottle,)
    renderer_classes = (JSONRenderer,)
    parser_classes = (BoundedJSONParser,)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer within API_TIMEOUT."""
        # In a thread of its own, whose frames a report would tell of.
        answer = kept_out_of_reports(patience.bounded()(super().dispatch))
        try:
            response: HttpResponseBase = crew.crew.run(
                lambda: answer(request, *args, **kwargs), settings.API_TIMEOUT
            )
        except crew.TookTooLong:
            leave_session(request)
            return took_too_long()
        return response

    def get_exception_handler(self) -> Callable[..., Any]:
        """Use ours, whatever the project's is."""
        return handle


def checked(serializer: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """Return the valid body of a request. Raises DRF's ValidationError."""
    form = serializer(data=request.data)
    form.is_valid(raise_exception=True)
    found: dict[str, Any] = form.validated_data
    return found


def asked(serializer: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """Return the valid query of a request. Raises DRF's ValidationError."""
    # Of a query the framework would ignore what is empty.
    form = serializer(data=request.query_params.dict())
    form.is_valid(raise_exception=True)
    found: dict[str, Any] = form.validated_data
    return found


def name_of(request: Request) -> str:
    """Name the user, as letters and pauses keep it."""
    user = request.user
    return str(user.get_username() if hasattr(user, "get_username") else user)[:200]
