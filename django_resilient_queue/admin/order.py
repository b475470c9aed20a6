"""The order of our tables on the first page and in the sidebar: what is looked at first, first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite

_APP = "django_resilient_queue"

ORDER = (
    "Overview",
    "DeadLetter",
    "RecoveryRun",
    "FallbackJob",
    "Outage",
    "WorkerHeartbeat",
    "PausedQueue",
    "Alert",
    "AlertSilence",
    "FailedAttempt",
    "RunItem",
    "Notification",
    "NotificationDelivery",
    "NotificationPreference",
    "PushSubscription",
    "Export",
)


def put_in_order(site: AdminSite) -> None:
    """Have a site show our tables in that order. Django knows none but the alphabet's, by which the
    overview is the twelfth; a site whose own `get_app_list` has sorted otherwise keeps that."""
    if not isinstance(site.get_app_list, _InOrder):
        site.get_app_list = _InOrder(site.get_app_list)  # type: ignore[method-assign]


@dataclass(frozen=True, slots=True)
class _InOrder:
    plain: Callable[..., list[Any]]

    def __call__(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps = self.plain(request, app_label)
        for app in apps:
            if app["app_label"] == _APP and _is_alphabetical(app["models"]):
                app["models"].sort(key=_place)
        return apps


def _is_alphabetical(models: list[dict[str, Any]]) -> bool:
    names = [each["name"] for each in models]
    return names == sorted(names)


def _place(model: dict[str, Any]) -> int:
    name = model["object_name"]
    return ORDER.index(name) if name in ORDER else len(ORDER)
