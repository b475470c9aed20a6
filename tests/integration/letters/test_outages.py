"""Pages of letters, and what is done from them, while Redis is killed or frozen."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from django_resilient_queue.models import DeadLetter, FallbackJob
from example_project.servers import RedisServer
from tests.enqueueing import least_seconds
from tests.integration.letters.desk import address, client_of, letter_of

pytestmark = pytest.mark.django_db(transaction=True)

LONGEST = 0.5  # seconds that a page may wait for Redis
FAULTS = {"killed": RedisServer.kill, "frozen": RedisServer.freeze}


@pytest.mark.alone
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

    def quickest() -> list[float]:
        return [least_seconds(lambda page=page: client.get(page())) for page in pages]  # type: ignore[misc]

    usual = quickest()
    FAULTS[fault](redis_server)
    away = quickest()
    assert [now for now, before in zip(away, usual, strict=True) if now > before + LONGEST] == []


@pytest.mark.alone
@pytest.mark.parametrize("fault", FAULTS)
def test_letters_are_requeued_and_corrected_without_redis(
    redis_server: RedisServer, fault: str
) -> None:
    client, requeued, corrected = client_of(), iter("abc"), iter("def")
    letters = {name: letter_of(name) for name in "abcdef"}
    FAULTS[fault](redis_server)
    fields = {"argument-kwargs": '{"city": "Kiel"}', "confirm": "1"}

    def requeue() -> None:
        page = address("requeue", letters[next(requeued)].pk)
        client.post(page, {"queue_name": "default"})

    def correct() -> None:
        client.post(address("correct", letters[next(corrected)].pk), fields)

    assert max(least_seconds(requeue), least_seconds(correct)) < 2 * LONGEST
    assert not DeadLetter.objects.dead().exists()
    found = set(FallbackJob.objects.values_list("job_id", "state"))
    assert found == {(f"{name}-r1", "ready") for name in letters}
