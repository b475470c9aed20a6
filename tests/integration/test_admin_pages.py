"""What holds for every page of the admin, whichever tables there will be."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models import Model
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from django_resilient_queue.admin.overview.snapshot import reset
from django_resilient_queue.admin.paginator import MOST, CappedPaginator
from django_resilient_queue.models import (
    Alert,
    AlertNotice,
    DeadLetter,
    Outage,
    Overview,
    RecoveryRun,
    WorkerHeartbeat,
)
from example_project.servers import RedisServer
from tests.conftest import reset_process_state
from tests.rows import MAKERS, NOON, make_alert, make_outage, make_run

LONGEST = 0.5  # seconds that a page may wait for Redis
MOST_QUERIES = 20
FAULTS = {"killed": RedisServer.kill, "frozen": RedisServer.freeze}
REGISTERED: list[type[Model]] = [
    model for model in admin.site._registry if model._meta.app_label == "django_resilient_queue"
]
WITH_ROWS = [model for model in REGISTERED if model is not Overview]

each_table = pytest.mark.parametrize("model", WITH_ROWS, ids=lambda model: model.__name__)


@pytest.fixture
def root(client: Client, django_user_model: type[User]) -> Iterator[Client]:
    client.force_login(django_user_model.objects.create_superuser("root"))
    with override_settings(ROOT_URLCONF="tests.urls"):
        yield client


def pages(model: type[Model], name: str = "row-one") -> list[str]:
    """The list, and the page of a row that is made for it."""
    start = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    listed = reverse(f"{start}_changelist")
    if model is Overview:
        return [listed]
    row = MAKERS[model](name)
    return [listed, *(reverse(f"{start}_{page}", args=(row.pk,)) for page in ("change", "history"))]


def test_each_table_of_the_admin_is_tested() -> None:
    """A new one needs a maker of rows, and then all of this is asked of it."""
    assert set(WITH_ROWS) == set(MAKERS)


@pytest.mark.alone
@pytest.mark.one_database
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model.__name__)
def test_no_page_waits_for_redis(
    redis_server: RedisServer, root: Client, model: type[Model], fault: str
) -> None:
    addresses = pages(model)
    usual = [quickest(root, each) for each in addresses]
    FAULTS[fault](redis_server)
    away = [quickest(root, each) for each in addresses]
    waited = [now - before for now, before in zip(away, usual, strict=True)]
    assert max(waited) < LONGEST


@pytest.mark.django_db
@each_table
def test_each_list_says_since_when_redis_is_away(root: Client, model: type[Model]) -> None:
    """As the overview does: by the clock, with the date before it where that is not today's."""
    (listed, *_) = pages(model)
    Outage.objects.all().delete()
    assert "Redis is away since" not in ask(root, listed)
    Outage.objects.begin("b", cause="refused", reported_by="w")
    said = re.findall(r"Redis is away since (?:[\d/]+ )?\d\d:\d\d[:.] ", ask(root, listed))
    assert len(said) == 1


@pytest.mark.django_db
@each_table
def test_pages_take_as_many_queries_with_many_rows_as_with_one(
    root: Client, model: type[Model]
) -> None:
    addresses = pages(model)
    for each in addresses:
        ask(root, each)  # what is looked up once in a process
    of_one = [queries(root, each) for each in addresses]
    for number in range(20):
        MAKERS[model](f"row-{number}")
    assert [queries(root, each) for each in addresses] == of_one
    assert max(of_one) <= MOST_QUERIES


@pytest.mark.django_db
def test_an_alert_takes_as_many_queries_with_many_notices_as_with_one(root: Client) -> None:
    alert = make_alert("row-one")
    address = reverse("admin:django_resilient_queue_alert_change", args=(alert.pk,))

    def tell(count: int) -> None:
        notice = {"channel": "log", "kind": "fired", "made_at": NOON, "try_at": NOON}
        AlertNotice.objects.bulk_create([AlertNotice(alert=alert, **notice) for _ in range(count)])

    tell(1)
    ask(root, address)
    of_one = queries(root, address)
    tell(20)
    assert queries(root, address) == of_one


