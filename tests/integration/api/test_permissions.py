"""Nobody does what he may not: each method of each route has a permission of its own."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission

from django_resilient_queue.api.permissions import ANYBODY
from tests.integration.api.routes import ROUTES
from tests.rest import ROOT, client

pytestmark = pytest.mark.django_db(transaction=True)
OPEN = {("health/", "GET")}


CLOSED = [each for each in ROUTES if (each.pattern, each.method) not in OPEN]


@pytest.mark.parametrize(("method", "route", "permission"), CLOSED)
def test_without_its_permission_a_method_is_forbidden(
    method: str, route: str, permission: str
) -> None:
    assert permission != ANYBODY
    codename = Permission.objects.filter(
        codename=permission, content_type__app_label="django_resilient_queue"
    )
    assert codename.exists(), permission
    others = {name for _, _, name in CLOSED} - {permission}
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
