"""What has been counted by all processes: sums that only grow, a row for each key and shard.

Processes add to rows of a shard each, so that they seldom wait for one another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any
from uuid import UUID

from django.db import connections, models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..meter import BUCKETS, Key, Sums
from .names import NameField

SHARDS = 8
BUCKET_COLUMNS = tuple(f"bucket_{n:02}" for n in range(BUCKETS))
SUMMED = ("count", "failed", "retried", "seconds", *BUCKET_COLUMNS)
_ROWS = 30  # in one statement: SQLite takes 999 parameters


class MeasureQuerySet(models.QuerySet["Measure"]):
    """The one way in."""

    def add(self, sums: Mapping[Key, Sums], *, shard: int) -> None:
        """Add to the rows of a shard, making those that are not there; in one transaction."""
        now = timezone.now()
        rows = [_row(key, each, shard, now) for key, each in sums.items()]
        rows.sort(key=lambda row: row["id"].int)  # everybody in one order, or two wait for another
        for start in range(0, len(rows), _ROWS):
            self._upsert(rows[start : start + _ROWS])

    def _upsert(self, rows: Sequence[Mapping[str, Any]]) -> None:
        # Django's own upsert replaces what is there; this one adds to it.
        connection = connections[self.db]
        quote = connection.ops.quote_name
        fields = self.model._meta.concrete_fields
        table = quote(self.model._meta.db_table)
        columns = ", ".join(quote(field.attname) for field in fields)
        places = f"({', '.join(['%s'] * len(fields))})"
        sums = ", ".join(_adding(connection.vendor, table, quote(name)) for name in SUMMED)
        conflict = "ON CONFLICT (id) DO UPDATE SET"
        if connection.vendor == "mysql":
            conflict = "ON DUPLICATE KEY UPDATE"
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} ({columns}) VALUES"  # noqa: S608 - of names alone
                f" {', '.join([places] * len(rows))} {conflict} {sums}",
                [f.get_db_prep_save(row[f.name], connection) for row in rows for f in fields],
            )


class Measure(models.Model):
    """So often, and so long, in one shard. The columns' meaning is that of `meter.Sums`."""

    id = models.UUIDField(primary_key=True, editable=False)
    kind = NameField(_("kind"), max_length=12)
    queue_name = NameField(_("queue"), max_length=200, blank=True, default="")
    job_type = NameField(_("job type"), max_length=255, blank=True, default="")
    store = NameField(_("store"), max_length=10, blank=True, default="")
    detail = NameField(_("detail"), max_length=40, blank=True, default="")
    shard = models.PositiveSmallIntegerField(editable=False)
    since = models.DateTimeField(_("since"))
    count = models.PositiveBigIntegerField(_("count"))
    failed = models.PositiveBigIntegerField(_("failed"))
    retried = models.PositiveBigIntegerField(_("retried"))
    seconds = models.FloatField(_("seconds"))

    objects = MeasureQuerySet.as_manager()

    class Meta:
        verbose_name = _("measure")
        verbose_name_plural = _("measures")

    def __str__(self) -> str:
        return f"{self.kind} {self.queue_name} {self.job_type} {self.count}"


for _name in BUCKET_COLUMNS:
    Measure.add_to_class(_name, models.PositiveBigIntegerField(editable=False))


def _row(key: Key, sums: Sums, shard: int, now: Any) -> dict[str, Any]:
    words = "\0".join((*key, str(shard)))
    digest = blake2b(words.encode("utf-8", "backslashreplace"), digest_size=16).digest()
    return {
        "id": UUID(bytes=digest, version=4),  # MariaDB takes no other
        **key._asdict(),
        "shard": shard,
        "since": now,
        **dict(zip(SUMMED, _flat(sums), strict=True)),
    }


def _flat(sums: Sums) -> Iterable[float]:
    return sums.count, sums.failed, sums.retried, sums.seconds, *sums.buckets


def _adding(vendor: str, table: str, column: str) -> str:
    if vendor == "mysql":
        return f"{column} = {column} + VALUES({column})"
    return f"{column} = {table}.{column} + excluded.{column}"
