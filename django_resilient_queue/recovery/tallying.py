"""The tally of dead letters: kept small, and put right where it is wrong."""

from __future__ import annotations

from django.db import connections
from django.utils import timezone
from django_rq.connection_utils import get_connection
from django_rq.settings import get_queues_list

from ..models import BrokerState, LetterTally
from ..models.letter_tally import LetterTallyQuerySet
from ..stores.database import DatabaseStore
from ..stores.links import address_of

BATCH = 500


def fold_tally(limit: int = BATCH) -> int:
    """Make one row of many; returns how many it looked at."""
    table = DatabaseStore()
    states = BrokerState.objects.using(table.alias)
    with table.statement():
        first = states.order_by("pk").values_list("name", flat=True).first()
    with table.transaction():
        # Workers of two Redis may fold at once. On MariaDB locks on the rows themselves end in a
        # deadlock, so all take the lock of the same Redis, which makes the row where none is yet.
        states.lock(first or _first_address())
        return _tally(table).fold(timezone.now(), limit)


def recount() -> int:
    """Count all letters and correct the tally; returns how many of its sums were wrong.

    Letters may change meanwhile. Not inside a transaction of the caller's, which may have begun to
    see another moment already.
    """
    table = DatabaseStore()
    with table.transaction():
        _see_one_moment(table.alias)
        return _tally(table).amend(table.letters, timezone.now())


def _first_address() -> str:
    return address_of(get_connection(get_queues_list()[0]["name"]))


def _tally(table: DatabaseStore) -> LetterTallyQuerySet:
    return LetterTally.objects.using(table.alias)


def _see_one_moment(alias: str) -> None:
    """Have the two counts read the same letters. SQLite's transactions do so by themselves."""
    connection = connections[alias]
    if connection.vendor in ("postgresql", "mysql"):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
