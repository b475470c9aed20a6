"""The list of letters, and the page of their groups."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_resilient_queue import discard, requeue
from django_resilient_queue.admin import paginator
from django_resilient_queue.admin.letters.groups import Group
from django_resilient_queue.models import DeadLetter, LetterTally, Outage
from django_resilient_queue.outcomes import Failure, Reason
from django_resilient_queue.recovery import searching, timeline
from django_resilient_queue.recovery.facets import Facets
from tests.integration.letters.desk import RAISED, VIEW, address, client_of, letter_of

pytestmark = pytest.mark.django_db(transaction=True)

TIMEOUT = Failure(Reason.TIMEOUT, "rq.timeouts.JobTimeoutException", "it took 5 s")


def listed(client: Client, **query: str) -> set[str]:
    """The job ids of a list."""
    page = client.get(f"{address('changelist')}?{urlencode(query)}")
    assert page.status_code == 200
    return {letter.job_id for letter in page.context["cl"].result_list}


@pytest.fixture
def client() -> Client:
    letter_of("here")
    letter_of("slow", TIMEOUT, queue_name="low", died_at=timezone.now() - timedelta(days=8))
    discard(letter_of("away"))
    return client_of(VIEW)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"here", "slow"}),
        ({"status__exact": "all"}, {"here", "slow", "away"}),
        ({"status__exact": "discarded"}, {"away"}),
        ({"reason__exact": "timeout"}, {"slow"}),
        ({"category__exact": "timeout"}, {"slow"}),
        ({"queue_name__exact": "low"}, {"slow"}),
        ({"handler__exact": "tests.jobs.succeed"}, {"here", "slow"}),
        ({"error_class__exact": RAISED.error_class}, {"here"}),
        ({"age": "hour"}, {"here"}),
        ({"age": "week"}, {"here"}),
        ({"age": "older"}, {"slow"}),
        ({"q": "away"}, {"away"}),
        ({"q": "addressun"}, {"here", "away"}),
        ({"q": "took 5"}, {"slow"}),
        ({"q": "lübeck"}, {"here", "slow", "away"}),
        ({"q": "lübeck", "status__exact": "dead"}, {"here", "slow"}),
        ({"q": "k-123"}, set()),
        ({"q": "here", "reason__exact": "timeout"}, set()),
    ],
)
def test_a_list_is_narrowed_and_searched(
    client: Client, query: dict[str, str], expected: set[str]
) -> None:
    assert listed(client, **query) == expected


def test_a_list_is_narrowed_to_a_group(client: Client) -> None:
    letter = DeadLetter.objects.get(job_id="slow")
    assert listed(client, fingerprint__exact=letter.fingerprint) == {"slow"}
    assert listed(client, q=letter.fingerprint) == {"slow"}


def test_a_letter_is_found_by_the_id_that_it_was_requeued_as(client: Client) -> None:
    requeue(DeadLetter.objects.get(job_id="here"))
    assert listed(client, q="here-r1") == {"here"}


def test_each_filter_says_how_many_there_are(client: Client) -> None:
    page = client.get(address("changelist"))
    [status, category, *_] = page.context["cl"].filter_specs
    found = {
        str(choice["display"]): choice["count"] for choice in status.choices(page.context["cl"])
    }
    assert found == {"dead": 2, "requeued": 0, "recovered": 0, "discarded": 1, "all": 3}
    found = {
        str(choice["display"]): choice["count"] for choice in category.choices(page.context["cl"])
    }
    assert found == {"All": 2, "other": 1, "time limit": 1}


def test_a_chosen_error_says_how_many_there_are_of_it_however_rare(client: Client) -> None:
    """Of errors the most frequent are counted."""
    for number in range(25):
        for times in range(1 if number == 0 else 2):
            letter_of(f"{number}-{times}", Failure(Reason.RAISED, f"shop.E{number}"))
    changelist = client.get(f"{address('changelist')}?error_class__exact=shop.E0").context["cl"]
    [by_error] = [each for each in changelist.filter_specs if each.title == "error"]
    chosen = [each for each in by_error.choices(changelist) if each["selected"]]
    assert [(each["display"], each["count"]) for each in chosen] == [("shop.E0", 1)]


@pytest.mark.parametrize("name", ["status", "handler", "queue_name", "error_class", "fingerprint"])
def test_an_empty_criterion_is_none(client: Client, name: str) -> None:
    """What is chosen as all of the list would else be more than it shows."""
    letter = DeadLetter.objects.filter(job_id="here")
    letter.update(handler="", queue_name="", error_class="", fingerprint="")
    assert listed(client, **{f"{name}__exact": ""}) == {"here", "slow"}
    page = client.get(f"{address('changelist')}?{name}__exact=").context["cl"]
    assert page.result_count == 2


def test_a_list_is_no_longer_than_a_page_whatever_the_tally_says(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    LetterTally.objects.all().delete()
    monkeypatch.setattr(admin.site.get_model_admin(DeadLetter), "list_per_page", 1)
    monkeypatch.setattr(admin.site.get_model_admin(DeadLetter), "list_max_show_all", 1)
    for query in ("status__exact=all", "status__exact=all&all="):
        page = client.get(f"{address('changelist')}?{query}").context["cl"]
        assert (len(page.result_list), page.result_count) == (1, 1)


def test_a_search_in_arguments_looks_at_the_newest_and_says_so(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "LOOKED_INTO", 2)
    assert listed(client, q="lübeck") == {"here", "away"}
    page = client.get(f"{address('changelist')}?q=lübeck").text
    assert "messages and arguments of the newest 2 letters" in page
    assert "Searched in" not in client.get(f"{address('changelist')}?q=here").text


def test_a_search_in_arguments_has_few_payloads_in_memory(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(bytes(DeadLetter.objects.get(job_id="slow").payload))
    for at_once, queries in ((size * 4, 1), (size * 5 // 2, 2), (1, 3)):
        monkeypatch.setattr(searching, "AT_ONCE", at_once)
        with CaptureQueriesContext(connection) as asked:
            found = searching.search(DeadLetter.objects.all(), "lübeck", Facets())
        assert (found.letters.count(), found.looked_into) == (3, 3)
        reads = [query["sql"].replace("`", '"').partition("FROM")[0] for query in asked]
        assert len([sql for sql in reads if '"payload"' in sql and "LENGTH" not in sql]) == queries


def test_a_search_in_arguments_ends_in_time_and_says_how_far_it_came(client: Client) -> None:
    moments = iter((0.0, 0.5, 1.5))
    letters = DeadLetter.objects.order_by("pk")
    found = searching.search(letters, "lübeck", Facets(), clock=lambda: next(moments))
    assert {letter.job_id for letter in found.letters} == {"here", "slow"}
    assert found.looked_into == 2


def test_a_list_counts_no_further_than_it_pages(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        letter_of(f"more-{number}")
    monkeypatch.setattr(paginator, "MOST", 3)
    monkeypatch.setattr(admin.site.get_model_admin(DeadLetter), "list_per_page", 2)
    page = client.get(address("changelist")).text
    assert "6 dead letters; the newest 3 can be paged through" in page
    page = client.get(f"{address('changelist')}?age=hour").text
    assert "3 or more dead letters; the newest 3" in page
    assert listed(client, p="2") != listed(client)
    # Beyond the last page the admin leads back to the list.
    assert client.get(f"{address('changelist')}?p=9").status_code == 302


@pytest.mark.parametrize("page", ["changelist", "groups"])
def test_pages_take_as_many_queries_for_many_letters_as_for_few(client: Client, page: str) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(address(page)).status_code == 200
        columns = " ".join(query["sql"] for query in asked)
        assert '"payload"' not in columns.replace("`", '"')
        return len(asked)

    few = queries()
    for number in range(20):
        letter_of(f"more-{number}")
    assert queries() == few <= 12


# ---- groups --------------------------------------------------------------------------------------


def groups_of(client: Client) -> list[Group]:
    found: list[Group] = client.get(address("groups")).context["groups"]
    return found


def test_groups_are_counted_and_drawn(client: Client) -> None:
    for hours in (1, 30, 30):
        letter_of(f"old-{hours}-{DeadLetter.objects.count()}", died_at=hours_ago(hours))
    [group, slow] = groups_of(client)
    assert (group.error_class, group.count, slow.count) == (RAISED.error_class, 4, 1)
    assert group.timeline.total == 4
    assert max(group.timeline.counts) == 2
    assert group.picture == "4 letters in the last 7 days"
    assert len(list(group.bars)) == sum(1 for count in group.timeline.counts if count)
    assert max(height for *_, height in group.bars) == 24
    assert list(slow.bars) == []


def test_the_picture_of_a_large_group_is_of_its_newest(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not counted is not drawn as if nothing had died then."""
    monkeypatch.setattr(timeline, "MOST", 3)
    DeadLetter.objects.filter(job_id="here").update(died_at=hours_ago(50))
    for hours in (1, 26, 26, 26):
        letter_of(f"more-{DeadLetter.objects.count()}", died_at=hours_ago(hours))
    group = groups_of(client)[0]
    assert (group.count, group.timeline.total) == (5, 3)
    assert group.picture == "The newest 3 letters, back to 1 day ago; older ones are not drawn"
    assert group.drawn == "of the newest 3"
    assert [count for count in group.timeline.counts if count] == [2, 1]
    assert not any(group.timeline.counts[: group.timeline.unknown])
    assert group.timeline.counts[group.timeline.unknown] == 2
    assert 'class="drq-unknown"' in client.get(address("groups")).text


