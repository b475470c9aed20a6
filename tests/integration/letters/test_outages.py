"""Pages of letters, and what is done from them, while Redis is killed or frozen."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from django_resilient_queue.models import DeadLetter, FallbackJob
from example_project.servers import RedisServer
from tests.integration.letters.desk import address, client_of, letter_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.alone]

LONGEST = 0.5  # seconds that a page may wait for Redis
FAULTS = {"killed": RedisServer.kill, "frozen": RedisServer.freeze}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_page_waits_for_redis(redis_server: RedisServer, fault: str) -> None:
    letter, client = letter_of(), client_of()
    pages: list[Callable[[], str]] = [
        lambda: address("changelist"),
        lambda: address("groups"),
        lambda: address("change", letter.pk),
        lambda: address("requeue", letter.pk),
        lambda: address("correct", letter.pk),
        lambda: f"{address('requeue_all')}?ids={letter.pk}",
    ]
    usual = [_seconds(lambda page=page: client.get(page())) for page in pages]  # type: ignore[misc]
    FAULTS[fault](redis_server)
    away = [_seconds(lambda page=page: client.get(page())) for page in pages]  # type: ignore[misc]
    assert [now for now, before in zip(away, usual, strict=True) if now > before + LONGEST] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_letters_are_requeued_and_corrected_without_redis(
    redis_server: RedisServer, fault: str
) -> None:
    plain, wrong, client = letter_of("plain"), letter_of("wrong"), client_of()
    FAULTS[fault](redis_server)
    fields = {"argument-kwargs": '{"city": "Kiel"}', "confirm": "1"}
    waited = [
        _seconds(lambda: client.post(address("requeue", plain.pk), {"queue_name": "default"})),
        _seconds(lambda: client.post(address("correct", wrong.pk), fields)),
    ]
    assert max(waited) < 2 * LONGEST
    assert not DeadLetter.objects.dead().exists()
    assert set(FallbackJob.objects.values_list("job_id", "state")) == {
        ("plain-r1", "ready"),
        ("wrong-r1", "ready"),
    }


def _seconds(do: Callable[[], object]) -> float:
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun
