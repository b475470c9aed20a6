"""Browsers that take Web Push messages for a user."""

from __future__ import annotations

import hashlib

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .names import NameField

MOST = 10  # of one user: a message to all of them must fit into one attempt


def hash_of(endpoint: str) -> str:
    """Return what an endpoint is looked up by: not every database has unique long texts."""
    return hashlib.sha256(endpoint.encode()).hexdigest()


class PushSubscriptionQuerySet(models.QuerySet["PushSubscription"]):
    """Questions and changes."""

    def of(self, user_key: str) -> PushSubscriptionQuerySet:
        """Those of one user, the newest first."""
        return self.filter(user_key=user_key).order_by("-pk")

    def register(self, user_key: str, endpoint: str, p256dh: str, auth: str) -> bool:
        """Take in a browser; one that another user had goes over. True when it was not known."""
        values = {"user_key": user_key, "endpoint": endpoint, "p256dh": p256dh, "auth": auth}
        _found, created = self.update_or_create(endpoint_hash=hash_of(endpoint), defaults=values)
        kept = list(self.of(user_key).values_list("pk", flat=True)[:MOST])
        if len(kept) == MOST:
            self.of(user_key).exclude(pk__in=kept).delete()
        return created

    def remove(self, user_key: str, endpoint: str) -> bool:
        """Forget a browser; False when this user has none of this endpoint."""
        return self.filter(user_key=user_key, endpoint_hash=hash_of(endpoint)).delete()[0] == 1

    def drop(self, dead: PushSubscription) -> bool:
        """Forget one that its push service has ended, unless it was registered anew meanwhile."""
        return self.filter(pk=dead.pk, auth=dead.auth, p256dh=dead.p256dh).delete()[0] == 1


class PushSubscription(models.Model):
    """One browser: where its messages are posted to, and the keys that it decrypts them by."""

    user_key = NameField(_("user"), max_length=255)
    endpoint = models.TextField(_("endpoint"))
    endpoint_hash = models.CharField(max_length=64, unique=True, editable=False)
    p256dh = models.CharField(max_length=100, editable=False)
    auth = models.CharField(max_length=32, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now)

    objects = PushSubscriptionQuerySet.as_manager()

    class Meta:
        verbose_name = _("push subscription")
        verbose_name_plural = _("push subscriptions")
        ordering = ("-pk",)
        indexes = (models.Index(fields=("user_key",), name="drq_push_user"),)

    def __str__(self) -> str:
        return f"{self.user_key} {self.pk}"