def test_a_picture_is_of_no_more_than_its_newest_where_many_died_at_once(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "MOST", 2)
    moment = hours_ago(30)
    for number in range(4):
        letter_of(f"more-{number}", died_at=moment)
    DeadLetter.objects.filter(job_id="here").update(died_at=hours_ago(50))
    found = groups_of(client)[0].timeline
    assert (found.total, max(found.counts)) == (2, 2)


def test_a_picture_has_no_bar_below_its_line_where_letters_die_while_it_is_drawn(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "MOST", 2)
    for number in range(3):
        letter_of(f"more-{number}", died_at=hours_ago(30 + number))
    late = iter([3])

    def counted(execute: Any, sql: str, *args: Any) -> Any:
        if 'AS "hour"' in sql.replace("`", '"'):
            for number in range(next(late, 0)):
                letter_of(f"late-{number}")
        return execute(sql, *args)

    with connection.execute_wrapper(counted):
        found = groups_of(client)[0].timeline
    assert next(late, None) is None
    assert min(found.counts) == 0


def test_groups_offer_what_the_user_may_do(client: Client) -> None:
    assert [group.operations for group in groups_of(client)] == [[], []]
    able = client_of(VIEW, "requeue_deadletter", "add_recoveryrun")
    [[requeue_all], _] = [group.operations for group in groups_of(able)]
    assert requeue_all[0].name == "requeue"
    assert "<b>1 letter</b> is meant." in able.get(requeue_all[1]).text
    letter_of("here-again")  # of the same error, and died after the page was shown
    assert "<b>1 letter</b> is meant." in able.get(requeue_all[1]).text


