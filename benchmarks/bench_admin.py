"""Lists of the admin with many rows: each page that an operator can reach by one click.

python benchmarks/bench_admin.py [--rows N] [--only MODEL ...]

Rows with a rare state are the oldest, which is the worst place: a list that begins with the newest
finds them last. Of dead letters, which have the most filters, each two are measured together, too.
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
SLOWEST = 40  # pages that are shown of a model
# Of queues, workers and rules there are no more.
BOUNDED = {"AlertSilence": 1_000, "PausedQueue": 1_000, "WorkerHeartbeat": 1_000}
# What differs from row to row, where its type does not tell.
VARIED = {
    "RunItem": {
        "run_id": f"run_id + n / {PARENTS}",
        "letter_id": f"letter_id + n % {PARENTS}",
    },
    "Export": {"token": "md5(n::text)"},
    "RecoveryRun": {"key": "NULL::uuid"},
    "PushSubscription": {"endpoint_hash": "md5(n::text)"},
    "DeadLetter": {
        "handler": "'shop.jobs.handler_' || n % 50",
        "queue_name": "(ARRAY['critical', 'high', 'default', 'low'])[1 + n % 4]",
        "error_class": "'shop.errors.Error' || n % 20",
        "category": "(ARRAY['timeout', 'connection', 'validation', 'permission'])[1 + n % 4]",
        "fingerprint": "md5((n % 2000)::text)",
        "died_at": "now() - n * interval '2.5 seconds'",
        # As long as they are: few letters fit into one page of the table.
        "traceback": "repeat(md5(n::text), 38)",
    },
}
# Kinds that hardly a letter is of; and pairs that hardly one is of, though many are of either kind.
RARE_LETTERS = (
    {"handler": "shop.jobs.rare", "queue_name": "rare", "error_class": "shop.errors.Rare"},
    {"handler": "shop.jobs.handler_3", "queue_name": "critical", "category": "timeout"},
    {"queue_name": "critical", "category": "validation", "error_class": "shop.errors.Error0"},
)
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

    return [each for each in MAKERS if not only or each.__name__ in only]


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
    if model.__name__ == "DeadLetter":
        tally(model)
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


def tally(model: Any) -> None:
    """Make some letters rare, and have all counted as a worker on duty does."""
    from django_resilient_queue.recovery.tallying import fold_tally, recount

    dead = model.objects.dead().order_by("died_at").values_list("pk", flat=True)
    oldest = list(dead[: RARE * len(RARE_LETTERS)])
    for number, values in enumerate(RARE_LETTERS):
        chosen = model.objects.filter(pk__in=oldest[number * RARE : (number + 1) * RARE])
        chosen.update(fingerprint=f"rare-{number}", **values)
    recount()
    while fold_tally():
        pass


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
    return [name for entry in entries if (name := column_of(entry))]


def column_of(entry: Any) -> str:
    """Which column a filter is of; an empty string for none."""
    if isinstance(entry, type):
        return str(getattr(entry, "column", ""))
    return str(entry[0] if isinstance(entry, tuple) else entry)


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
    costs = [(measured(client, address), words) for words, address in pages(model, client)]
    rows = [
        (words, f"{cost.total:.0f}{mark(cost)}", f"{cost.database:.0f}", cost.queries)
        for cost, words in sorted(costs, reverse=True)[:SLOWEST]
    ]
    what = f"{model.__name__}, {model.objects.count():,} rows, the slowest of {len(costs)} pages"
    table((what, "ms", "in the database", "queries"), rows)
    print(flush=True)


def mark(cost: Cost) -> str:
    return " (too slow)" if cost.total > LIMIT else ""


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
    if model.__name__ == "DeadLetter":
        yield from more_of_letters(client, changelist, address, start)
    if changelist.search_fields:
        for term in ("row-one-77", "nothing-like-it"):
            yield f"search {term}", f"{address}?q={term}"
    yield "row", reverse(f"{start}_change", args=(model.objects.order_by("pk").first().pk,))


def more_of_letters(
    client: Any, changelist: Any, address: str, start: str
) -> Iterator[tuple[str, str]]:
    """Two filters at once, searches of each kind, groups, and what is done to many."""
    from django.urls import reverse

    seen = set()
    for one, query in clicks(changelist):
        for other, both in clicks(client.get(address + query).context["cl"]):
            if one[0] != other[0] and frozenset((one, other)) not in seen:
                seen.add(frozenset((one, other)))
                yield f"{': '.join(one)}, {': '.join(other)}", address + both
    for words in ("row-one", "shop.errors.Rare", "Rare", "no words like these"):
        yield f"search {words}", f"{address}?q={words}"
    yield "groups", reverse(f"{start}_groups")
    pair = "queue_name=critical&error_class=shop.errors.Error0"
    for kinds in ("queue_name=low", "queue_name=rare", "handler=shop.jobs.handler_7", pair):
        for verb in ("requeue", "discard", "export"):
            yield f"{verb} all of {kinds}", f"{reverse(f'{start}_{verb}_all')}?{kinds}"


def clicks(changelist: Any) -> Iterator[tuple[tuple[str, str], str]]:
    """Choices of the filters: the most and the least frequent of each, and two in between."""
    for spec in changelist.filter_specs:
        choices = [each for each in spec.choices(changelist) if not each["selected"]]
        for place in sorted({0, 1, len(choices) // 2, len(choices) - 1} & {*range(len(choices))}):
            each = choices[place]
            yield (str(spec.title), str(each["display"])), each["query_string"]


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
