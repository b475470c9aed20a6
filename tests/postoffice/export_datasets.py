"""What the post office lets be exported; found because this is an installed app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import F
from rest_framework import serializers

from django_resilient_queue import export_dataset
from tests.postoffice.models import Parcel, ParcelQuerySet, Round

COLUMNS = (
    "code",
    "note",
    "weight",
    "pieces",
    "size",
    "is_fragile",
    "posted_on",
    "seen_at",
    "stamps",
)


class ParcelFilter(serializers.Serializer[Any]):
    fragile = serializers.BooleanField(required=False)
    posted_after = serializers.DateField(required=False)


@export_dataset(
    "parcels",
    permission="postoffice.view_parcel",
    columns=COLUMNS,
    filters=ParcelFilter,
    subject="owner",
)
def parcels(user: Any, filters: Mapping[str, Any]) -> ParcelQuerySet:
    found = Parcel.objects.all()
    if "fragile" in filters:
        found = found.filter(is_fragile=filters["fragile"])
    if "posted_after" in filters:
        found = found.filter(posted_on__gt=filters["posted_after"])
    return found


@export_dataset(
    "labels",
    permission="postoffice.view_parcel",
    columns={"Label": "code", "=Owner": "owner_name"},
    subject=lambda rows, user: rows.filter(owner__email=user.email),
    order_by="code",
)
def labels(user: Any, filters: Mapping[str, Any]) -> Any:
    return Parcel.objects.annotate(owner_name=F("owner__username"))


@export_dataset("rounds", permission="postoffice.view_parcel", columns=["postman", "day"])
def rounds(user: Any, filters: Mapping[str, Any]) -> Any:
    return Round.objects.all()


class Watch(serializers.Serializer[Any]):
    ledger = serializers.CharField()
    gate = serializers.CharField()


@export_dataset(
    "watched", permission="postoffice.view_parcel", columns=["code", "pieces"], filters=Watch
)
def watched(user: Any, filters: Mapping[str, Any]) -> ParcelQuerySet:
    return Parcel.objects.all().watched(filters["ledger"], filters["gate"])