@pytest.mark.parametrize("page", ["changelist", "groups"])
def test_who_may_not_look_sees_neither(page: str) -> None:
    letter_of()
    assert client_of("requeue_deadletter").get(address(page)).status_code == 403


def test_no_letters_are_no_groups() -> None:
    assert "No dead letter waits" in client_of().get(address("groups")).text


def hours_ago(hours: int) -> datetime:
    return timezone.now() - timedelta(hours=hours)


# ---- an outage -----------------------------------------------------------------------------------


def test_pages_say_that_redis_is_away(client: Client) -> None:
    letter = DeadLetter.objects.get(job_id="here")
    able = client_of()
    addresses: list[Callable[[], str]] = [
        lambda: address("changelist"),
        lambda: address("groups"),
        lambda: address("change", letter.pk),
        lambda: address("requeue", letter.pk),
        lambda: address("correct", letter.pk),
        lambda: f"{address('requeue_all')}?ids={letter.pk}",
    ]
    words = "Redis is away since"
    assert not [page() for page in addresses if words in able.get(page()).text]
    Outage.objects.begin("b", cause="refused", reported_by="w")
    assert not [page() for page in addresses if words not in able.get(page()).text]


def test_a_letter_leads_to_the_outage_that_its_job_died_in(client: Client) -> None:
    letter, able = DeadLetter.objects.get(job_id="here"), client_of()
    assert "Outage of Redis" not in able.get(address("change", letter.pk)).text
    Outage.objects.create(
        broker="b", started_at=hours_ago(1), ended_at=timezone.now() + timedelta(hours=1)
    )
    assert "Outage of Redis" in able.get(address("change", letter.pk)).text
    assert (
        "Outage of Redis"
        not in able.get(address("change", DeadLetter.objects.get(job_id="slow").pk)).text
    )
