"""How many dead letters there are, of what kind and from when: sums, so that nobody counts letters.

Each change of letters appends to the table what it adds and takes away, in its own transaction: an
INSERT waits for nobody. A worker folds the rows of one key into one from time to time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

from django.db import IntegrityError, models
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDay, TruncHour
from django.utils.translation import gettext_lazy as _

from .names import NameField

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)  # the period of sums that say nothing of time
KIND = ("handler", "queue_name", "priority", "reason", "category", "error_class")
# Ages are told in hours up to a day and in days up to a week; a little longer than that, as the
# clocks of those who write and those who read may differ.
_HOURS_KEPT = timedelta(hours=26)
_DAYS_KEPT = timedelta(days=8)
_FEW = 500  # letters that are fetched to be counted


class Grain(models.IntegerChoices):
    """How long a period is: the older, the longer, so that there are few."""

    HOUR = 0, _("hour")
    DAY = 1, _("day")
    EVER = 2, _("ever")


class Key(NamedTuple):
    """What a sum is of. One with a fingerprint says nothing of time, one with time has none: both
    together would make nearly as many sums as there are letters."""

    status: str
    handler: str
    queue_name: str
    priority: int
    reason: str
    category: str
    error_class: str
    fingerprint: str
    grain: int
    period: datetime

    def at(self, now: datetime) -> Key:
        """Return the key that this sum belongs to by now; a period never gets shorter."""
        grain, period = period_of(self.period, now)
        return self._replace(grain=grain, period=period) if grain > self.grain else self

    @classmethod
    def of_kind(cls, kind: Iterable[Any], *when: Any) -> Key:
        """Make the key of a status and the columns of KIND."""
        return cls._make((*kind, "", *when))

    @classmethod
    def of_print(cls, kind: Iterable[Any], fingerprint: str) -> Key:
        """The same for a fingerprint, whatever the time."""
        return cls._make((*kind, fingerprint, Grain.EVER, ALWAYS))

    @property
    def digest(self) -> str:
        """What rows of the same key have in common: 32 hex digits."""
        words = "\0".join(str(each) for each in (*self[:-1], self.period.timestamp()))
        return blake2b(words.encode(), digest_size=16).hexdigest()


def period_of(moment: datetime, now: datetime) -> tuple[int, datetime]:
    """Return the grain and the start of the period that a death at *moment* is counted in."""
    hours_from, days_from = _limits(now)
    hour = start_of_hour(moment)
    if hour < days_from:
        return Grain.EVER, ALWAYS
    return (Grain.DAY, start_of_day(hour)) if hour < hours_from else (Grain.HOUR, hour)


def start_of_hour(moment: datetime) -> datetime:
    """Return the start of its hour, in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def start_of_day(moment: datetime) -> datetime:
    """Return the start of its day, in UTC."""
    return start_of_hour(moment).replace(hour=0)


class LetterTallyQuerySet(models.QuerySet["LetterTally"]):
    """The ways in, and the fold."""

    def add(self, letters: Iterable[Any], now: datetime, *, count: int = 1) -> None:
        """Count letters in or, with a *count* of -1, out; only in the transaction that does so."""
        self._append({key: n * count for key, n in _sums(letters, now).items()})

    def move(self, letters: QuerySet[Any], now: datetime, *, was: str, count: int) -> None:
        """Count so many letters that have just got another status; the database adds up many."""
        few = letters.only("status", *KIND, "fingerprint", "died_at")
        sums = _sums(few, now) if count <= _FEW else Counter(dict(_added_up(letters, now)))
        sums.subtract({key._replace(status=was): count for key, count in sums.items()})
        self._append(sums)

    def fold(self, now: datetime, limit: int) -> int:
        """Make one row of the rows of one key; returns how many were looked at.

        Only in a transaction that keeps others from folding.
        """
        taken = list(self.filter(is_folded=False).order_by("pk")[:limit])
        taken = taken or list(self.filter(_outdated(now)).order_by("pk")[:limit])
        sums: Counter[Key] = Counter()
        for row in taken:
            sums[row.key.at(now)] += row.count
        digests = [key.digest for key in sums]
        others = self.filter(is_folded=True, digest__in=digests)
        known = {row.pk: row for row in (*taken, *others)}
        for pk in known.keys() - {row.pk for row in taken}:
            sums[known[pk].key] += known[pk].count
        self._delete_all(known)
        self._append(sums, is_folded=True)
        return len(taken)

    def amend(self, letters: QuerySet[Any], now: datetime) -> int:
        """Add what the sums lack of *letters*, all there are; returns how many sums were wrong.

        Only in a transaction that sees one moment: others may count meanwhile.
        """
        missing = Counter(dict(_added_up(letters, now)))
        values = self.order_by().values_list(*Key._fields).annotate(Sum("count"))
        for *key, count in values.iterator():
            missing[Key._make(key).at(now)] -= count
        return self._append(missing)

    def _delete_all(self, pks: Iterable[int]) -> None:
        wanted = list(pks)
        if self.filter(pk__in=wanted).delete()[0] != len(wanted):
            raise IntegrityError("another has folded some of these sums")

    def _append(self, sums: Mapping[Key, int], *, is_folded: bool = False) -> int:
        rows = [
            LetterTally(**key._asdict(), digest=key.digest, count=count, is_folded=is_folded)
            for key, count in sums.items()
            if count
        ]
        self.bulk_create(rows, batch_size=500)
        return len(rows)


