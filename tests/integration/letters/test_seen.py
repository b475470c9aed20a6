"""What pages tell somebody to whom an admin of a project's own shows a part of the letters."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils import timezone
from pytest_django import Settings

from django_resilient_queue import requeue
from django_resilient_queue.admin.letters import seen
from django_resilient_queue.admin.letters.seen import Seen, is_narrowed
from django_resilient_queue.admin.overview import snapshot as sharing
from django_resilient_queue.models import DeadLetter, Overview
from django_resilient_queue.outcomes import Failure, Reason
from django_resilient_queue.recovery import counting, statistics, timeline
from example_project.servers import RedisServer
from tests.integration.letters.desk import client_of, letter_of
from tests.urls import urlpatterns as usual

pytestmark = [pytest.mark.django_db(transaction=True)]

HIDDEN = Failure(Reason.TIMEOUT, "secret.HiddenError", "nobody may read this")
PAYROLL = "low"
pages = type(admin.site.get_model_admin(DeadLetter))
overview = type(admin.site.get_model_admin(Overview))


class OfOthersThanPayroll(pages):  # type: ignore[valid-type, misc]
    """As a project has it whose staff do not see all letters, unless they are administrators."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        found: QuerySet[DeadLetter] = super().get_queryset(request)
        return found if request.user.username == "user-0" else found.exclude(queue_name=PAYROLL)


shop = admin.AdminSite("shop")
shop.register(DeadLetter, OfOthersThanPayroll)
shop.register(Overview, overview)
urlpatterns = [path("shop/", shop.urls), *usual]
START = "/shop/django_resilient_queue/"
LIST = f"{START}deadletter/"


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "HEALTH_LIMITS": {"dead_letters": 2}}


@pytest.fixture
def root() -> Client:
    """Who sees all letters: two of the shop, and three that only administrators see."""
    for number in range(3):
        letter_of(f"hidden-{number}", HIDDEN, queue_name=PAYROLL)
    for number in range(2):
        letter_of(f"mine-{number}")
    return client_of()


@pytest.fixture
def clerk(root: Client) -> Client:
    return client_of()


def counts_of(client: Client, query: str = "") -> dict[str, dict[str, Any]]:
    """What each filter of the list offers, and how many of each there are."""
    changelist = client.get(f"{LIST}{query}").context["cl"]
    return {
        str(spec.title): {str(each["display"]): each["count"] for each in spec.choices(changelist)}
        for spec in changelist.filter_specs
        if hasattr(spec, "column")
    }


def test_filters_count_what_is_seen(root: Client, clerk: Client) -> None:
    assert counts_of(root)["queue"] == {"All": 5, "low": 3, "default": 2}
    found = counts_of(clerk)
    assert found["queue"] == {"All": 2, "default": 2}
    assert found["error"] == {"All": 2, "shop.orders.AddressUnknown": 2}
    assert found["reason"] == {"All": 2, "raised an error": 2}
    assert found["status"]["dead"] == 2
    assert found["status"]["all"] == 2


@pytest.mark.parametrize(
    "query",
    ["", "?status__exact=all", "?queue_name__exact=low", "?error_class__exact=x", "?q=hidden"],
)
def test_no_page_of_a_list_tells_of_others(clerk: Client, query: str) -> None:
    page = clerk.get(f"{LIST}{query}")
    assert page.context["cl"].result_count <= 2
    for word in ("secret.HiddenError", "nobody may read", "hidden-0"):
        assert word not in page.text


def recovered(count: int) -> None:
    """So many letters that nobody waits for any more."""
    for number in range(count):
        letter_of(f"done-{number}")
    DeadLetter.objects.filter(job_id__startswith="done").update(status="recovered")


def test_more_than_are_counted_are_at_least(clerk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "MOST", 2)
    assert counts_of(clerk)["queue"] == {"All": "≥ 2", "default": "≥ 2"}
    letter_of("mine-too")
    monkeypatch.setattr(OfOthersThanPayroll, "list_per_page", 1)
    assert clerk.get(LIST).context["cl"].result_count == 3


