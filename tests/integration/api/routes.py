"""Every method of every route that the URLconf of the API has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from django_resilient_queue.api.urls import urlpatterns
from tests.rest import ROOT


class Route(NamedTuple):
    """One method of one address; ``pattern`` is as the URLconf has it."""

    method: str
    pattern: str
    permission: str


def routes() -> Iterator[Route]:
    for pattern in urlpatterns:
        callback: Any = pattern.callback
        view = callback.view_class
        for method in view.http_method_names:
            if hasattr(view, method) and method != "options":
                permission = view.verbs.get(method.upper(), "none")
                yield Route(method.upper(), str(pattern.pattern), permission)


ROUTES = tuple(routes())


def template(route: Route) -> str:
    """Its address as the OpenAPI document writes it."""
    return ROOT + re.sub(r"<\w+:(\w+)>", r"{\1}", route.pattern).replace("{pk}", "{id}")
