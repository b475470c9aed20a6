"""Jobs of registered handlers on their way in: what is refused, and what is then in the stores."""

from __future__ import annotations

from typing import Any

import pytest

from django_resilient_queue import InvalidPayload, enqueue
from example_project.servers import RedisServer

LETTER = {"ledger": "/dev/null", "to": "ann@example.com", "subject": "hello"}

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_name_and_a_payload_are_a_job(redis_server: RedisServer) -> None:
    job = enqueue("letter:send", LETTER)
    assert (job.origin, job.args, job.description) == ("high", ("letter:send",), "letter:send")
    assert job.retries_left == 3


def test_a_payload_is_refused_with_errors_by_field(redis_server: RedisServer) -> None:
    payload: dict[str, Any] = {**LETTER, "to": "nobody"}
    with pytest.raises(InvalidPayload) as caught:
        enqueue("letter:send", payload)
    assert list(caught.value.errors) == ["to"]