def test_other_letters_than_those_of_a_status_do_not_make_its_counts_uncertain(
    clerk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "MOST", 3)
    recovered(3)
    found = counts_of(clerk)
    assert found["queue"] == {"All": 2, "default": 2}
    assert found["status"]["dead"] == 2
    assert (found["status"]["recovered"], found["status"]["all"]) == ("≥ 3", "≥ 5")


def test_a_list_that_is_narrowed_otherwise_has_no_counts(clerk: Client) -> None:
    assert counts_of(clerk, "?age=day")["queue"] == {"All": None, "default": None}


def test_groups_are_of_what_is_seen(root: Client, clerk: Client) -> None:
    one = DeadLetter.objects.filter(queue_name=PAYROLL).latest("pk")
    # As an error has it that both have: the newest is none of the clerk's.
    mine = DeadLetter.objects.filter(job_id="mine-0")
    DeadLetter.objects.filter(pk=one.pk).update(
        fingerprint=mine.get().fingerprint, error_class=mine.get().error_class
    )
    mine.update(died_at=timezone.now() - timedelta(hours=7))
    assert len(root.get(f"{LIST}groups/").context["groups"]) == 2
    page = clerk.get(f"{LIST}groups/")
    [group] = page.context["groups"]
    assert (group.number, group.timeline.total) == ("2", 2)
    assert (group.message, group.first_seen) == ("no street is known", mine.get().died_at)
    assert "nobody may read" not in page.text


def test_groups_of_many_are_counted_among_the_newest(
    clerk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "NEWEST", 1)
    [group] = clerk.get(f"{LIST}groups/").context["groups"]
    assert group.number == "≥ 1"


def test_no_more_of_a_group_are_drawn_than_of_any_where_nobody_knows_how_many_it_has(
    clerk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "NEWEST", 1)
    monkeypatch.setattr(timeline, "MOST", 1)
    [group] = clerk.get(f"{LIST}groups/").context["groups"]
    assert (group.timeline.total, group.drawn) == (1, "of the newest 1")


def test_a_letter_does_not_lead_to_one_that_is_hidden(root: Client, clerk: Client) -> None:
    letter = DeadLetter.objects.get(job_id="mine-0")
    requeue(letter)
    again = letter_of("again", HIDDEN, queue_name=PAYROLL)
    DeadLetter.objects.filter(pk=again.pk).update(requeued_from=letter)
    where = f"{LIST}{letter.pk}/change/"
    assert "Died again as" in root.get(where).text
    assert "Died again as" not in clerk.get(where).text


def test_hidden_letters_are_looked_for_once_and_not_by_each_of_many(clerk: Client) -> None:
    """What PostgreSQL makes of keys that are not in a list takes hours with 400,000 letters."""
    with CaptureQueriesContext(connection) as asked:
        page = clerk.get(f"{LIST}all/requeue/", {"queue_name": "default"})
    assert "<b>2 letters</b>" in page.text
    assert not [each for each in asked.captured_queries if "IN (SELECT" in each["sql"]]


def test_many_letters_are_not_counted_by_the_tally(
    clerk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not know when they died: the hidden ones would count."""
    long_ago = timezone.now() - timedelta(days=9)
    DeadLetter.objects.filter(queue_name=PAYROLL).update(died_at=long_ago)
    monkeypatch.setattr("django_resilient_queue.admin.letters.bulk.MOST", 1)
    monkeypatch.setattr(counting, "MOST", 1)
    since = (long_ago + timedelta(days=1)).isoformat()
    page = clerk.get(f"{LIST}all/requeue/", {"handler": "tests.jobs.succeed", "since": since})
    assert "About <b>2 letters</b>" in page.text


# ---- the overview --------------------------------------------------------------------------------


def standing(client: Client) -> Any:
    sharing.reset()
    return client.get(f"{START}overview/")


@pytest.mark.usefixtures("redis_server")
def test_the_overview_counts_those_alone_that_wait(
    clerk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for every other second, and those that do not wait are most."""
    monkeypatch.setattr(seen, "MOST", 3)
    recovered(3)
    with CaptureQueriesContext(connection) as asked:
        page = standing(clerk)
    [card] = [each for each in page.context["cards"] if each.title == "Dead letters"]
    assert card.figure == "2"
    assert not [each for each in asked.captured_queries if "'recovered'" in each["sql"]]


@pytest.mark.usefixtures("redis_server")
def test_the_overview_tells_of_what_is_seen(root: Client, clerk: Client) -> None:
    page = standing(root)
    assert "5 dead letters wait for somebody" in page.text
    assert [chart.name for chart in page.context["charts"]][-1] == "letters"
    page = standing(clerk)
    assert "wait for somebody" not in page.text
    assert "time limit" not in page.text
    [card] = [each for each in page.context["cards"] if each.title == "Dead letters"]
    assert (card.figure, next(line.words for line in card.lines)) == ("2", "2 other")
    failed = {line.name: line.failed for line in page.context["queues"]}
    assert (failed["default"], failed[PAYROLL]) == ("2", "0")
    assert "letters" not in [chart.name for chart in page.context["charts"]]
    drawn = clerk.get(f"{START}overview/live/").json()
    assert "letters" not in [chart["name"] for chart in drawn["drawing"]["charts"]]
    assert "secret" not in str(drawn)


def test_the_overview_caps_what_is_seen(
    redis_server: RedisServer, clerk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "MOST", 1)
    page = standing(clerk)
    [card] = [each for each in page.context["cards"] if each.title == "Dead letters"]
    assert card.figure == "≥ 1"
    assert "≥ 1" in [line.failed for line in page.context["queues"]]


# ---- what is narrowed ----------------------------------------------------------------------------


class OfAnotherKind(QuerySet[DeadLetter]):
    """One that may leave out letters where nobody sees it."""


Change = Callable[[QuerySet[DeadLetter]], QuerySet[DeadLetter]]
WHOLE: dict[str, Change] = {
    "as it is": lambda letters: letters,
    "without a column": lambda letters: letters.defer("payload"),
    "with another letter": lambda letters: letters.select_related("requeued_from"),
    "in another order": lambda letters: letters.order_by("job_id"),
    "by nothing": lambda letters: letters.filter(),
}
PART: dict[str, Change] = {
    "of a queue": lambda letters: letters.filter(queue_name="low"),
    "of others": lambda letters: letters.exclude(queue_name="low"),
    "by another letter": lambda letters: letters.filter(requeued_from__queue_name="low"),
    "by a condition": lambda letters: letters.filter(~Q(queue_name="")),
    "none": lambda letters: letters.none(),
    "of no key": lambda letters: letters.filter(pk__in=[]),
    "the first": lambda letters: letters[:5],
    "two together": lambda letters: letters.filter(pk=1).union(letters.filter(pk=2)),
    "in SQL": lambda letters: letters.extra(where=["1 = 0"]),
    "of another database": lambda letters: letters.using("elsewhere"),
    "of another class": lambda letters: OfAnotherKind(DeadLetter, using=letters.db),
}


@pytest.mark.parametrize("name", [*WHOLE, *PART])
def test_a_queryset_with_less_than_all_letters_is_known(name: str) -> None:
    request = HttpRequest()
    request.user = User()
    letters = admin.site.get_model_admin(DeadLetter).get_queryset(request)
    assert is_narrowed({**WHOLE, **PART}[name](letters)) is (name in PART)


def test_seen_letters_are_read_once(root: Client, django_assert_num_queries: Any) -> None:
    found = Seen(DeadLetter.objects.exclude(queue_name=PAYROLL))
    with django_assert_num_queries(4):
        assert found.total({"status": "dead"}) == 2
        assert found.counts("error_class", {}) == {"shop.orders.AddressUnknown": 2}
        assert not found.is_cut()
