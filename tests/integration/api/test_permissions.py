"""Nobody does what he may not: each method of each route has a permission of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from django_resilient_queue.api.permissions import ANYBODY
from django_resilient_queue.api.urls import urlpatterns
from tests.rest import ROOT, client

pytestmark = pytest.mark.django_db(transaction=True)
OPEN = {("health/", "GET")}


def routes() -> Iterator[tuple[str, str, str]]:
    for pattern in urlpatterns:
        callback: Any = pattern.callback
        view = callback.view_class
        for method in view.http_method_names:
            if hasattr(view, method) and method != "options":
                yield str(pattern.pattern), method.upper(), view.verbs.get(method.upper(), "none")


ROUTES = [each for each in routes() if (each[0], each[1]) not in OPEN]


@pytest.mark.parametrize(("route", "method", "permission"), ROUTES)
def test_without_its_permission_a_method_is_forbidden(
    route: str, method: str, permission: str
) -> None:
    assert permission != ANYBODY
    codename = Permission.objects.filter(
        codename=permission, content_type__app_label="django_resilient_queue"
    )
    assert codename.exists(), permission
    others = {name for _, _, name in ROUTES} - {permission}
    path = ROOT + re.sub(r"<[^>]+>", "1", route)
    for visitor in (client("nothing"), client(*others)):
        answer = visitor.generic(method, path, "{}", content_type="application/json")
        assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
    nobody = client()
    nobody.credentials()
    nobody.defaults.pop("HTTP_AUTHORIZATION")
    assert nobody.generic(method, path, "{}", content_type="application/json").status_code in (
        401,
        403,
    )
