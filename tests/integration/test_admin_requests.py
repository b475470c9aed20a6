"""What the pages answer to requests that none of their own links and forms makes."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection, connections
from django.db.models import CharField, Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse

from django_resilient_queue.models import DeadLetter, FallbackJob, Overview, RecoveryRun, RunItem
from tests.rows import MAKERS

pytestmark = pytest.mark.django_db

LISTED: list[type[Model]] = [
    model
    for model in admin.site._registry
    if model._meta.app_label == "django_resilient_queue" and model is not Overview
]
each_list = pytest.mark.parametrize("model", LISTED, ids=lambda model: model.__name__)


@pytest.fixture
def root(client: Client, django_user_model: type[User]) -> Client:
    client.force_login(django_user_model.objects.create_superuser("root"))
    return client


def list_of(model: type[Model]) -> str:
    return reverse(f"admin:django_resilient_queue_{model._meta.model_name}_changelist")


@each_list
def test_a_list_is_not_narrowed_by_what_no_database_stores(
    root: Client, model: type[Model]
) -> None:
    """PostgreSQL fails at a NUL, and SQLite at a part of a text that is longer than any."""
    MAKERS[model]("row-one")
    owner: type[Model] = DeadLetter if model is RunItem else model
    text = next(each for each in owner._meta.fields if isinstance(each, CharField))
    name = "outcome" if model is RunItem else text.name
    for query in (f"{name}=a%00b", f"{name}__in=a,%00", "q=%00", f"q={'a' * 50_001}"):
        answer = root.get(f"{list_of(model)}?{query}")
        assert (answer.status_code, answer["Location"]) == (302, f"{list_of(model)}?e=1")


@pytest.mark.parametrize(
    "query",
    [
        f"id__in={10**23}",
        "died_at__gte=0001-01-01T00:00:00%2B05:00",
        "died_at__lt=9999-12-31T23:59:59-05:00",
    ],
)
def test_a_list_is_not_narrowed_by_what_no_row_can_have(root: Client, query: str) -> None:
    """Some databases find nothing, and the clients of others fail at it."""
    MAKERS[DeadLetter]("row-one")
    for also in ("", "&q=row"):
        assert root.get(f"{list_of(DeadLetter)}?{query}{also}").status_code in (200, 302)


@pytest.mark.parametrize("value", ["inf", "-Infinity", "nan", "1e999", "1,inf"])
@pytest.mark.parametrize("column", ["rate", "rate__gt", "rate__in"])
def test_a_list_is_not_narrowed_by_a_number_that_is_none(
    root: Client, column: str, value: str
) -> None:
    """MariaDB takes it for the name of a column."""
    MAKERS[RecoveryRun]("row-one")
    assert root.get(f"{list_of(RecoveryRun)}?{column}={value}").status_code in (302, 400)


@pytest.mark.parametrize(("model", "column"), [(DeadLetter, 2), (DeadLetter, 6), (FallbackJob, 2)])
def test_a_list_is_not_sorted_by_other_columns_either(
    root: Client, model: type[Model], column: int
) -> None:
    """Which its heads do not offer: it would sort the whole table."""
    MAKERS[model]("row-one")

    def asked(query: str) -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            assert root.get(f"{list_of(model)}?{query}").status_code == 200
        orders = [each["sql"].rpartition("ORDER BY")[2] for each in queries]
        return [each for each in orders if model._meta.db_table in each]

    usual = asked("")
    assert usual
    assert asked(f"o={column}") == usual


@pytest.mark.parametrize(
    "lookup",
    [
        "message__icontains",
        "message__regex",
        "job_id__startswith",
        "died_at__year",
        "died_at__iso_year__gt",
        "died_at__date",
        "job_id__range",
        "id__contained_by",
    ],
)
def test_a_list_is_not_narrowed_by_a_part_of_a_value(root: Client, lookup: str) -> None:
    """It would read the whole table, and what fits no such part was a server error."""
    assert root.get(f"{list_of(DeadLetter)}?{lookup}=a").status_code == 400


def test_nothing_of_ours_runs_in_a_transaction_of_the_request() -> None:
    """Whichever database that is of."""
    start = "admin:django_resilient_queue"
    pages = ("deadletter_changelist", "deadletter_requeue_all", "fallbackjob_drain")
    for name in (*(f"{start}_{page}" for page in pages), "django_resilient_queue:health"):
        view = resolve(reverse(name)).func
        assert set(connections) <= view._non_atomic_requests  # type: ignore[attr-defined]
