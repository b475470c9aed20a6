"""Errors as problem details (RFC 9457), on our views alone: the project keeps its own handler."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DatabaseError
from django.db import InterfaceError as DatabaseInterfaceError
from django.http import Http404, JsonResponse
from rest_framework import exceptions as rest
from rest_framework.response import Response

from ..exceptions import (
    EnqueueUncertain,
    InvalidPayload,
    LetterNotDead,
    MissingExtra,
    StoreError,
    StoresUnavailableError,
    UndecodableSnapshot,
    UnknownHandler,
)

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = 5  # seconds: workers close an outage within two of its end
_UNCERTAIN = (
    "No answer in time: it may or may not be carried out."
    " A repeat with the same Idempotency-Key is safe."
)


class Problem(rest.APIException):
    """An error of the API: an HTTP status, a code that stays, and a sentence."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail, code)
        self.status_code, self.code = status, code
        self.errors, self.headers = errors, dict(headers or {})


def unavailable(detail: str) -> Problem:
    """A store is away that this call needs."""
    return Problem(503, "unavailable", detail, headers={"Retry-After": str(RETRY_AFTER)})


def too_large() -> Problem:
    """A body is longer than the project takes."""
    limit = django_settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return Problem(413, "too_large", f"A body may have {limit} bytes.")


def took_too_long() -> JsonResponse:
    """The answer to a call that did not end within the bound."""
    problem = unavailable(_UNCERTAIN)
    return JsonResponse(
        _body(problem), status=503, content_type=CONTENT_TYPE, headers=problem.headers
    )


def handle(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Answer an error; None for what is a mistake of the program, which Django reports."""
    problem = _problem(error)
    if problem is None:
        return None
    return Response(
        _body(problem),
        status=problem.status_code,
        headers=problem.headers,
        content_type=CONTENT_TYPE,
    )


def _problem(error: Exception) -> Problem | None:
    match error:
        case Problem():
            return error
        case Http404():
            return Problem(404, "not_found", "There is nothing under this address.")
        case PermissionDenied():
            return Problem(403, "permission_denied", "You may not do this.")
        case rest.APIException():
            return _of_framework(error)
        case EnqueueUncertain():
            return unavailable(f"Job {error.job_id}: {_UNCERTAIN}")
        case StoreError() | StoresUnavailableError():
            return unavailable("A store that this needs is away; nothing was done.")
        case DatabaseError() | DatabaseInterfaceError():
            return unavailable("The database is away.")
        case _:
            return _of_request(error)


def _of_request(error: Exception) -> Problem | None:
    match error:
        case RequestDataTooBig():  # where something else has read the body before
            return too_large()
        case UnknownHandler():
            return Problem(400, "invalid", "Unknown type.", errors={"type": [str(error)]})
        case InvalidPayload():
            return Problem(400, "invalid", "The payload is refused.", errors={"data": error.errors})
        case MissingExtra():
            return Problem(409, "not_installed", str(error))
        case LetterNotDead():
            return Problem(409, "not_dead", str(error))
        case UndecodableSnapshot():
            return Problem(409, "undecodable", str(error))
    return None


def _of_framework(error: rest.APIException) -> Problem:
    headers = {}
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    if isinstance(error, rest.ValidationError):
        errors = error.detail if isinstance(error.detail, dict) else {"body": error.detail}
        return Problem(400, "invalid", "The request is refused.", errors=errors)
    codes = error.get_codes()
    code = codes if isinstance(codes, str) else error.default_code
    return Problem(error.status_code, code, str(error.detail), headers=headers)


def _body(problem: Problem) -> dict[str, Any]:
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status_code).phrase,
        "status": problem.status_code,
        "code": problem.code,
        "detail": str(problem.detail),
    }
    return body if problem.errors is None else {**body, "errors": problem.errors}
