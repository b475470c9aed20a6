"""What users were told, and what became of it on each channel."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from django_resilient_queue.models import (
    Notification,
    NotificationDelivery,
    NotificationPreference,
    PushSubscription,
)

from .ended import ReadFilter
from .read_only import ReadOnlyAdmin

_OF_A_USER = _("A whole user key")


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    """What users find in the project itself."""

    list_display = ("user_key", "kind", "title", "created_at", "read_at")
    list_filter = (("read_at", ReadFilter),)
    search_fields = ("user_key__exact",)
    search_help_text = _OF_A_USER
    # Sorting by a column without an index would sort the whole table.
    sortable_by = ()
    ordering = ("-pk",)
    deferred = ("message", "data")
    fields = ("user_key", "kind", "title", "message", "link", "created_at", "read_at")


@admin.register(NotificationDelivery)
class NotificationDeliveryAdmin(ReadOnlyAdmin):
    """Which channel carried a notification, and why another did not."""

    list_display = ("user_key", "channel", "state", "reason", "due_at", "changed_at")
    list_filter = ("state",)
    search_fields = ("job_id__exact",)
    search_help_text = _("A whole job id")
    sortable_by = ("changed_at",)
    ordering = ("-pk",)
    fields = ("user_key", "channel", "state", "reason", "job_id", "due_at", "changed_at")


@admin.register(NotificationPreference)
class NotificationPreferenceAdmin(ReadOnlyAdmin):
    """What users do not want."""

    list_display = ("user_key", "kind", "channel", "enabled")
    search_fields = ("user_key__exact",)
    search_help_text = _OF_A_USER
    sortable_by = ()
    fields = list_display


@admin.register(PushSubscription)
class PushSubscriptionAdmin(ReadOnlyAdmin):
    """Browsers that get messages. Where they are sent is as good as a key: it is not shown."""

    list_display = ("user_key", "created_at")
    search_fields = ("user_key__exact",)
    search_help_text = _OF_A_USER
    sortable_by = ()
    ordering = ("-pk",)
    fields = list_display
