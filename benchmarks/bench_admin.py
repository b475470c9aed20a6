"""Lists of the admin with many rows: each page that an operator can reach by one click.

python benchmarks/bench_admin.py [--rows N] [--only MODEL ...]

Dead letters are measured by bench_letters.py. Rows with a rare state are the oldest, which is the
worst place: a list that begins with the newest finds them last.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from stage import Stage, table

ROUNDS, RARE = 5, 20
PARENTS = 1_000  # runs, and letters: each item is of another pair
LIMIT = 200  # milliseconds
# Of queues, workers and rules there are no more.
BOUNDED = {"AlertSilence": 1_000, "PausedQueue": 1_000, "WorkerHeartbeat": 1_000}
# What differs from row to row, where its type does not tell.
VARIED = {
    "RunItem": {
        "run_id": f"run_id + n / {PARENTS}",
        "letter_id": f"letter_id + n % {PARENTS}",
    },
    "Export": {"token": "md5(n::text)"},
    "PushSubscription": {"endpoint_hash": "md5(n::text)"},
}
NAMES = {"job_id", "key", "user_key", "rule", "queue_name", "broker", "name"}


class Cost(NamedTuple):
    """Of a page: milliseconds in all, those that the database took, and how many queries."""

    total: float
    database: float
    queries: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="*", default=[], metavar="MODEL")
    options = parser.parse_args()
    with Stage(database="postgres"):
        for model in models(options.only):
            fill(model, BOUNDED.get(model.__name__, options.rows))
            report(model)
            empty(model)


def models(only: list[str]) -> list[Any]:
    from tests.rows import MAKERS

    known = [each for each in MAKERS if each.__name__ != "DeadLetter"]
    return [each for each in known if not only or each.__name__ in only]


def fill(model: Any, count: int) -> None:
    """Many rows, made by the database of one."""
    from django.db import connection

    from tests.rows import MAKERS

    row = MAKERS[model]("row-one")
    if model.__name__ == "RunItem":
        for parent in (row.run, row.letter):
            multiply(type(parent), parent.pk, PARENTS + 1)
    multiply(model, row.pk, count)
    for name in filtered(model):
        spread(model, name)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def multiply(model: Any, pk: int, count: int) -> None:
    from django.db import connection

    meta = model._meta
    fields = [field for field in meta.concrete_fields if not field.primary_key]
    names = ", ".join(f'"{field.column}"' for field in fields)
    values = ", ".join(map(value, fields))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {meta.db_table} ({names}) SELECT {values}"
            f" FROM {meta.db_table}, generate_series(2, {count}) AS n WHERE id = {pk}"
        )


def value(field: Any) -> str:
    """The expression for a column."""
    name = f'"{field.column}"'
    if varied := VARIED.get(field.model.__name__, {}).get(field.column):
        return varied
    if field.get_internal_type() == "DateTimeField":
        return f"{name} + n * interval '1 second'"
    return f"{name} || '-' || n" if field.unique or field.name in NAMES else name


def filtered(model: Any) -> list[str]:
    from django.contrib import admin

    entries = admin.site.get_model_admin(model).list_filter
    return [entry[0] if isinstance(entry, tuple) else str(entry) for entry in entries]


def spread(model: Any, name: str) -> None:
    """Give a few of the oldest rows each other value of a column that lists are narrowed by."""
    field = model._meta.get_field(name)
    oldest = list(model.objects.order_by("pk").values_list("pk", flat=True)[: RARE * 10])
    for number, (choice, _) in enumerate(field.choices or ()):
        chosen = oldest[number * RARE : (number + 1) * RARE]
        model.objects.filter(pk__in=chosen).update(**{name: choice})
    if field.null:
        model.objects.filter(pk__in=oldest[-RARE:]).update(**{name: None})


def report(model: Any) -> None:
    """What its pages cost."""
    client = browser()
    rows = []
    for words, address in pages(model, client):
        cost = measured(client, address)
        mark = " (too slow)" if cost.total > LIMIT else ""
        rows.append((words, f"{cost.total:.0f}{mark}", f"{cost.database:.0f}", cost.queries))
    head = (f"{model.__name__}, {model.objects.count():,} rows", "ms", "in the database", "queries")
    table(head, rows)
    print(flush=True)


def browser() -> Any:
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import Client
    from django.test.utils import setup_test_environment

    if not hasattr(settings, "DRQ_BENCH"):
        setup_test_environment()
        settings.DRQ_BENCH = True
    user, _ = get_user_model().objects.get_or_create(
        username="root", is_superuser=True, is_staff=True
    )
    client = Client()
    client.force_login(user)
    return client


def pages(model: Any, client: Any) -> Iterator[tuple[str, str]]:
    """The list, its last page, each choice of each filter, each order, a search, a row."""
    from django.urls import reverse

    start = f"admin:django_resilient_queue_{model._meta.model_name}"
    address = reverse(f"{start}_changelist")
    changelist = client.get(address).context["cl"]
    yield "list", address
    yield "last page", f"{address}?p={changelist.paginator.num_pages}"
    yield from ((words, address + query) for words, query in narrowed(changelist))
    if changelist.search_fields:
        for term in ("row-one-77", "nothing-like-it"):
            yield f"search {term}", f"{address}?q={term}"
    yield "row", reverse(f"{start}_change", args=(model.objects.order_by("pk").first().pk,))


def narrowed(changelist: Any) -> Iterator[tuple[str, str]]:
    for spec in changelist.filter_specs:
        for choice in spec.choices(changelist):
            if not choice["selected"]:
                yield f"{spec.title}: {choice['display']}", choice["query_string"]
    for number, name in enumerate(changelist.list_display):
        if number and (changelist.sortable_by is None or name in changelist.sortable_by):
            yield f"by {name}", f"?o={number}"
            yield f"by {name}, descending", f"?o=-{number}"


def measured(client: Any, address: str) -> Cost:
    """Medians of many times. Others that run on this machine do not count, but in the database."""
    from django.db import connection

    totals, shares, count = [], [], 0
    for _ in range(ROUNDS):
        spent: list[tuple[float, float]] = []
        begun = time.thread_time()
        with connection.execute_wrapper(partial(timed, spent)):
            assert client.get(address).status_code == 200, address
        waited = sum(took - busy for took, busy in spent)
        totals.append((time.thread_time() - begun + waited) * 1000)
        shares.append(sum(took for took, _ in spent) * 1000)
        count = len(spent)
    return Cost(statistics.median(totals), statistics.median(shares), count)


def timed(spent: list[tuple[float, float]], execute: Any, *query: Any) -> Any:
    begun, busy = time.perf_counter(), time.thread_time()
    try:
        return execute(*query)
    finally:
        spent.append((time.perf_counter() - begun, time.thread_time() - busy))


def empty(model: Any) -> None:
    from django.db import connection

    from django_resilient_queue.models import DeadLetter, RecoveryRun

    tables = {each._meta.db_table for each in (model, DeadLetter, RecoveryRun)}
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(sorted(tables))} CASCADE")


if __name__ == "__main__":
    main()