class LetterTally(models.Model):
    """So many letters more, or fewer, of one key."""

    digest = models.CharField(max_length=32, editable=False)
    status = models.CharField(_("status"), max_length=10)
    handler = NameField(_("function"), max_length=255, blank=True, default="")
    queue_name = NameField(_("queue"), max_length=200, blank=True, default="")
    priority = models.SmallIntegerField(_("priority"), default=5)
    reason = models.CharField(_("reason"), max_length=20)
    category = models.CharField(_("category"), max_length=10)
    error_class = NameField(_("error"), max_length=255, blank=True, default="")
    fingerprint = models.CharField(_("fingerprint"), max_length=32, blank=True, default="")
    grain = models.SmallIntegerField(_("grain"), choices=Grain)
    period = models.DateTimeField(_("died from"))
    count = models.BigIntegerField(_("letters"))
    is_folded = models.BooleanField(default=False, editable=False)

    objects = LetterTallyQuerySet.as_manager()

    class Meta:
        verbose_name = _("tally of letters")
        verbose_name_plural = _("tallies of letters")
        indexes = (
            models.Index(fields=("digest",), name="drq_tally_digest"),
            models.Index(fields=("fingerprint", "grain", "period"), name="drq_tally_period"),
            models.Index(fields=("is_folded", "id"), name="drq_tally_folded"),
        )

    def __str__(self) -> str:
        return f"{self.count:+} {self.status} {self.handler}"

    @property
    def key(self) -> Key:
        """What the sum is of."""
        return Key._make(getattr(self, name) for name in Key._fields)


def _limits(now: datetime) -> tuple[datetime, datetime]:
    """Return from when on there are hours, and from when on there are days."""
    return start_of_hour(now - _HOURS_KEPT), start_of_day(now - _DAYS_KEPT)


def _outdated(now: datetime) -> Q:
    """Rows whose periods are longer by now."""
    hours_from, days_from = _limits(now)
    return Q(fingerprint="") & (
        Q(grain=Grain.HOUR, period__lt=hours_from) | Q(grain=Grain.DAY, period__lt=days_from)
    )


def _sums(letters: Iterable[Any], now: datetime) -> Counter[Key]:
    """Count letters by key."""
    sums: Counter[Key] = Counter()
    for letter in letters:
        kind = (letter.status, *(getattr(letter, name) for name in KIND))
        sums[Key.of_kind(kind, *period_of(letter.died_at, now))] += 1
        if letter.fingerprint:
            sums[Key.of_print(kind, letter.fingerprint)] += 1
    return sums


def _added_up(letters: QuerySet[Any], now: datetime) -> Iterator[tuple[Key, int]]:
    """The same in the database."""
    hours_from, days_from = _limits(now)
    letters, kind = letters.order_by(), ("status", *KIND)
    ever = letters.filter(died_at__lt=days_from).values_list(*kind).annotate(Count("pk"))
    for *values, count in ever.iterator():
        yield Key.of_kind(values, Grain.EVER, ALWAYS), count
    days = letters.filter(died_at__gte=days_from, died_at__lt=hours_from)
    hours = letters.filter(died_at__gte=hours_from)
    # Apart, as databases differ in what type a choice between such values has.
    for grain, some, period in ((Grain.DAY, days, TruncDay), (Grain.HOUR, hours, TruncHour)):
        cut = some.annotate(period=period("died_at", tzinfo=UTC)).values_list(*kind, "period")
        for *values, start, count in cut.annotate(Count("pk")).iterator():
            yield Key.of_kind(values, grain, start), count
    prints = letters.exclude(fingerprint="").values_list(*kind, "fingerprint").annotate(Count("pk"))
    for *values, fingerprint, count in prints.iterator():
        yield Key.of_print(values, fingerprint), count
