"""Links to exported files: for one user, for some time, with a permission that still holds."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from django_resilient_queue import get_job
from django_resilient_queue.handlers.business.export import announcing
from django_resilient_queue.handlers.business.export.links import path_of as link_of
from django_resilient_queue.handlers.business.export.links import sign
from django_resilient_queue.models import Export, FallbackJob
from tests.integration.handlers.exports import clerk, export, job_of, many_parcels, path_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("folders", "redis_server"),
]


@pytest.fixture
def ann() -> User:
    return clerk()


@pytest.fixture
def made(ann: User) -> Export:
    many_parcels(3)
    return export(ann)


def get(user: User | None, path: str) -> Any:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client.get(path)


def test_its_user_gets_the_file(ann: User, made: Export) -> None:
    response = get(ann, link_of(made))
    assert response.status_code == 200
    assert b"".join(response.streaming_content) == path_of(made).read_bytes()
    disposition = response["Content-Disposition"]
    assert disposition == f'attachment; filename="parcels-{timezone.now():%Y-%m-%d}.csv"'
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cache-Control"] == "private, no-store"
    response.close()


def test_nobody_gets_it_without_logging_in(made: Export) -> None:
    link = link_of(made)
    response = get(None, link)
    assert response.status_code == 302
    assert quote(link) in response["Location"]


def test_to_another_user_it_is_not_there(made: Export) -> None:
    root = User.objects.create_superuser("root")
    assert get(root, link_of(made)).status_code == 404


def test_who_lost_the_permission_gets_nothing(ann: User, made: Export) -> None:
    ann.user_permissions.clear()
    assert get(ann, link_of(made)).status_code == 403


def test_who_is_not_active_any_more_gets_nothing(ann: User, made: Export) -> None:
    client = Client()
    client.force_login(ann)
    User.objects.filter(pk=ann.pk).update(is_active=False)
    assert client.get(link_of(made)).status_code == 302


def test_a_link_that_was_changed_opens_nothing(ann: User, made: Export) -> None:
    link = link_of(made)
    assert get(ann, link[:-1] + ("a" if link[-1] != "a" else "b")).status_code == 404
    assert get(ann, f"/exports/{made.token}").status_code == 404
    assert get(ann, f"/exports/{made.path}").status_code == 404


@pytest.mark.parametrize(
    "values", [{"expires_at": timezone.now()}, {"state": "expired"}], ids=["past", "expired"]
)
def test_a_file_whose_time_is_over_is_not_there(
    ann: User, made: Export, values: dict[str, Any]
) -> None:
    Export.objects.update(**values)
    assert get(ann, link_of(made)).status_code == 404


def test_a_link_has_its_own_time(ann: User, made: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    Export.objects.update(expires_at=timezone.now() + timedelta(days=900))
    now = timezone.now().timestamp()
    with monkeypatch.context() as patched:
        patched.setattr("django.core.signing.time.time", lambda: now - 8 * 86_400)
        old = sign(made)
    assert get(ann, f"/exports/{old}").status_code == 404


def test_a_file_that_its_storage_has_lost_is_not_there(ann: User, made: Export) -> None:
    path_of(made).unlink()
    assert get(ann, link_of(made)).status_code == 404


@pytest.mark.parametrize("verb", ["post", "put", "delete"])
def test_a_link_is_only_for_reading(ann: User, made: Export, verb: str) -> None:
    client = Client()
    client.force_login(ann)
    assert getattr(client, verb)(link_of(made)).status_code == 405


def test_a_user_gets_their_own_data_without_a_permission() -> None:
    bob = User.objects.create_user("bob")
    made = export(bob, subject=str(bob.pk))
    response = get(bob, link_of(made))
    assert response["Content-Type"] == "application/zip"
    assert b"".join(response.streaming_content)[:2] == b"PK"
    response.close()


def test_the_file_is_named_unguessably_and_beside_no_other(made: Export, folders: Path) -> None:
    name = path_of(made).relative_to(folders / "media")
    assert name.parent == Path("exports")
    assert len(name.stem) >= 43


def test_who_asks_to_be_told_is_told_with_a_link(
    ann: User, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "EXPORT_URL": "https://shop.example/"}
    channels = {"email": "tidy", "notification": "tidy"}  # a handler that takes any payload
    places = ("announcing", "orders")
    for place in places:
        module = f"django_resilient_queue.handlers.business.export.{place}.CHANNELS"
        monkeypatch.setattr(module, channels)
    told: list[Any] = []

    def submit(name: str, payload: Any, **options: Any) -> None:
        told.append((name, payload, options))

    monkeypatch.setattr(announcing, "submit", submit)
    made = export(ann, notify=["email", "notification"])
    (_, mail, options), (_, note, _) = told
    link = "https://shop.example/exports/"
    assert mail["to"] == ["ann@example.com"]
    assert link in mail["body"]
    assert link in note["message"]
    assert options == {"job_id": f"{made.token}-email"}
    assert Export.objects.get().announced_at is not None


def test_the_jobs_that_tell_are_there_once(ann: User, settings: Any) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "EXPORT_URL": "https://shop.example"}
    notify = ["email", "notification"]
    job = job_of({"user": str(ann.pk), "dataset": "parcels", "notify": notify})
    for _ in range(2):
        job.perform()
        Export.objects.update(announced_at=None)  # the first had no time to note it
    made = Export.objects.get()
    told = [f"{made.token}-email", f"{made.token}-notification"]
    assert sorted(FallbackJob.objects.values_list("job_id", flat=True)) == sorted(told)
    for job_id, handler in zip(told, ("email:send", "user:notification"), strict=True):
        info = get_job(job_id)
        assert info is not None
        assert info.job is not None
        assert (info.state, info.job.args) == ("waiting", (handler,))
