"""Job types that the tests of the API submit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rest_framework import serializers

from django_resilient_queue import job_handler
from django_resilient_queue.handlers.registry import registry
from tests.integration.api.types import add, note


@pytest.fixture(autouse=True)
def _types() -> Iterator[None]:
    registry.discover()
    before = dict(registry._found)
    job_handler("sum:add", schema=Sum)(add)
    job_handler("note:write", concurrency=1)(note)
    yield
    registry._found = before


class Sum(serializers.Serializer[None]):
    a = serializers.IntegerField(min_value=0)
    b = serializers.IntegerField(default=1)
