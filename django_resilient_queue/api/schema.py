"""What the OpenAPI document says that the code alone does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
)
from rest_framework import serializers

from ..handlers.registry import registry
from .forms import JobForm, JobOptions, ProblemDetails, Strict, word
from .idempotency import HEADER
from .problem import CONTENT_TYPE

KEY = OpenApiParameter(
    HEADER,
    str,
    OpenApiParameter.HEADER,
    description="Repeats within 24 hours get the first answer.",
    pattern=r"^[\x21-\x7e]{1,255}$",
)


def described(
    success: dict[int, Any],
    *problems: int,
    request: Any = None,
    parameters: tuple[Any, ...] = (),
    once: bool = False,
    **more: Any,
) -> Callable[[Any], Any]:
    """Describe one operation: its answers, and the problems that every one may meet."""
    every = {401, 403, 406, 503, *problems} | ({400, 409, 415, 422, 429} if once else set())
    every |= {400, 415, 429} if request is not None else set()
    answers: dict[Any, Any] = dict(success)
    for status in sorted(every):
        answers[status, CONTENT_TYPE] = OpenApiResponse(ProblemDetails, "A problem.")
    return extend_schema(
        request=request,
        responses=answers,
        parameters=[*parameters, *([KEY] if once else [])],
        **more,
    )


def _jobs_by_type() -> dict[str, Any]:
    registry.discover()
    return {name: _form_of(name) for name in sorted(handler.name for handler in registry)}


def _form_of(name: str) -> type[serializers.Serializer[Any]]:
    """The form of one type: what `JobForm` has, with the handler's own payload."""
    schema: Any = registry.get(name).schema
    is_form = isinstance(schema, type) and issubclass(schema, serializers.Serializer)
    fields: dict[str, Any] = {
        "type": word(name),
        "data": schema() if is_form else serializers.DictField(required=False),
        "options": JobOptions(required=False),
        "__module__": __name__,
        "__doc__": JobForm.__doc__,
    }
    words = name.replace(":", " ").replace("_", " ").replace("-", " ").title()
    return type(f"Job{words.replace(' ', '')}", (Strict,), fields)


ANY_JOB = PolymorphicProxySerializer(
    component_name="Job", serializers=_jobs_by_type, resource_type_field_name="type"
)
