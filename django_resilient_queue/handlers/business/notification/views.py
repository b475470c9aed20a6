"""What logged-in users ask and change about their own notifications, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from ....conf import settings
from ....models import Notification, NotificationPreference, PushSubscription, QuietHours
from .channels import CHANNELS, push
from .schemas import (
    Endpoint,
    PageOfNotifications,
    Preferences,
    ReadMarks,
    Subscription,
    UnreadableBody,
    checked,
)

_MOST_COUNTED = 100
_MOST_PREFERENCES = 400
_LONGEST_BODY = 64 * 1024

View = Callable[[HttpRequest], HttpResponse]


def _own(*methods: str) -> Callable[[View], View]:
    """For whoever is logged in, and by these methods; what a schema refuses is answered as 400."""

    def decorate(view: View) -> View:
        @csrf_protect
        @cache_control(private=True, no_store=True)
        @require_http_methods(methods)
        @wraps(view)
        def answer(request: HttpRequest) -> HttpResponse:
            if not request.user.is_authenticated:
                return JsonResponse({"detail": "Log in."}, status=401)
            try:
                return view(request)
            except UnreadableBody as error:
                return JsonResponse(error.errors, status=400)

        return answer

    return decorate


@_own("GET")
def notifications(request: HttpRequest) -> HttpResponse:
    """List the newest first: ``?limit=20&unread=1&before=`` the ``next`` of the page before."""
    wanted = checked(PageOfNotifications, request.GET.dict())
    mine = Notification.objects.using(settings.DATABASE).of(_key(request))
    chosen = mine.unread() if wanted["unread"] else mine
    found = chosen.page(wanted["before"], wanted["limit"] + 1)
    page = found[: wanted["limit"]]
    return JsonResponse(
        {
            "results": [_as_json(each) for each in page],
            "next": page[-1].pk if len(found) > len(page) else None,
            "unread": mine.unread()[:_MOST_COUNTED].count(),  # this many or more
        }
    )


@_own("POST")
def read(request: HttpRequest) -> HttpResponse:
    """Mark as read: ``{"ids": [...]}``, or ``{"until": id}`` for all up to it."""
    marks = checked(ReadMarks, _body(request))
    mine = Notification.objects.using(settings.DATABASE).of(_key(request))
    won = mine.mark_read(marks["ids"]) if "ids" in marks else mine.mark_all_read(marks["until"])
    return JsonResponse({"marked": won})


@_own("GET", "POST", "DELETE")
def subscriptions(request: HttpRequest) -> HttpResponse:
    """Tell the key that browsers subscribe with, take a subscription in, or remove one."""
    if request.method == "GET":
        return _push_key()
    known = PushSubscription.objects.using(settings.DATABASE)
    if request.method == "DELETE":
        was_there = known.remove(_key(request), checked(Endpoint, _body(request))["endpoint"])
        return JsonResponse({"removed": was_there})
    given = checked(Subscription, _body(request))
    is_new = known.register(_key(request), given["endpoint"], **given["keys"])
    return JsonResponse({"registered": True}, status=201 if is_new else 200)


@_own("GET", "POST")
def preferences(request: HttpRequest) -> HttpResponse:
    """Tell what this user wants, or change some of it."""
    if request.method == "POST":
        with transaction.atomic(using=settings.DATABASE):
            _change(_key(request), checked(Preferences, _body(request)))
    mine = NotificationPreference.objects.using(settings.DATABASE).of(_key(request))
    said = [{"type": each.kind, "channel": each.channel, "enabled": each.enabled} for each in mine]
    hours = QuietHours.objects.using(settings.DATABASE).of(_key(request))
    quiet = hours.values("begins", "ends", "time_zone").first()
    channels = list(CHANNELS)
    return JsonResponse({"channels": channels, "preferences": said, "quiet_hours": quiet})


def _change(user_key: str, given: dict[str, Any]) -> None:
    known = NotificationPreference.objects.using(settings.DATABASE)
    for each in given["preferences"]:
        known.set_for(user_key, each["type"], each["channel"], enabled=each["enabled"])
    if known.of(user_key).count() > _MOST_PREFERENCES:
        raise UnreadableBody({"preferences": [f"At most {_MOST_PREFERENCES} of one user."]})
    hours = QuietHours.objects.using(settings.DATABASE)
    if given.get("quiet_hours"):
        hours.update_or_create(user_key=user_key, defaults=given["quiet_hours"])
    elif "quiet_hours" in given:
        hours.of(user_key).delete()


def _push_key() -> HttpResponse:
    channel = CHANNELS[push.NAME]
    if channel.missing_modules or channel.missing():
        return JsonResponse({"detail": "Push is not set up."}, status=404)
    return JsonResponse({"key": push.public_key()})


def _body(request: HttpRequest) -> dict[str, Any]:
    wrong = UnreadableBody({"non_field_errors": ["Send a JSON object."]})
    if int(request.META.get("CONTENT_LENGTH") or 0) > _LONGEST_BODY:
        raise UnreadableBody({"non_field_errors": [f"At most {_LONGEST_BODY} bytes."]})
    if request.content_type != "application/json":
        raise wrong
    try:
        found = json.loads(request.body)
    except (ValueError, RecursionError):
        raise wrong from None
    if not isinstance(found, dict):
        raise wrong
    return found


def _key(request: HttpRequest) -> str:
    return str(request.user.pk)


def _as_json(each: Notification) -> dict[str, Any]:
    return {
        "id": each.pk,
        "type": each.kind,
        "title": each.title,
        "message": each.message,
        "link": each.link,
        "data": each.data,
        "created_at": each.created_at,
        "read_at": each.read_at,
    }
