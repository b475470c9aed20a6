"""Letters, somebody who looks at them, and the addresses of their pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_resilient_queue.models import DeadLetter
from django_resilient_queue.outcomes import Failure, Reason
from tests.stores import snapshot

RAISED = Failure(Reason.RAISED, "shop.orders.AddressUnknown", "no street is known")
KWARGS = {"city": "Lübeck", "order": 7, "api_key": "k-123"}
VIEW = "view_deadletter"
REVEAL = "view_sensitive_payload"


def letter_of(
    job_id: str = "job",
    failure: Failure = RAISED,
    *,
    queue_name: str = "default",
    died_at: datetime | None = None,
    kwargs: dict[str, Any] | None = None,
) -> DeadLetter:
    job = snapshot(job_id, queue_name, kwargs=KWARGS if kwargs is None else kwargs)
    letter = DeadLetter.of(job, failure, attempts=3, died_at=died_at or timezone.now())
    DeadLetter.objects.record([letter])
    return DeadLetter.objects.get(job_id=job_id)


def client_of(*permissions: str, **options: Any) -> Client:
    """The browser of a member of staff; without permissions named, of an administrator."""
    name = f"user-{User.objects.count()}"
    user = User.objects.create(username=name, is_staff=True, is_superuser=not permissions)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(set(permissions))
    client = Client(**options)
    client.force_login(user)
    return client


def address(page: str, *args: object) -> str:
    return reverse(f"admin:django_resilient_queue_deadletter_{page}", args=args)
