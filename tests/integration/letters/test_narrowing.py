"""Lists of letters of two kinds at once: found along an index, whether they are many or few."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import copy
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_resilient_queue.models import DeadLetter
from django_resilient_queue.models.dead_letter import Status
from django_resilient_queue.recovery.facets import Facets
from django_resilient_queue.recovery.narrowing import kinds_of, narrowed
from django_resilient_queue.recovery.selection import Selection
from django_resilient_queue.recovery.tallying import recount
from tests.integration.letters.desk import VIEW, address, client_of, letter_of

pytestmark = pytest.mark.django_db(transaction=True)

MANY, FEW = 4_000, 60  # more than a page, so that a list ends before its last letter
# Half of the letters are in either queue, and half of either category: hardly one is of this pair,
# and those that are died first.
RARE = Selection(queue_name="low", category="timeout")
FREQUENT = Selection(queue_name="low", category="connection")


@pytest.fixture(autouse=True)
def letters() -> None:
    one = letter_of("job")
    copies = [copy(one) for _ in range(MANY)]
    for number, each in enumerate(copies):
        each.pk, each.job_id = None, f"job-{number}"
        each.died_at -= timedelta(minutes=number)
        is_low = number % 2 or number >= MANY - FEW
        each.queue_name = "low" if is_low else "default"
        each.category = "connection" if is_low and number < MANY - FEW else "timeout"
    DeadLetter.objects.bulk_create(copies, batch_size=500)
    recount()
    with connection.cursor() as cursor:
        # Also of what earlier tests have left in its indexes, which counts as read.
        analyze = {"postgresql": "VACUUM ANALYZE", "mysql": "ANALYZE TABLE"}
        table = DeadLetter._meta.db_table
        cursor.execute(f"{analyze.get(connection.vendor, 'ANALYZE')} {table}")


def rows_read(sql: str) -> int:
    """How many letters PostgreSQL looks at for a query."""

    def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield plan
        for each in plan.get("Plans", ()):
            yield from nodes(each)

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        [[found]] = cursor.fetchall()
    [explained] = found if isinstance(found, list) else json.loads(found)
    return sum(
        int(node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
        for node in nodes(explained["Plan"])
        if not node.get("Plans")
    )


def most_read_for(page: str, query: dict[str, str]) -> int:
    """The most that a query of a page reads; of another database, what PostgreSQL is to read."""
    client = client_of(VIEW, "discard_deadletter")
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address(page), query).status_code == 200
    table = connection.ops.quote_name(DeadLetter._meta.db_table)
    queries = [each["sql"] for each in asked if f"FROM {table}" in each["sql"]]
    assert queries
    return max(map(rows_read, queries)) if connection.vendor == "postgresql" else FEW


def test_few_letters_of_two_frequent_kinds_are_found_without_reading_the_others() -> None:
    query = {"queue_name__exact": "low", "category__exact": "timeout"}
    shown = client_of(VIEW).get(address("changelist"), query).context["cl"].result_list
    assert [letter.job_id for letter in shown][:2] == [f"job-{MANY - FEW}", f"job-{MANY - FEW + 1}"]
    assert most_read_for("changelist", query) == FEW


def test_a_page_about_all_of_them_reads_no_others_either() -> None:
    assert most_read_for("discard_all", RARE.as_json()) == FEW


def test_many_letters_of_two_kinds_are_walked_in_the_order_of_the_list() -> None:
    given = kinds_of(FREQUENT, Status.DEAD)
    frequent = FREQUENT.among(DeadLetter.objects.dead())
    assert narrowed(frequent, given, Facets()) is frequent


def test_letters_that_the_tally_does_not_know_are_found_all_the_same() -> None:
    DeadLetter.objects.filter(job_id="job-0").update(queue_name="low", category="timeout")
    given = kinds_of(RARE, Status.DEAD)
    found = narrowed(RARE.among(DeadLetter.objects.dead()), given, Facets())
    assert found.count() == FEW + 1