@pytest.mark.django_db
@each_table
def test_a_list_counts_no_further_than_it_is_paged_through(
    root: Client, model: type[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full count of a million rows takes longer than all else of the page."""
    for number in range(4):
        MAKERS[model](f"row-{number}")
    monkeypatch.setattr("django_resilient_queue.admin.paginator.MOST", 3)
    monkeypatch.setattr(admin.site.get_model_admin(model), "list_per_page", 2)
    page = ask(root, reverse(f"admin:django_resilient_queue_{model._meta.model_name}_changelist"))
    assert "3 can be paged through" in page
    assert "?p=2" in page
    assert "?p=3" not in page


@pytest.mark.django_db
def test_a_list_that_is_no_longer_tells_how_many_rows_it_has(root: Client) -> None:
    for number in range(3):
        make_alert(f"row-{number}")
    page = ask(root, reverse("admin:django_resilient_queue_alert_changelist"))
    assert "3 alerts" in page
    assert "can be paged through" not in page


@pytest.mark.django_db
@pytest.mark.parametrize("count", [0, 3])
def test_a_paginator_knows_when_it_stops(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_resilient_queue.admin.paginator.MOST", 3)
    for number in range(count):
        make_alert(f"row-{number}")
    paginator = CappedPaginator(Alert.objects.order_by("pk"), 2)
    assert (paginator.count, paginator.is_cut) == (count, count == 3)
    assert MOST >= 1000


@pytest.mark.parametrize("model", WITH_ROWS, ids=lambda model: model.__name__)
def test_a_long_list_is_sorted_along_an_index_only(model: type[Model]) -> None:
    """A click must not sort a million rows; of workers, queues and rules there are few."""
    pages: Any = admin.site.get_model_admin(model)
    if model.__name__ in {"AlertSilence", "PausedQueue", "WorkerHeartbeat"}:
        return
    assert pages.sortable_by is not None
    first = {index.fields[0].lstrip("-") for index in model._meta.indexes} | {"id", "pk"}
    for name in pages.sortable_by:
        method = getattr(pages, name, None)
        column = getattr(method, "admin_order_field", None) or name
        assert column.lstrip("-") in first or model is DeadLetter


@pytest.mark.django_db
def test_a_run_says_in_words_which_letters_it_is_of(root: Client) -> None:
    run = make_run("mended")
    run.selection = {"reason": "timeout", "since": "2030-01-02T12:00:00+00:00", "ids": [1, 2]}
    run.save()
    page = ask(root, reverse("admin:django_resilient_queue_recoveryrun_change", args=(run.pk,)))
    assert "2 chosen letters, reason took too long, died since Jan. 2, 2030, noon" in page


@pytest.mark.django_db
@override_settings(USE_THOUSAND_SEPARATOR=True)
def test_what_a_newer_version_has_written_is_shown_as_it_is(root: Client) -> None:
    """In a rolling deployment the admin may be the last to know of it."""
    run, worker = make_run("mended"), MAKERS[WorkerHeartbeat]("row-one")
    RecoveryRun.objects.update(deed="mend", selection={"colour": "red"})
    WorkerHeartbeat.objects.update(mode="file")
    page = root.get(f"/admin/django_resilient_queue/recoveryrun/{run.pk}/change/").text
    assert "colour red" in page
    assert "all dead letters" not in page
    start = "/admin/django_resilient_queue/workerheartbeat/"
    for address in (start, f"{start}{worker.pk}/change/"):
        assert "file" in root.get(address).text


def test_a_bar_is_as_long_as_a_run_has_come_however_numbers_are_written(root: Client) -> None:
    run = make_run("mended", total=12_000, requeued=3_000)
    page = ask(root, reverse("admin:django_resilient_queue_recoveryrun_change", args=(run.pk,)))
    assert '<progress max="12000" value="3000"' in page
    assert "25 %" in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "waits"),
    [
        ({"canary": 5, "requeued": 5}, True),
        ({"canary": 5, "requeued": 4}, False),
        ({"canary": 5, "requeued": 6}, False),
        ({"canary": 0, "requeued": 5}, False),
        ({"canary": 5, "requeued": 5, "status": "paused"}, False),
        ({"canary": 5, "requeued": 5, "status": "cancelled"}, False),
    ],
)
def test_a_run_says_that_it_waits_for_its_canary(
    root: Client, values: dict[str, Any], waits: bool
) -> None:
    """For ever, where a job of it was cancelled."""
    run = make_run("mended", total=12, **values)
    page = ask(root, reverse("admin:django_resilient_queue_recoveryrun_change", args=(run.pk,)))
    assert ("It waits until the jobs of the first 5 have finished" in page) is waits


@pytest.mark.django_db(transaction=True)
@override_settings(USE_THOUSAND_SEPARATOR=True)
def test_an_outage_of_a_whole_span_fills_the_timeline(root: Client) -> None:
    reset()
    Outage.objects.create(broker="b", started_at=NOON.replace(year=2020), cause="refused")
    page = ask(root, reverse("admin:django_resilient_queue_overview_changelist"))
    assert 'x="0" y="0" width="1000" height="20"' in page


@pytest.mark.django_db(transaction=True)
def test_an_outage_that_has_just_begun_is_within_the_timeline(root: Client) -> None:
    reset()
    Outage.objects.create(broker="b", started_at=timezone.now(), cause="refused")
    page = ask(root, reverse("admin:django_resilient_queue_overview_changelist"))
    assert 'x="996" y="0" width="4" height="20"' in page


def ask(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.text


def queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        ask(client, address)
    return len(asked)


def quickest(client: Client, address: str) -> float:
    """Seconds that a page takes a process that knows nothing yet; what else the machine does in
    the meantime is not to count."""
    took = []
    for _ in range(3):
        reset_process_state()
        reset()
        begun = time.perf_counter()
        ask(client, address)
        took.append(time.perf_counter() - begun)
    return min(took)


@pytest.mark.django_db
def test_nobody_is_led_from_a_row_to_what_they_may_not_see(client: Client) -> None:
    """Neither to an outage, nor to the attempts of a job, nor to the letters of a run."""
    letter, outage = MAKERS[DeadLetter]("row-one", attempts=12), make_outage("b")
    run = make_run("mended")
    rows = {"deadletter": letter, "recoveryrun": run}
    hidden = (
        reverse("admin:django_resilient_queue_outage_change", args=(outage.pk,)),
        reverse("admin:django_resilient_queue_failedattempt_changelist"),
        reverse("admin:django_resilient_queue_runitem_changelist"),
    )

    def found(*permissions: str) -> list[bool]:
        clerk = User.objects.create(username=f"clerk-{len(permissions)}", is_staff=True)
        names = {"view_deadletter", "view_recoveryrun", *permissions}
        clerk.user_permissions.set(Permission.objects.filter(codename__in=names))
        client.force_login(clerk)
        address = "admin:django_resilient_queue_{}_change"
        pages = [client.get(reverse(address.format(n), args=(r.pk,))) for n, r in rows.items()]
        html = "".join(page.text for page in pages)
        assert "row-one" in html
        return [f'href="{each}' in html for each in hidden]

    assert found() == [False, False, False]
    assert found("view_outage", "view_failedattempt", "view_runitem") == [True, True, True]
