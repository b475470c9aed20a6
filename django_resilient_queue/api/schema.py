"""What the OpenAPI document says that the code alone does not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
)
from rest_framework import serializers

from ..handlers.registry import registry
from .fields import word
from .forms import MOST_AT_ONCE, JobForm, JobOptions, ProblemDetails, Strict
from .idempotency import HEADER, REPLAYED
from .idempotency import KEY as KEY_PATTERN
from .links import links_of
from .permissions import ANYBODY
from .problem import CONTENT_TYPE

_PACKAGE = __name__.partition(".")[0] + "."
_PREFIX = "Queue"  # of our components: the document is the project's
_KEY_OF_ROW = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}
_KEYS = ("id", "pk")

KEY = OpenApiParameter(
    HEADER,
    str,
    OpenApiParameter.HEADER,
    description="Chosen by the client, another for each request that is meant. Repeats within 24"
    " hours get the first answer: so a request without an answer is safely sent again.",
    pattern=KEY_PATTERN,
)
_SUCCESSES = {200: "Done.", 201: "Accepted.", 202: "Accepted: workers carry it out."}
_PROBLEMS = {
    400: "The request is refused; `errors` says why, by field.",
    401: "Nobody is logged in.",
    403: "The user may not do this.",
    404: "There is nothing under this address.",
    406: "Answers are in JSON alone.",
    409: "Not as things stand; `code` says why. `in_progress`: the first request with this"
    f" {HEADER} is still at work.",
    413: "The body is longer than the project takes.",
    415: "Requests are in JSON alone.",
    422: f"This {HEADER} came with another body before.",
    429: "Too many requests of this user.",
    503: "A store that this needs is away, or did not answer in time; a repeat with the same"
    f" {HEADER} is safe.",
}
_TAGS = {
    "jobs": "Queue jobs",
    "queues": "Queues",
    "letters": "Dead letters",
    "runs": "Recovery runs",
    "stored": "Stored jobs",
    "outages": "Outages",
    "workers": "Workers",
    "health": "Queue health",
}
_LETTER: dict[str, Any] = {
    "type": "email:send",
    "data": {"to": ["ann@example.com"], "subject": "Your order", "body": "Thank you!"},
    "options": {"priority": 10, "delay": 60_000},
}


def header(name: str, kind: Any, *statuses: int, always: bool = False, means: str) -> Any:
    """Describe a header of answers."""
    return OpenApiParameter(
        name,
        kind,
        OpenApiParameter.HEADER,
        required=always,
        response=list(statuses),
        description=means,
    )


LOCATION = header("Location", str, 201, 202, always=True, means="The address of what was made.")
_ALWAYS = (
    header("WWW-Authenticate", str, 401, means="How to log in."),
    header("Retry-After", int, 409, 429, 503, means="Seconds until a repeat makes sense."),
)
_ONCE = (
    KEY,
    header(REPLAYED, {"type": "string", "enum": ["true"]}, 200, 201, 202, means="A repeat."),
)


def described(
    success: dict[int, Any],
    *problems: int,
    request: Any = None,
    parameters: tuple[Any, ...] = (),
    once: bool = False,
    example: dict[str, Any] | Callable[[], dict[str, Any]] | None = None,
    **more: Any,
) -> Callable[[Any], Any]:
    """Describe one operation: its answers, the problems that every one may meet, and *example*, the
    body of a request or what makes one when the document is made."""
    every = {401, 403, 406, 503, *problems} | ({400, 409, 415, 422, 429} if once else set())
    every |= {400, 413, 415, 429} if request is not None else set()
    answers: dict[Any, Any] = {
        status: OpenApiResponse(answer, _SUCCESSES.get(status, "As it says."))
        for status, answer in success.items()
    }
    for status in sorted(every):
        answers[status, CONTENT_TYPE] = OpenApiResponse(ProblemDetails, _PROBLEMS[status])
    extended = extend_schema(
        request=request,
        responses=answers,
        parameters=[*parameters, *_ALWAYS, *(_ONCE if once else ())],
        **more,
    )
    needs_body = request is ANY_JOB or bool(getattr(request, "together", None))

    def describe(method: Any) -> Any:
        method = extended(method)
        own = {"needs_body": needs_body, "example": staticmethod(lambda: example)}
        method.kwargs["schema"] = type("Schema", (_Ours, method.kwargs["schema"]), own)
        return method

    return describe


class _Ours:
    """What no option of `extend_schema` says, over whatever class the project has made default."""

    needs_body = False  # also where no field of it is required
    example: Any = None

    def get_operation(self, *args: Any) -> Any:
        """Add links; and keys are numbers, which a pattern of an address can't say."""
        ANY_JOB.serializers = _jobs_by_type  # it keeps what it was told the first time
        operation: Any = super().get_operation(*args)  # type: ignore[misc]
        if operation is None:
            return None
        for each in operation.get("parameters", ()):
            if each["in"] == "path" and each["name"] in _KEYS:
                each["schema"] = dict(_KEY_OF_ROW)
        if self.needs_body:
            operation["requestBody"]["required"] = True
        if links := links_of(operation["operationId"]):
            for status, answer in operation["responses"].items():
                if status.startswith("2"):
                    answer["links"] = links
        return operation

    def get_summary(self) -> Any:
        """Say it in the words of the operation's id."""
        operation_id: Any = self.get_operation_id()  # type: ignore[attr-defined]
        return operation_id.replace("_", " ").capitalize()

    def get_tags(self) -> Any:
        """Sort operations by the module of their view."""
        view: Any = self.view  # type: ignore[attr-defined]
        return [_TAGS.get(type(view).__module__.rpartition(".")[2], _PREFIX)]

    def get_examples(self) -> Any:
        """Show a request."""
        found: Any = super().get_examples()  # type: ignore[misc]
        example = self.example()
        value = example() if callable(example) else example
        return [*found, OpenApiExample("Request", value, request_only=True)] if value else found

    def get_auth(self) -> Any:
        """Nobody has to log in where anybody is answered."""
        ways: Any = super().get_auth()  # type: ignore[misc]
        view: Any = self.view  # type: ignore[attr-defined]
        is_open = view.verbs.get(self.method) == ANYBODY  # type: ignore[attr-defined]
        return [*ways, {}] if is_open else ways

    def get_serializer_name(self, serializer: Any, direction: Any) -> Any:
        """Keep our names apart from the project's."""
        name = super().get_serializer_name(serializer, direction)  # type: ignore[misc]
        is_ours = type(serializer).__module__.startswith(_PACKAGE)
        return f"{_PREFIX}{name.removeprefix(_PREFIX)}" if is_ours else name


class StrictExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Says that unknown fields are refused, and what a form itself says of its fields together."""

    target_class = Strict
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        """Describe a form."""
        described = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        for name, each in described.get("properties", {}).items():
            match each.get("oneOf"):
                # "" fits both, and fitting both is not fitting one.
                case [dict() as text, {"maxLength": 0}]:
                    described["properties"][name] = text
        return {**described, "additionalProperties": False, **self.target.together}


def _jobs_by_type() -> dict[str, Any]:
    registry.discover()
    found: dict[str, Any] = {handler.name: handler.schema for handler in registry}
    return {name: _form_of(name, found[name]) for name in sorted(found)}


@cache  # another class of the same name would be a clash
def _form_of(name: str, schema: Any) -> type[serializers.Serializer[Any]]:
    """The form of one type: what `JobForm` has, with the handler's own payload."""
    # Fields stand in the order in which they are made.
    fields: dict[str, Any] = {"type": word(name), "data": serializers.DictField(required=False)}
    words = name.replace(":", " ").replace("_", " ").replace("-", " ").title().replace(" ", "")
    of_module = {"__module__": __name__}
    if isinstance(schema, type) and issubclass(schema, serializers.Serializer):
        doc = {"__doc__": schema.__doc__ or f"The payload of {name}."}
        bases = (schema,) if issubclass(schema, Strict) else (Strict, schema)
        fields["data"] = type(f"{words}Payload", bases, {**of_module, **doc})()
    fields |= {"options": JobOptions(required=False), "__doc__": JobForm.__doc__}
    return type(f"Job{words}", (Strict,), {**of_module, **fields})


def a_job() -> dict[str, Any]:
    """Return an order of a shipped type, none where the project does without it."""
    return _LETTER if _LETTER["type"] in registry else {}


def some_jobs() -> dict[str, Any]:
    """Return some orders, as `a_job`."""
    return {"jobs": [job]} if (job := a_job()) else {}


ANY_JOB = PolymorphicProxySerializer(
    component_name=f"{_PREFIX}Job", serializers=_jobs_by_type, resource_type_field_name="type"
)


class Batch(Strict):
    """Many jobs: either all are valid, or none is accepted."""

    jobs = serializers.ListField(child=ANY_JOB, min_length=1, max_length=MOST_AT_ONCE)
