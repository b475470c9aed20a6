"""Every list and every row's page, with the eyes of axe-core, in light, dark and on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import OperationalError
from django.db.models import Model
from playwright.sync_api import expect

from django_resilient_queue import start_run
from django_resilient_queue.admin import read_only
from django_resilient_queue.models import DeadLetter, RecoveryRun
from django_resilient_queue.outcomes import Failure, Reason
from django_resilient_queue.recovery.selection import Selection
from example_project.servers import RedisServer
from tests.acceptance.browser.conftest import Operators
from tests.conftest import StartWorker
from tests.rows import MAKERS
from tests.stores import snapshot

ADMIN = "/admin/django_resilient_queue"


@pytest.mark.parametrize("model", MAKERS, ids=lambda model: model.__name__.lower())
def test_a_table_and_a_row(
    redis_server: RedisServer, operator: Operators, model: type[Model]
) -> None:
    name = model.__name__.lower()
    row = MAKERS[model]("row-one")
    ann = operator()
    ann.go(f"{ADMIN}/{name}/")
    ann.inspect(f"{name}-list")
    ann.go(f"{ADMIN}/{name}/{row.pk}/change/")
    ann.inspect(name)


def test_a_page_without_the_database_of_the_queue(
    redis_server: RedisServer, operator: Operators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django's tests let no other thread open a connection to a database that they do not know."""

    def fail() -> None:
        raise OperationalError("the server closed the connection unexpectedly")

    ann = operator()
    monkeypatch.setattr(read_only, "away_since", fail)
    ann.go(f"{ADMIN}/deadletter/")
    words = "It says: OperationalError: the server closed the connection unexpectedly."
    expect(ann.page.get_by_role("alert")).to_have_text(words)
    ann.complaints.clear()  # of the status of the answer
    ann.inspect("absence")


def bury(count: int) -> None:
    """Save letters of jobs that will run."""
    failure = Failure(Reason.RAISED)
    names = [f"dead-{number}" for number in range(count)]
    DeadLetter.objects.record(
        [DeadLetter.of(snapshot(each), failure, attempts=1) for each in names]
    )


def test_a_run_is_watched_paused_and_resumed(
    redis_server: RedisServer,
    operator: Operators,
    worker_process: StartWorker,
    wait_until: Callable[..., object],
) -> None:
    """The page follows the run without being loaded again; what can be done follows, too."""
    bury(40)
    run = start_run(Selection(), rate=0.5, by="ann")
    ann = operator()
    page = ann.go(f"{ADMIN}/recoveryrun/{run.pk}/change/")
    page.evaluate("window.isSamePage = true")
    expect(page.get_by_text("of 40 letters 0 requeued")).to_be_visible()
    worker_process("default")
    expect(page.get_by_text("of 40 letters 0 requeued")).to_be_hidden()
    # However long it takes to look at the page, the run is not over by then.
    RecoveryRun.objects.filter(pk=run.pk).update(rate=0.01)
    ann.inspect("recoveryrun-running")
    assert page.evaluate("window.isSamePage")
    page.get_by_role("link", name="Pause", exact=True).click()
    page.get_by_label("Reason").fill("look first")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused.", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Pause", exact=True)).to_have_count(0)
    page.get_by_role("link", name="Resume").click()
    page.get_by_role("button", name="Resume").click()
    RecoveryRun.objects.filter(pk=run.pk).update(rate=1000)
    expect(page.get_by_text("Finished: of 40 letters 40 requeued")).to_be_visible()
    expect(page.get_by_role("link", name="Cancel run")).to_have_count(0)
    ann.inspect("recoveryrun-finished")


def test_what_comes_of_the_letters_of_a_run_is_followed(
    redis_server: RedisServer, operator: Operators, worker_process: StartWorker
) -> None:
    """Also when the run itself has ended."""
    bury(5)
    run = start_run(Selection(), rate=1000.0, by="ann")
    ann = operator()
    page = ann.go(f"{ADMIN}/recoveryrun/{run.pk}/change/")
    expect(page.get_by_role("link", name="0 recovered")).to_be_visible()
    worker_process("default")
    expect(page.get_by_role("link", name="5 recovered")).to_be_visible(timeout=60_000)
    ann.inspect("recoveryrun-recovered")
    page.get_by_role("link", name="5 recovered").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(5)
    ann.inspect("recoveryrun-recovered-letters")


def test_a_page_whose_user_is_logged_out_says_so(
    redis_server: RedisServer, operator: Operators
) -> None:
    bury(1)
    ann = operator()
    page = ann.go(f"{ADMIN}/recoveryrun/{start_run(Selection()).pk}/change/")
    page.context.clear_cookies()
    expect(page.get_by_text("You are no longer logged in")).to_be_visible()


def test_a_page_that_could_not_be_brought_up_to_date_says_so(
    redis_server: RedisServer, operator: Operators
) -> None:
    bury(1)
    run = start_run(Selection(), by="ann")
    page = operator().go(f"{ADMIN}/recoveryrun/{run.pk}/change/")
    notice = page.get_by_text("could not be brought up to date")
    expect(notice).to_be_hidden()
    page.route("**/change/", lambda route: route.abort())
    expect(notice).to_be_visible()
    page.unroute("**/change/")
    expect(notice).to_be_hidden()
