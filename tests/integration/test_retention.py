"""Letters that have had their time are archived, then deleted; the others stay."""

from __future__ import annotations

import gzip
import json
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone
from pytest_django import Settings

from django_resilient_queue.jobs import JobSnapshot
from django_resilient_queue.models import DeadLetter, FailedAttempt
from django_resilient_queue.outcomes import Failure, Reason
from django_resilient_queue.recovery import retention
from django_resilient_queue.recovery.retention import expire_letters
from tests.stores import snapshot

pytestmark = pytest.mark.django_db

Choose = Callable[..., None]


@pytest.fixture
def choose(settings: Settings) -> Choose:
    def choose(**values: Any) -> None:
        settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, **values}

    return choose


@pytest.fixture
def archive(choose: Choose, settings: Settings, tmp_path: Path) -> Path:
    storage = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    settings.STORAGES = {
        **settings.STORAGES,
        "archive": {**storage, "OPTIONS": {"location": str(tmp_path)}},
    }
    choose(ARCHIVE_STORAGE="archive")
    return tmp_path


def letter(job_id: str, *, days: float, **values: Any) -> DeadLetter:
    """One that died, or was last changed, so many days ago."""
    moment = timezone.now() - timedelta(days=days)
    made = DeadLetter.of(snapshot(job_id), Failure(Reason.RAISED, "E"), attempts=1, died_at=moment)
    DeadLetter.objects.record([made])
    DeadLetter.objects.filter(job_id=job_id).update(changed_at=moment, **values)
    return DeadLetter.objects.get(job_id=job_id)


def left() -> set[str]:
    return set(DeadLetter.objects.values_list("job_id", flat=True))


def test_letters_go_after_their_time_by_what_became_of_them() -> None:
    letter("dead-old", days=31)
    letter("dead-young", days=29)
    for status in ("recovered", "discarded"):
        letter(f"{status}-old", days=8, status=status)
        letter(f"{status}-young", days=6, status=status)
    letter("requeued-old", days=31, status="requeued")
    letter("requeued-young", days=29, status="requeued")
    assert expire_letters() == 4
    assert left() == {"dead-young", "recovered-young", "discarded-young", "requeued-young"}


def test_a_function_may_have_a_time_of_its_own(choose: Choose) -> None:
    choose(DEAD_LETTER_RETENTION_BY_HANDLER={"a.short": 1, "a.long": 365})
    letter("short", days=2, handler="a.short")
    letter("long", days=100, handler="a.long")
    letter("other", days=2)
    expire_letters()
    assert left() == {"long", "other"}


def test_the_history_goes_with_the_letter() -> None:
    for job_id, days in (("old", 31), ("young", 1)):
        found = letter(job_id, days=days)
        attempt = FailedAttempt.of(
            found.snapshot, 0, Failure(Reason.RAISED), worker_name="w", ended_at=found.died_at
        )
        FailedAttempt.objects.record([attempt])
    expire_letters()
    assert [each.job_id for each in FailedAttempt.objects.all()] == ["young"]


def test_no_more_than_a_batch_goes_at_once() -> None:
    for number in range(5):
        letter(f"{number}", days=31)
    assert [expire_letters(2), expire_letters(2), expire_letters(2)] == [2, 2, 1]


def test_a_letter_is_archived_whole_before_it_goes(archive: Path) -> None:
    first, second = letter("a", days=31), letter("b", days=31)
    assert expire_letters() == 2
    [file] = archive.rglob("*.jsonl.gz")
    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert [line["job_id"] for line in lines] == ["a", "b"]
    assert lines[0]["id"] == first.pk
    assert lines[0]["error_class"] == "E"
    assert JobSnapshot.load(b64decode(lines[1]["payload"])) == second.snapshot


def test_what_cannot_be_archived_stays(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    letter("a", days=31)
    monkeypatch.setattr(retention, "archive", refuse)
    with pytest.raises(OSError, match="no space"):
        expire_letters()
    assert left() == {"a"}


@pytest.mark.django_db(transaction=True)
def test_a_letter_that_somebody_has_in_hand_stays_and_is_not_waited_for() -> None:
    held, _ = letter("held", days=31), letter("free", days=31)
    # Where letters can't be locked one by one nobody has one in hand.
    can_skip = connection.features.has_select_for_update_skip_locked
    with ThreadPoolExecutor(1) as pool, transaction.atomic() if can_skip else nullcontext():
        found = DeadLetter.objects.select_for_update() if can_skip else DeadLetter.objects.all()
        found.get(pk=held.pk)
        gone = pool.submit(expire_and_close).result(timeout=60)
    assert (gone, left()) == ((1, {"held"}) if can_skip else (2, set()))


def expire_and_close() -> int:
    try:
        return expire_letters()
    finally:
        connections.close_all()


def refuse(*args: object) -> None:
    raise OSError("no space")
