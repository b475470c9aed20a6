"""Notifications as a worker performs them, without one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from django_resilient_queue.handlers.business.notification.delivery import Delivery
from django_resilient_queue.handlers.business.notification.notice import Notice
from django_resilient_queue.handlers.registry import registry
from django_resilient_queue.models import NotificationDelivery, PushSubscription, QuietHours
from tests.peers import Browser

ALL = ["in_app", "email", "push", "sms"]
NUMBER = "+493012345678"


def ann_with(*browsers: Browser) -> User:
    user = User.objects.create_user(
        "ann", "ann@example.com", first_name="de", last_name="+49 30 12345678"
    )
    for browser in browsers:
        register(user, browser)
    return user


def register(user: User, browser: Browser) -> None:
    given = browser.subscription
    PushSubscription.objects.register(str(user.pk), given["endpoint"], **given["keys"])


def payload(ann: User, **changes: Any) -> dict[str, Any]:
    """As it is stored, key and all."""
    given = {"user": str(ann.pk), "title": "Hello", "message": "A parcel.", **changes}
    return registry.get("user:notification").payload(given)


def deliver(user: User, stored: dict[str, Any], job_id: str = "one") -> dict[str, str]:
    """One attempt; the states by channel."""
    data = registry.get("user:notification").validated(stored)
    outcomes = Delivery(Notice(user, data, job_id)).run()
    return {name: outcome["state"] for name, outcome in outcomes.items()}


def notify(user: User, **changes: Any) -> dict[str, str]:
    return deliver(user, payload(user, **changes))


def recorded(user: User) -> dict[str, str]:
    rows = NotificationDelivery.objects.filter(user_key=str(user.pk), target="")
    return dict(rows.values_list("channel", "state"))


def quieten(user: User) -> QuietHours:
    """From an hour ago until in an hour."""
    now = timezone.now()
    made: QuietHours = QuietHours.objects.create(
        user_key=str(user.pk),
        begins=(now - timedelta(hours=1)).time(),
        ends=(now + timedelta(hours=1)).time(),
        time_zone="UTC",
    )
    return made
