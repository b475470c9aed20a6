"""The overview as somebody is shown it, and what there is to see."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_resilient_queue.admin.overview import snapshot as sharing
from django_resilient_queue.models import DeadLetter, Outage
from django_resilient_queue.outcomes import Failure, Reason
from tests.health import address
from tests.stores import snapshot

NAME = "admin:django_resilient_queue_overview"
SHARING = "admin.overview.snapshot"
REFUSED = "ConnectionError: Error 111 connecting to localhost:6379. Connection refused."


def page(client: Client, **query: str) -> str:
    sharing.reset()
    answer = client.get(reverse(f"{NAME}_changelist"), query)
    assert answer.status_code == 200
    return answer.text


def live(client: Client, **query: str) -> dict[str, Any]:
    sharing.reset()
    answer = client.get(reverse(f"{NAME}_live"), query)
    assert answer.status_code == 200
    found: dict[str, Any] = json.loads(answer.text)
    return found


def headline(html: str) -> str:
    """The first line, as people read it."""
    start = html.index('<p class="drq-headline">')
    text = html[start : html.index("</p>", start)]
    for tag in ('<p class="drq-headline">', '<strong role="status">', "</strong>", "<span>"):
        text = text.replace(tag, "")
    return text.replace("</span>", "").replace("&#x27;", "'")


def letter(job_id: str, error: str, queue_name: str = "default", **ago: float) -> None:
    failure = Failure(Reason.RAISED, error, "no", "Traceback")
    died_at = timezone.now() - timedelta(**ago)
    made = DeadLetter.of(snapshot(job_id, queue_name), failure, attempts=1, died_at=died_at)
    DeadLetter.objects.record([made])


def outage(**values: Any) -> Outage:
    now = timezone.now()
    values = {"started_at": now, "cause": REFUSED, "broker": address(), **values}
    made: Outage = Outage.objects.create(**values)
    return made
