"""Promises of the lists in the admin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models import Model
from django.test import Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_resilient_queue import requeue
from django_resilient_queue.models import (
    Correction,
    DeadLetter,
    Export,
    FailedAttempt,
    FallbackJob,
    Notification,
    Outage,
    PushSubscription,
    RecoveryRun,
    RunItem,
    WorkerHeartbeat,
)
from django_resilient_queue.outcomes import Failure, Reason
from tests.rows import (
    MAKERS,
    NOON,
    make_attempt,
    make_item,
    make_letter,
    make_outage,
    make_worker,
)
from tests.stores import snapshot

pytestmark = pytest.mark.django_db

MODELS = list(MAKERS)


@pytest.fixture
def browser(client: Client, django_user_model: type[User]) -> Iterator[Client]:
    """Give the browser of an administrator."""
    client.force_login(django_user_model.objects.create_superuser("root"))
    with override_settings(ROOT_URLCONF="tests.urls"):
        yield client


def url(model: type[Model], page: str, *args: object) -> str:
    """Return the address of a page."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def page_of(browser: Client, model: type[Model], page: str, *args: object, **query: str) -> str:
    """Get a page that exists."""
    response = browser.get(url(model, page, *args), query)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("model", MODELS)
def test_a_list_shows_its_rows_and_each_row_has_a_page(browser: Client, model: type[Model]) -> None:
    """Both can be opened."""
    row = MAKERS[model]("row-one")
    assert "row-one" in page_of(browser, model, "changelist")
    assert "row-one" in page_of(browser, model, "change", row.pk)


@pytest.mark.parametrize("model", MODELS)
def test_each_way_that_a_list_offers_to_narrow_and_to_sort_it_leads_to_it(
    browser: Client, model: type[Model]
) -> None:
    MAKERS[model]("row-one")
    links = re.findall(r'href="(\?[^"]*)"', page_of(browser, model, "changelist"))
    offered = admin.site.get_model_admin(model).list_filter
    assert len(set(links)) >= len(offered)
    for link in set(map(unescape, links)):
        assert browser.get(url(model, "changelist") + link).status_code == 200, link


@pytest.mark.parametrize("model", MODELS)
def test_not_even_a_superuser_can_add_change_or_delete(browser: Client, model: type[Model]) -> None:
    """The answer to each attempt is a refusal, and the row stays as it was."""
    row = MAKERS[model]("row-one")
    attempts = [
        url(model, "add"),
        url(model, "change", row.pk),
        url(model, "delete", row.pk),
    ]
    answers = [browser.post(address, {"post": "yes"}).status_code for address in attempts]
    assert answers == [403, 403, 403]
    assert model._default_manager.filter(pk=row.pk).exists()


