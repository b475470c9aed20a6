"""What an export enqueues when it is ready: jobs that the shipped handlers take and perform."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail
from pytest_django import Settings

from django_resilient_queue import get_job, get_queue
from django_resilient_queue.handlers.business.export.announcing import announce
from django_resilient_queue.handlers.business.export.orders import Order
from django_resilient_queue.handlers.performing import perform
from django_resilient_queue.handlers.registry import registry
from django_resilient_queue.models import Export, Notification
from example_project.servers import RedisServer
from tests.integration.handlers.exports import clerk, export, many_parcels, payload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("folders")]
HANDLERS = {"email": "email:send", "notification": "user:notification"}


@pytest.fixture
def site(settings: Settings) -> None:
    known = {"EXPORT_URL": "https://shop.example/", "NOTIFICATION_CHANNELS": ["in_app"]}
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, **known}


@pytest.mark.parametrize("mode", ["redis", "database"])
def test_who_asks_to_be_told_is_told_by_jobs_of_the_shipped_handlers(
    mode: str, redis_server: RedisServer, settings: Settings, site: None
) -> None:
    if mode == "database":
        redis_server.kill()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    many_parcels(3)
    ann = clerk()
    made = export(ann, notify=list(HANDLERS))

    for channel, handler in HANDLERS.items():
        found = get_job(f"{made.token}-{channel}")
        assert found is not None
        assert found.job is not None
        assert (tuple(found.job.args), found.backend) == ((handler,), mode)
        stored: dict[str, Any] = found.job.kwargs
        assert registry.get(handler).payload(stored) == stored
        done = perform(handler, **stored)
        assert isinstance(done, dict)
        assert done["success"]
    link = "https://shop.example/exports/"
    (sent,) = mail.outbox
    assert sent.to == ["ann@example.com"]
    told = Notification.objects.get(user_key=str(ann.pk))
    assert sent.subject == told.title == "Your export is ready"
    assert link in sent.body
    assert link in told.message


def test_a_run_that_nobody_knows_to_have_told_tells_the_list_once(
    redis_server: RedisServer, site: None
) -> None:
    """A kill between the jobs and their record, and whether or not they have run by then."""
    many_parcels(3)
    ann = clerk()
    made = export(ann, notify=["notification"])
    order: Order = registry.get("data:export").validated(payload(ann, notify=["notification"]))[
        "order"
    ]
    for performed in (0, 1):
        Export.objects.update(announced_at=None)
        made.refresh_from_db()
        announce(order, made)
        assert Notification.objects.count() == performed
        queue = get_queue("default")
        assert queue.job_ids == [f"{made.token}-notification"]
        job = queue.fetch_job(queue.job_ids[0])
        assert job is not None
        job.perform()
        queue.remove(job)
        job.delete()
    assert Notification.objects.count() == 1
