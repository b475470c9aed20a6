"""What the tests of exports share: parcels, who may export them, and a job that does."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import django_rq
from django.contrib.auth.models import Permission, User
from rq.job import Job

from django_resilient_queue.conf import settings
from django_resilient_queue.handlers.performing import PERFORM, perform
from django_resilient_queue.models import Export
from tests.postoffice.models import Parcel


def clerk(name: str = "ann", *permissions: str) -> User:
    """A user who may see parcels, or what is named."""
    user = User.objects.create_user(name, f"{name}@example.com", "pw")
    for permission in permissions or ("view_parcel",):
        user.user_permissions.add(Permission.objects.get(codename=permission))
    return user


def hostile_parcels(owner: User | None = None) -> list[Parcel]:
    """One of each kind of value, and of each kind of trouble."""
    notes = (
        "=1+1",
        "+49 30 1234",
        "-5",
        "@SUM(A1)",
        "\tcmd",
        "\rcmd",
        "  =HYPERLINK(1)",
        'a "quoted", one\nof two lines',
        "Ünïcödé ✓ 漢字",
        "<b>&amp;</b>",
        "https://example.com",
        "x" * 40_000,
        "ctrl \x01 \x0b",
        "'=1",
        "",
    )
    made = [Parcel(code=f"p{n:02}", note=note, owner=owner) for n, note in enumerate(notes)]
    made[0].weight, made[1].weight = Decimal("-12.5000"), Decimal("1234567890123456.7891")
    made[0].pieces, made[1].pieces = -3, 2**62
    made[0].size, made[0].is_fragile = -0.5, True
    made[0].posted_on, made[1].posted_on = date(2030, 1, 2), date(1850, 6, 7)
    made[0].seen_at = datetime(2030, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    made[0].stamps = {"a": [1, None], "=b": "ü"}
    Parcel.objects.bulk_create(made)
    return made


def many_parcels(count: int) -> None:
    Parcel.objects.bulk_create([Parcel(code=f"p{n:06}", pieces=n) for n in range(count)])


def payload(user: User, **values: Any) -> dict[str, Any]:
    """A payload for the parcels as csv, or as told."""
    if "subject" not in values:
        values.setdefault("dataset", "parcels")
    return {"user": str(user.pk), **values}


def job_of(values: dict[str, Any], job_id: str = "one", **meta: Any) -> Job:
    """A job as in a horse: `perform` it."""
    connection = django_rq.get_connection()
    job = Job.create(PERFORM, ("data:export",), values, id=job_id, connection=connection)
    job.meta = meta
    job.save_meta = lambda: None  # type: ignore[method-assign]
    return job


def export(user: User, **values: Any) -> Export:
    """Performs the handler, outside of a job."""
    data = perform("data:export", **payload(user, **values))
    assert isinstance(data, dict)
    assert data["data"] is not None
    found: Export = Export.objects.get(pk=data["data"]["export"])
    return found


def path_of(export: Export) -> Path:
    from django.core.files.storage import storages

    return Path(storages[export.storage].path(export.path))


def spool() -> list[Path]:
    return [path for path in Path(settings.EXPORT_SPOOL).rglob("*") if path.is_file()]