@pytest.mark.parametrize("model", MODELS)
def test_a_list_offers_no_action_that_the_project_added_everywhere(
    browser: Client, model: type[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export would carry payloads away."""
    monkeypatch.setitem(admin.site._actions, "export", lambda *args: None)
    MAKERS[model]("row-one")
    assert 'value="export"' not in page_of(browser, model, "changelist")


@pytest.mark.parametrize("model", MODELS)
def test_staff_without_the_view_permission_see_nothing(
    client: Client, django_user_model: type[User], model: type[Model]
) -> None:
    """Being staff is not enough."""
    client.force_login(django_user_model.objects.create_user("clerk", is_staff=True))
    assert client.get(url(model, "changelist")).status_code == 403


@pytest.mark.parametrize("model", MODELS)
def test_the_view_permission_is_enough_to_look(
    client: Client, django_user_model: type[User], model: type[Model]
) -> None:
    """Operators need no right to change."""
    clerk = django_user_model.objects.create_user("clerk", is_staff=True)
    codename = f"view_{model._meta.model_name}"
    clerk.user_permissions.add(Permission.objects.get(codename=codename))
    client.force_login(clerk)
    row = MAKERS[model]("row-one")
    assert "row-one" in page_of(client, model, "changelist")
    assert "row-one" in page_of(client, model, "change", row.pk)


@pytest.mark.parametrize(
    ("model", "page"),
    [(DeadLetter, "changelist"), (FallbackJob, "changelist"), (FallbackJob, "change")],
)
def test_a_payload_is_neither_shown_nor_loaded(
    browser: Client, model: type[Model], page: str
) -> None:
    """It may hold anything, and any amount of it."""
    row = MAKERS[model]("row-one")
    args = [row.pk] if page == "change" else []
    with CaptureQueriesContext(connection) as queries:
        html = page_of(browser, model, page, *args)
    asked = " ".join(query["sql"] for query in queries)
    assert "payload" not in html + asked
    assert "outcome" not in html + asked


# ---- one letter ---------------------------------------------------------------------------------

KWARGS = {"user": "ann", "password": "hunter2", "nested": {"api_key": "k-123"}}


@pytest.fixture
def clerk(client: Client, django_user_model: type[User]) -> Iterator[Client]:
    """Give the browser of somebody who may look at letters, and nothing else."""
    user = django_user_model.objects.create_user("clerk", is_staff=True)
    allow(user, "view_deadletter")
    client.force_login(user)
    with override_settings(ROOT_URLCONF="tests.urls"):
        yield client


def allow(user: User, *codenames: str) -> None:
    """Give permissions."""
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def dead_job() -> DeadLetter:
    """Save the letter of a job with secrets."""
    job = snapshot("row-one", kwargs=KWARGS, meta={"request": "r-77", "auth_token": "t-5"})
    DeadLetter.objects.record([DeadLetter.of(job, Failure(Reason.RAISED), attempts=1)])
    return DeadLetter.objects.get()


def test_who_may_only_look_sees_a_job_without_its_secrets(clerk: Client) -> None:
    """They are masked at any depth, in arguments and in meta."""
    html = page_of(clerk, DeadLetter, "change", dead_job().pk)
    assert "ann" in html
    assert "r-77" in html
    assert "********" in html
    assert not [secret for secret in ("hunter2", "k-123", "t-5") if secret in html]


def test_secrets_are_masked_even_for_who_may_see_them(clerk: Client) -> None:
    """They are revealed on purpose only."""
    allow(User.objects.get(), "view_sensitive_payload")
    html = page_of(clerk, DeadLetter, "change", dead_job().pk)
    assert not [secret for secret in ("hunter2", "k-123", "t-5") if secret in html]
    assert "********" in html


def test_no_other_permission_reveals_anything(clerk: Client) -> None:
    """Those who requeue, correct and discard may still not see."""
    others = ["requeue_deadletter", "correct_deadletter", "discard_deadletter"]
    assert Permission.objects.filter(codename__in=others).count() == 3
    allow(User.objects.get(), *others, "change_deadletter", "view_correction")
    assert "hunter2" not in page_of(clerk, DeadLetter, "change", dead_job().pk)


def test_arguments_are_shown_as_text_whatever_they_hold(browser: Client) -> None:
    """A job's arguments may come from anybody."""
    job = snapshot("row-one", kwargs={"name": "<script>alert(1)</script>"})
    DeadLetter.objects.record([DeadLetter.of(job, Failure(Reason.RAISED), attempts=1)])
    html = page_of(browser, DeadLetter, "change", DeadLetter.objects.get().pk)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


def test_a_job_that_cannot_be_read_says_so(browser: Client) -> None:
    """Its page is there all the same."""
    html = page_of(browser, DeadLetter, "change", make_letter("row-one").pk)
    assert "the stored bytes have an unknown format" in html


def test_a_letter_shows_its_attempts_and_its_corrections_without_secrets(browser: Client) -> None:
    """Not even an administrator sees those in a correction."""
    letter = dead_job()
    failure = Failure(Reason.RAISED, "shop.Gone", "no such order")
    attempt = FailedAttempt.of(letter.snapshot, 0, failure, worker_name="w-9", ended_at=NOON)
    FailedAttempt.objects.record([attempt])
    requeue(letter, kwargs={**KWARGS, "user": "bob", "password": "s3cr3t"}, reason="a typo")
    html = page_of(browser, DeadLetter, "change", letter.pk)
    for words in ("shop.Gone", "no such order", "w-9", "a typo", ">user<", "+ &quot;bob&quot;"):
        assert words in html
    assert "s3cr3t" not in html


def test_a_letter_with_many_corrections_is_not_loaded_for_each(browser: Client) -> None:
    letter = dead_job()

    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            page_of(browser, DeadLetter, "change", letter.pk)
        return len(asked)

    queries()  # the types of contents are remembered
    parts = {"made_at": NOON, "before": {}, "after": {}, "diff": [], "shown": []}
    Correction.objects.create(letter=letter, **parts)
    of_one = queries()
    Correction.objects.bulk_create([Correction(letter=letter, **parts) for _ in range(4)])
    assert queries() == of_one


def test_a_run_leads_to_what_it_did_with_each_letter(browser: Client) -> None:
    """The list is of that run alone, and loads no large columns."""
    item, other = make_item("was gone"), make_item("of another run")
    page = page_of(browser, RecoveryRun, "change", item.run_id)
    address = f"{url(RunItem, 'changelist')}?run__exact={item.run_id}"
    assert address in page
    with CaptureQueriesContext(connection) as queries:
        found = browser.get(address).content.decode()
    assert "was gone" in found
    assert other.detail not in found
    asked = " ".join(query["sql"] for query in queries)
    assert not [name for name in ("payload", "traceback") if name in asked]


def test_a_list_of_letters_does_not_load_tracebacks_and_a_letter_shows_its_own(
    browser: Client,
) -> None:
    """They are the longest column that people read."""
    letter = make_letter("row-one")
    with CaptureQueriesContext(connection) as queries:
        page_of(browser, DeadLetter, "changelist")
    assert "traceback" not in " ".join(query["sql"] for query in queries)
    assert "the-long-one" in page_of(browser, DeadLetter, "change", letter.pk)


@pytest.mark.parametrize("model", MODELS)
def test_a_list_takes_as_many_queries_for_many_rows_as_for_one(
    browser: Client, model: type[Model]
) -> None:
    """And counts the table once."""
    counts = []
    for rows in (range(1), range(1, 30)):
        for number in rows:
            MAKERS[model](f"row-{number}")
        with CaptureQueriesContext(connection) as queries:
            page_of(browser, model, "changelist")
        counts.append(len(queries))
        counting = [query for query in queries if "COUNT(" in query["sql"]]
        assert len(counting) <= 1
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("model", "wanted", "other"),
    [
        (DeadLetter, {"status": "dead"}, {"status": "requeued"}),
        (FallbackJob, {"state": "ready"}, {"state": "claimed"}),
        (WorkerHeartbeat, {"mode": "database"}, {"mode": "redis"}),
    ],
)
def test_a_list_can_be_narrowed_to_what_an_operator_asks_first(
    browser: Client, model: type[Model], wanted: dict[str, str], other: dict[str, str]
) -> None:
    """What is dead, what waits, who is cut off."""
    MAKERS[model]("row-wanted", **wanted)
    MAKERS[model]("row-other", **other)
    [(name, value)] = wanted.items()
    html = page_of(browser, model, "changelist", **{f"{name}__exact": value})
    assert "row-wanted" in html
    assert "row-other" not in html


def test_outages_can_be_narrowed_to_the_one_that_lasts(browser: Client) -> None:
    """It has no end yet."""
    make_outage("row-wanted", ended_at=None)
    make_outage("row-other")
    html = page_of(browser, Outage, "changelist", ended_at__isempty="1")
    assert "row-wanted" in html
    assert "row-other" not in html


@pytest.mark.parametrize("model", [DeadLetter, FallbackJob, WorkerHeartbeat])
def test_a_search_finds_a_whole_id_and_nothing_like_it(browser: Client, model: type[Model]) -> None:
    """Parts and other spellings would need a walk through the table."""
    for name in ("row-one", "row-one-more"):
        MAKERS[model](name)
    with CaptureQueriesContext(connection) as queries:
        found = page_of(browser, model, "changelist", q="row-one")
    assert re.search(">row-one[< ]", found)  # a line of its own, or the first in its cell
    assert "row-one-more" not in found
    asked = " ".join(query["sql"] for query in queries)
    assert not {"LIKE", "UPPER("} & set(asked.replace("(", "( ").split())


@pytest.mark.parametrize("model", [DeadLetter, FallbackJob])
def test_a_long_list_can_only_be_sorted_along_an_index(browser: Client, model: type[Model]) -> None:
    """A click must not sort a million rows."""
    MAKERS[model]("row-one")
    model_admin = admin.site.get_model_admin(model)
    assert set(model_admin.get_sortable_by(RequestFactory().get("/"))) <= {"died_at", "age"}


def test_an_outage_shows_how_long_it_lasted(browser: Client) -> None:
    """Nobody has to subtract."""
    make_outage("row-one")
    assert ">1 min<" in page_of(browser, Outage, "changelist")


def test_an_outage_that_lasts_shows_how_long_so_far(browser: Client) -> None:
    """Counted up to now."""
    outage = make_outage("row-one", ended_at=None)
    Outage.objects.filter(pk=outage.pk).update(
        started_at=datetime.now(tz=UTC) - timedelta(hours=50)
    )
    assert ">2 days so far<" in page_of(browser, Outage, "changelist")


def test_a_worker_shows_its_jobs_without_the_tokens_that_prove_its_claims(
    browser: Client,
) -> None:
    """The ids are what an operator looks for."""
    worker = make_worker("row-one")
    html = page_of(browser, WorkerHeartbeat, "change", worker.pk)
    assert "job-in-hand" in html
    assert "token-of-the-claim" not in html


@pytest.mark.parametrize("model", MODELS)
def test_a_list_reads_the_database_that_the_settings_name(model: type[Model]) -> None:
    """Not the one that a router would choose."""
    model_admin = admin.site.get_model_admin(model)
    with override_settings(RESILIENT_QUEUE={"DATABASE": "elsewhere"}):
        assert model_admin.get_queryset(RequestFactory().get("/")).db == "elsewhere"


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        (FallbackJob, "payload__contains"),
        (FallbackJob, "outcome__contains"),
        (FallbackJob, "claim_token__startswith"),
        (DeadLetter, "payload__gt"),
        (RunItem, "letter__payload__contains"),
        (Export, "token__startswith"),
        (Export, "path__startswith"),
        (PushSubscription, "auth__startswith"),
        (WorkerHeartbeat, "in_flight__0__1__startswith"),
        (Notification, "data__code__startswith"),
    ],
)
def test_what_is_not_shown_can_not_be_guessed_by_narrowing_a_list(
    browser: Client, model: type[Model], lookup: str
) -> None:
    """Whether a row is still there would tell, letter by letter."""
    MAKERS[model]("row-one")
    assert browser.get(url(model, "changelist"), {lookup: "a"}).status_code == 400


def test_an_attempt_is_counted_from_one_and_its_traceback_keeps_its_shape(browser: Client) -> None:
    """As on the page of the letter."""
    lines = "Traceback:\n  File x, line 1"
    attempt = make_attempt("row-one", traceback=lines)
    html = page_of(browser, FailedAttempt, "change", attempt.pk)
    assert f">{lines}</pre>" in html
    assert '<div class="readonly">1</div>' in html
    assert '<td class="field-count">1</td>' in page_of(browser, FailedAttempt, "changelist")


def test_a_list_is_called_what_it_shows(browser: Client) -> None:
    """Nobody has to select anything."""
    assert "<h1>Outages</h1>" in page_of(browser, Outage, "changelist")
    assert "<h1>Dead letters</h1>" in page_of(browser, DeadLetter, "changelist")
