"""The overview as operators see it: it refreshes itself, and says when it could not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone
from playwright.sync_api import expect
from pytest_django import Settings

from django_resilient_queue.models import DeadLetter, Outage, PausedQueue, Sample
from django_resilient_queue.outcomes import Failure, Reason
from example_project.servers import RedisServer
from tests.acceptance.browser.conftest import Operators
from tests.acceptance.worker.stage import QUICK
from tests.conftest import StartWorker, WaitUntil
from tests.enqueueing import queue
from tests.health import address, live_worker, waiting_row
from tests.jobs import succeed
from tests.stores import QUEUES, snapshot

PAGE = "/admin/django_resilient_queue/overview/"
# How many pixels of a chart have the colour of its first line.
COLOURED = """(name) => {
  const canvas = document.querySelector(`#drq-chart-${name} canvas`);
  if (!canvas) return 0;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4) {
    found += data[i] === 0x2f && data[i + 1] === 0x7d && data[i + 2] === 0xbd && data[i + 3] > 200;
  }
  return found;
}"""


@pytest.fixture(autouse=True)
def patience(settings: Settings) -> None:
    """Rows of workers that nobody renews are those of live ones, however slow the browser is."""
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "LEASE": 300}


def history(hours: int = 24) -> None:
    """A day and more of samples, with an outage in it."""
    now = timezone.now().replace(second=0, microsecond=0)
    redis = database = 0
    buckets = [0] * 16
    samples = []
    for n in range(hours * 60):
        minute = now - timedelta(minutes=hours * 60 - n)
        is_out = 30 < (hours * 60 - n) % 400 < 42
        redis += 0 if is_out else 40 + n % 17
        database += 25 + n % 5 if is_out else 0
        for bucket, count in ((1, 20), (3, 12), (6, 2), (9, 1)):
            buckets[bucket] += count + n % 3
        samples.append(
            Sample(
                broker=address(),
                minute=minute,
                taken_at=minute + timedelta(seconds=4),
                waiting=400 - n % 7 if is_out else n % 23,
                dead=3 + n // 400,
                performed={"default": [redis, database]},
                enqueued=list(buckets),
            )
        )
    Sample.objects.bulk_create(samples, batch_size=500)


def outage(minutes_ago: int, **values: object) -> Outage:
    began = timezone.now() - timedelta(minutes=minutes_ago)
    values = {"ended_at": began + timedelta(minutes=11), **values}
    cause = "StoreRefused: Error 111 connecting to 127.0.0.1:6379. Connection refused."
    made: Outage = Outage.objects.create(
        broker=address(), started_at=began, cause=cause, jobs_executed=312, jobs_drained=8, **values
    )
    return made


def letter(job_id: str, error: str) -> None:
    failure = Failure(Reason.RAISED, error, "no", "Traceback")
    DeadLetter.objects.record([DeadLetter.of(snapshot(job_id), failure, attempts=1)])


def test_the_page_is_good_to_look_at(redis_server: RedisServer, operator: Operators) -> None:
    live_worker("w-1")
    live_worker("w-2", queues="critical,high")
    history()
    outage(41)
    outage(441)
    for n in range(3):
        letter(f"late-{n}", "builtins.TimeoutError")
    letter("wrong", "builtins.ValueError")
    for n in range(5):
        queue(QUEUES[n % 4]).enqueue(succeed, 1)
    waiting_row("in-the-table")
    ann = operator()
    page = ann.go(PAGE)
    expect(page.locator(".uplot")).to_have_count(4)
    ann.inspect("overview")
    page.get_by_role("link", name="Last day").click()
    expect(page.locator(".uplot")).to_have_count(4)
    ann.inspect("overview-day")


def test_a_minute_between_two_that_say_nothing_is_a_point(
    redis_server: RedisServer, operator: Operators, wait_until: WaitUntil
) -> None:
    """A site that enqueues now and then has no two minutes in a row with a latency."""
    now = timezone.now().replace(second=0, microsecond=0)
    Sample.objects.bulk_create(
        Sample(
            broker=address(),
            minute=now - timedelta(minutes=40 - n),
            taken_at=now - timedelta(minutes=40 - n),
            performed={"default": [n // 4, 0]},
            enqueued=[0, n // 4, *[0] * 14],
        )
        for n in range(40)
    )
    page = operator().go(PAGE)
    expect(page.locator("#drq-chart-latency")).to_contain_text("Half of the enqueues")
    # Nine points, each large enough to be seen; the sign beside the name is not on the canvas.
    wait_until(lambda: page.evaluate(COLOURED, "latency") > 9 * 4)


def test_an_operator_sees_an_outage_begin_and_end_without_reloading(
    redis_server: RedisServer,
    worker_process: StartWorker,
    operator: Operators,
    wait_until: WaitUntil,
) -> None:
    worker_process(*QUEUES, settings=QUICK)
    ann = operator()
    page = ann.go(PAGE)
    page.evaluate("window.isTheSame = true")
    now = page.get_by_role("status")
    expect(now).to_contain_text("Healthy")
    redis_server.kill()
    expect(now).to_contain_text("Degraded: Redis refuses connections since")
    for _ in range(3):
        queue().enqueue(succeed, 1)
    expect(page.get_by_text("3 jobs have run from the database")).to_be_visible()
    expect(page.get_by_text("so far")).to_be_visible()
    ann.inspect("overview-outage")
    redis_server.start()
    expect(now).to_contain_text("Healthy")
    expect(page.get_by_text("so far")).to_have_count(0)
    expect(page.get_by_role("row", name=f"Redis {address()}")).to_contain_text("3")
    assert page.evaluate("window.isTheSame"), "it was not loaded again"


def test_an_operator_pauses_and_resumes_a_queue_from_the_table(
    redis_server: RedisServer, operator: Operators
) -> None:
    live_worker()
    ann = operator()
    page = ann.go(PAGE)
    page.get_by_role("link", name="Pause low").click()
    ann.inspect("overview-pause")
    page.get_by_label("Reason").fill("the printer is out of paper")
    page.get_by_role("button", name="Pause").click()
    row = page.get_by_role("row", name="low")
    expect(row).to_contain_text("paused")
    pause = PausedQueue.objects.get()
    assert (pause.queue_name, pause.reason) == ("low", "the printer is out of paper")
    assert pause.paused_by == ann.user.get_username()
    row.get_by_role("link", name="Resume low").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("row", name="low")).not_to_contain_text("paused")
    assert not PausedQueue.objects.exists()
    assert [each.change_message for each in LogEntry.objects.order_by("pk")] == [
        "Paused: low.",
        "Resumed: low.",
    ]


def test_a_refresh_that_fails_is_said_until_one_succeeds(
    redis_server: RedisServer, operator: Operators
) -> None:
    live_worker()
    ann = operator()
    page = ann.go(PAGE)
    expect(page.get_by_role("alert")).to_be_hidden()
    # Of an error's status the browser would complain, too.
    page.route("**/live/**", lambda route: route.fulfill(status=200, body="busy"))
    expect(page.get_by_role("alert")).to_contain_text("Could not refresh since")
    ann.inspect("overview-stale")
    page.unroute("**/live/**")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_what_is_logged_out_is_said(redis_server: RedisServer, operator: Operators) -> None:
    """The answer is then the page for logging in."""
    live_worker()
    ann = operator()
    page = ann.go(PAGE)
    page.context.clear_cookies()
    expect(page.get_by_role("alert")).to_contain_text("You are no longer logged in")


def test_a_hidden_page_asks_nothing(redis_server: RedisServer, operator: Operators) -> None:
    live_worker()
    ann = operator()
    page = ann.go(PAGE)
    with page.expect_request("**/live/**"):
        pass
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    asked: list[str] = []
    page.wait_for_load_state("networkidle")
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(3 * 2000)  # three turns: that nothing comes shows in time alone
    assert asked == []
    with page.expect_request("**/live/**"):
        page.evaluate(
            "delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))"
        )


def test_what_has_the_focus_keeps_it(redis_server: RedisServer, operator: Operators) -> None:
    """A refresh changes what has changed, and nothing else."""
    live_worker()
    ann = operator()
    page = ann.go(PAGE)
    link = page.get_by_role("link", name="Pause low")
    link.focus()
    queue("low").enqueue(succeed, 1)
    expect(page.get_by_role("row", name="low").locator("td").first).to_have_text("1")
    expect(link).to_be_focused()


def test_without_the_script_the_figures_are_there(
    redis_server: RedisServer, operator: Operators
) -> None:
    live_worker()
    ann = operator()
    ann.page.route("**/*.js", lambda route: route.abort())
    page = ann.go(PAGE)
    expect(page.get_by_role("status")).to_contain_text("Healthy")
    expect(page.get_by_role("row", name="critical")).to_be_visible()


def test_whoever_may_only_look_is_offered_nothing(
    redis_server: RedisServer, operator: Operators
) -> None:
    live_worker()
    bob = operator("view_overview")
    page = bob.go(PAGE)
    expect(page.get_by_role("row", name="low")).to_be_visible()
    expect(page.get_by_role("link", name="Pause")).to_have_count(0)
    bob.inspect("overview-looking-only")
