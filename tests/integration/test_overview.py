"""The overview: what it says in each state, to whom, at what cost, and with Redis away."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from types import ModuleType
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.backends.utils import CursorWrapper
from django.test import Client
from django.urls import path, reverse
from django.utils import timezone
from pytest_django import Settings

from django_resilient_queue import pause_all, pause_queue, resume_queue, signals
from django_resilient_queue.admin.amounts import age, moment
from django_resilient_queue.admin.causes import what_it_does
from django_resilient_queue.admin.overview import OverviewAdmin
from django_resilient_queue.admin.overview import snapshot as sharing
from django_resilient_queue.facts.history import SPANS
from django_resilient_queue.health import collect
from django_resilient_queue.models import DeadLetter, Outage, Overview, PausedQueue, Sample
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.models.worker_heartbeat import Mode
from django_resilient_queue.outcomes import Failure, Reason
from example_project.servers import RedisServer, ServerProcess
from tests.clients import client_of
from tests.conftest import WaitUntil
from tests.enqueueing import AWAY, bring_back, queue, take_away
from tests.health import address, live_worker, waiting_row
from tests.jobs import succeed
from tests.stores import snapshot

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]

NAME = "admin:django_resilient_queue_overview"
SHARING = "admin.overview.snapshot"
REFUSED = "ConnectionError: Error 111 connecting to localhost:6379. Connection refused."


@pytest.fixture(autouse=True)
def _long_lease(settings: Settings) -> None:
    """Rows of workers that nobody renews are those of live ones, also in tests that run alone."""
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "LEASE": 300}


def page(client: Client, **query: str) -> str:
    sharing.reset()
    answer = client.get(reverse(f"{NAME}_changelist"), query)
    assert answer.status_code == 200
    return answer.text


def live(client: Client, **query: str) -> dict[str, Any]:
    sharing.reset()
    answer = client.get(reverse(f"{NAME}_live"), query)
    assert answer.status_code == 200
    found: dict[str, Any] = json.loads(answer.text)
    return found


def headline(html: str) -> str:
    """The first line, as people read it."""
    start = html.index('<p class="drq-headline">')
    text = html[start : html.index("</p>", start)]
    for tag in ('<p class="drq-headline">', '<strong role="status">', "</strong>", "<span>"):
        text = text.replace(tag, "")
    return text.replace("</span>", "").replace("&#x27;", "'")


def letter(job_id: str, error: str, queue_name: str = "default") -> None:
    failure = Failure(Reason.RAISED, error, "no", "Traceback")
    DeadLetter.objects.record([DeadLetter.of(snapshot(job_id, queue_name), failure, attempts=1)])


def outage(**values: Any) -> Outage:
    now = timezone.now()
    values = {"started_at": now, "cause": REFUSED, "broker": address(), **values}
    made: Outage = Outage.objects.create(**values)
    return made


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements of all threads: the report's are asked in some of their own."""
    statements: list[str] = []
    execute = CursorWrapper.execute

    def note(self: Any, sql: str, params: Any = None) -> Any:
        if not sql.startswith(("PRAGMA", "SET", "SELECT VERSION", "BEGIN", "COMMIT")):
            statements.append(sql)
        return execute(self, sql, params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CursorWrapper, "execute", note)
        yield statements


# ---- in words -----------------------------------------------------------------------------------


def test_when_all_is_well_it_says_so() -> None:
    live_worker("a")
    live_worker("b")
    html = page(client_of("view_overview"))
    assert headline(html) == "Healthy: both stores take jobs, 2 workers for 4 queues"


def test_an_outage_is_said_with_its_cause_its_time_and_what_is_done_meanwhile(
    redis_server: RedisServer,
) -> None:
    live_worker(mode=Mode.DATABASE)
    began = timezone.now().replace(hour=0, minute=0)
    outage(started_at=began, jobs_executed=312)
    waiting_row("a")
    waiting_row("b", state=State.DISPATCHED)
    redis_server.kill()
    said = headline(page(client_of("view_overview")))
    assert said.endswith(
        ": Redis refuses connections since 00:00, 312 jobs have run from the database, 2 wait there"
    )


def test_an_outage_that_no_worker_has_noted_is_said_too(redis_server: RedisServer) -> None:
    live_worker()
    redis_server.kill()
    said = headline(page(client_of("view_overview")))
    assert said.startswith("Degraded: Redis refuses connections since ")


def test_a_redis_that_is_back_and_unused_is_said() -> None:
    live_worker(mode=Mode.DATABASE)
    outage()
    said = headline(page(client_of("view_overview")))
    assert said.startswith("Degraded: Redis answers again, and no worker has gone back to it yet")


def test_what_is_wrong_otherwise_is_said_the_worst_first(settings: Settings) -> None:
    html = page(client_of("view_overview"))
    assert headline(html) == "Critical: No worker is alive: jobs are accepted and not executed"
    live_worker(queues="critical,high")
    queue("low").enqueue(succeed, 1)
    html = page(client_of("view_overview"))
    assert headline(html) == "Critical: No live worker serves low, where jobs wait"
    assert "No live worker serves default." in html


def test_of_jobs_that_are_late_it_says_that_somebody_paused_them() -> None:
    live_worker()
    for name in ("low", "high"):
        waiting_row(f"of-{name}", queue_name=name, due_at=timezone.now() - timedelta(hours=1))
    pause_queue("low")
    said = headline(page(client_of("view_overview")))
    assert said == "Degraded: A job in high, low (paused) has waited for more than 5 min"


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (REFUSED, "refuses connections"),
        ("TimeoutError: Timeout reading from socket", "does not answer"),
        ("no answer within 0.35 s", "does not answer"),
        ("BusyLoadingError: Redis is loading the dataset in memory", "loads its data"),
        ("ReadOnlyError: You can't write against a read only replica.", "takes no writes"),
        ("OutOfMemoryError: command not allowed when used memory", "is out of memory"),
        ("ResponseError: MISCONF Redis is configured to save", "can't save to its disk"),
        ("AuthenticationError: invalid username-password pair", "refuses the password"),
        ("ConnectionError: Connection closed by server.", "can't be reached"),
        ("", "is away"),
    ],
)
def test_a_cause_is_told_in_words(cause: str, words: str) -> None:
    assert what_it_does(cause) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"),
        (0.4, "0 s"),
        (59, "59 s"),
        (61, "1 min"),
        (3700, "1 h 1 min"),
        (86400, "1 day"),
        (200_000, "2 days"),
    ],
)
def test_an_age_is_told_in_words(seconds: float | None, words: str) -> None:
    assert age(seconds) == words


# ---- figures ------------------------------------------------------------------------------------


def test_the_cards_lead_to_the_lists_behind_them() -> None:
    live_worker("a")
    live_worker("b", mode=Mode.DATABASE)
    letter("a", "builtins.TimeoutError")
    letter("b", "builtins.TimeoutError")
    letter("c", "builtins.ValueError", "low")
    waiting_row("d", due_at=timezone.now() - timedelta(minutes=5))
    all_of_it = ("view_deadletter", "view_fallbackjob", "view_workerheartbeat", "view_outage")
    html = page(client_of("view_overview", *all_of_it))
    letters = reverse("admin:django_resilient_queue_deadletter_changelist")
    assert f"{letters}?category__exact=timeout&amp;status__exact=dead" in html
    assert f"{letters}?queue_name__exact=low&amp;status__exact=dead" in html
    assert (
        f"{reverse('admin:django_resilient_queue_fallbackjob_changelist')}?state__exact=ready"
        in html
    )
    assert "Oldest: 5 min" in html
    assert "1 from Redis" in html
    assert "1 from the database" in html
    client = client_of("view_deadletter")
    found = client.get(f"{letters}?category__exact=timeout&status__exact=dead").text
    assert "builtins.TimeoutError" in found
    assert "builtins.ValueError" not in found


def test_nobody_is_led_to_what_they_may_not_see() -> None:
    letter("a", "builtins.TimeoutError")
    html = page(client_of("view_overview"))
    assert "1 time limit" in html
    for name in ("deadletter", "fallbackjob", "workerheartbeat", "outage"):
        assert reverse(f"admin:django_resilient_queue_{name}_changelist") not in html


def test_the_table_of_queues_counts_what_both_stores_have() -> None:
    live_worker()
    queue("low").enqueue(succeed, 1)
    queue("low").enqueue_in(timedelta(hours=1), succeed, 1)
    waiting_row("a", "low")
    letter("b", "builtins.ValueError", "low")
    pause_queue("low")
    now = timezone.now()
    Sample.objects.create(
        broker=address(),
        minute=now - timedelta(minutes=2),
        taken_at=now - timedelta(minutes=2),
        performed={"low": [0, 0]},
    )
    html = page(client_of("view_overview"))
    start = html.index('<th scope="row">low</th>')
    row = html[start : html.index("</tr>", start)]
    cells = [part.split("</td>")[0].split(">")[-1] for part in row.split("<td")[1:]]
    assert cells[:4] == ["2", "0", "1", "1"]
    assert cells[5:7] == ["0.0", "1"]
    assert "paused" in row


def test_the_outages_of_the_span_are_told_with_their_counts() -> None:
    live_worker()
    now = timezone.now()
    for hours in (0.5, 5, 100):
        began = now - timedelta(hours=hours)
        ended = began + timedelta(minutes=3)
        counts = {"jobs_stored": 2417, "jobs_executed": 1312, "jobs_drained": 7}
        outage(started_at=began, ended_at=ended, open_marker=None, **counts)
    client = client_of("view_overview")
    for span, words in (
        ("hour", "1 outage in the last hour."),
        ("day", "2 outages in the last day."),
        ("week", "3 outages in the last week."),
    ):
        html = page(client, span=span)
        assert words in html
    assert html.count("1,312") == html.count("2,417") == 3
    assert html.count("3 min") == 3


@pytest.mark.parametrize(("span", "length"), [("hour", 1), ("day", 24), ("week", 168)])
def test_the_line_of_outages_says_when_it_begins_and_ends(span: str, length: int) -> None:
    html = page(client_of("view_overview"), span=span)
    found = sharing.snapshot().report.checked_at
    since = moment(found - timedelta(hours=length), found)
    assert f"<span>{since}</span><span>now</span>" in html


def test_it_says_by_which_clock_its_times_are(settings: Settings) -> None:
    """Who is on call may sit where it is another time."""
    for name, words in (("UTC", "UTC"), ("Asia/Tokyo", "JST")):
        settings.TIME_ZONE = name
        html = page(client_of("view_overview"))
        assert re.search(rf'<time id="drq-as-of">\d\d:\d\d:\d\d {words}</time>', html)


def test_where_new_jobs_go_is_said_beside_the_circuit(redis_server: RedisServer) -> None:
    """To who is new, a closed circuit sounds like a shop that is closed."""
    live_worker()
    assert "New jobs go to Redis" in page(client_of("view_overview"))
    redis_server.kill()
    assert "New jobs go to the database" in page(client_of("view_overview"))


# ---- who ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["changelist", "live"])
def test_it_takes_a_permission_of_its_own(name: str) -> None:
    others = ("view_deadletter", "view_outage", "pause_queue", "view_health")
    assert client_of(*others).get(reverse(f"{NAME}_{name}")).status_code == 403
    assert Client().get(reverse(f"{NAME}_{name}")).status_code == 302
    assert client_of("view_overview").get(reverse(f"{NAME}_{name}")).status_code == 200


def test_it_is_in_the_sidebar_of_who_may_see_it() -> None:
    address_of_it = reverse(f"{NAME}_changelist")
    assert address_of_it in client_of("view_overview").get(reverse("admin:index")).text
    index = reverse("admin:app_list", args=("django_resilient_queue",))
    found = client_of("view_overview").get(index).text
    assert "Overview: how things stand now" in found
    client = client_of("view_deadletter")
    assert address_of_it not in client.get(reverse("admin:index")).text
    assert address_of_it not in client.get(index).text


def test_it_and_the_dashboard_of_django_rq_lead_to_each_other() -> None:
    """Where this app comes first in INSTALLED_APPS, as its template then stands before theirs."""
    dashboard = reverse("admin:django_rq_dashboard_changelist")
    both = client_of("view_overview", "admin")
    assert dashboard in page(both)
    assert dashboard not in page(client_of("view_overview"))
    assert reverse(f"{NAME}_changelist") in both.get(dashboard).text
    found = client_of("admin").get(dashboard).text
    assert reverse(f"{NAME}_changelist") not in found


def test_nothing_can_be_added_changed_or_deleted() -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    assert client.get(reverse(f"{NAME}_add")).status_code == 403
    assert client.get(reverse(f"{NAME}_delete", args=("low",))).status_code == 403
    answer = client.get(reverse(f"{NAME}_change", args=("low",)))
    assert answer["Location"] == reverse(f"{NAME}_changelist")
    assert client.get(reverse(f"{NAME}_history", args=("low",))).status_code == 200


@pytest.mark.parametrize("options", [{}, {"use_base_manager": True}])
def test_what_dumps_all_tables_passes_over_it(options: dict[str, bool]) -> None:
    """There is no table."""
    written = StringIO()
    call_command("dumpdata", "django_resilient_queue.overview", stdout=written, **options)
    assert json.loads(written.getvalue()) == []


def test_another_site_of_the_admin_shows_its_own_addresses(settings: Settings) -> None:
    """And what that site has no pages of is no link."""
    site = admin.AdminSite(name="other")
    site.register(Overview, OverviewAdmin)
    urls = ModuleType("urls_of_two_sites")
    patterns = [path("admin/", admin.site.urls), path("other/", site.urls)]
    urls.__dict__["urlpatterns"] = patterns
    settings.ROOT_URLCONF = urls
    letter("a", "builtins.TimeoutError")
    client = client_of("view_overview", "view_deadletter", "pause_queue")
    sharing.reset()
    html = client.get("/other/django_resilient_queue/overview/").text
    assert "/other/django_resilient_queue/overview/low/pause/" in html
    assert "1 time limit" in html
    assert 'href="/admin/' not in html
    answer = client.post("/other/django_resilient_queue/overview/low/pause/")
    assert answer["Location"] == "/other/django_resilient_queue/overview/"


# ---- pausing ------------------------------------------------------------------------------------


def test_a_queue_is_paused_and_resumed() -> None:
    client = client_of("view_overview", "pause_queue")
    pause, resume = (reverse(f"{NAME}_{verb}", args=("low",)) for verb in ("pause", "resume"))
    html = page(client)
    assert pause in html
    assert resume not in html
    assert "Pause low" in client.get(pause).text
    assert not PausedQueue.objects.exists()
    answer = client.post(pause, {"reason": "paper"}, follow=True)
    assert "Paused: low." in answer.text
    assert resume in answer.text, "the page shows it at once"
    row = PausedQueue.objects.get()
    assert (row.queue_name, row.reason) == ("low", "paper")
    assert pause not in client.get(reverse(f"{NAME}_changelist")).text
    client.post(resume)
    assert not PausedQueue.objects.exists()
    entries = LogEntry.objects.order_by("pk").values_list("object_id", "change_message")
    assert list(entries) == [("low", "Paused: low."), ("low", "Resumed: low.")]


def test_all_queues_are_paused_and_resumed_at_once() -> None:
    client = client_of("view_overview", "pause_queue")
    pause_queue("low")
    client.post(reverse(f"{NAME}_pause", args=("*",)))
    assert PausedQueue.objects.filter(queue_name="").exists()
    html = page(client)
    assert html.count("all are paused") == 4
    assert reverse(f"{NAME}_pause", args=("high",)) not in html
    client.post(reverse(f"{NAME}_resume", args=("*",)))
    assert not PausedQueue.objects.exists()


@pytest.mark.parametrize("permissions", [("view_overview",), ("pause_queue",), ()])
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_without_the_permissions_nothing_is_offered_or_done(
    permissions: tuple[str, ...], verb: str
) -> None:
    if verb == "resume":
        pause_all()
        pause_queue("low")
    before = PausedQueue.objects.count()
    client = client_of(*permissions)
    where = reverse(f"{NAME}_{verb}", args=("low",))
    if "view_overview" in permissions:
        assert where not in page(client)
    assert client.post(where).status_code == 403
    assert PausedQueue.objects.count() == before
    assert not LogEntry.objects.exists()


def test_a_pause_and_its_end_are_told_to_who_listens() -> None:
    """With the commit, and once: what changed nothing is no news."""
    heard: list[tuple[str, str]] = []

    def note_pause(sender: object, queue_name: str, by: str, **kwargs: Any) -> None:
        heard.append((queue_name, by))

    def note_end(sender: object, queue_name: str, **kwargs: Any) -> None:
        heard.append((queue_name, "resumed"))

    signals.queue_paused.connect(note_pause)
    signals.queue_resumed.connect(note_end)
    client = client_of("view_overview", "pause_queue")
    name = User.objects.get().get_username()
    client.post(reverse(f"{NAME}_pause", args=("low",)))
    assert not pause_queue("low")
    client.post(reverse(f"{NAME}_resume", args=("low",)))
    assert not resume_queue("low")
    client.post(reverse(f"{NAME}_pause", args=("*",)))
    client.post(reverse(f"{NAME}_resume", args=("*",)))
    assert heard == [("low", name), ("low", "resumed"), ("", name), ("", "resumed")]


def test_a_request_from_another_site_is_refused() -> None:
    client = client_of("view_overview", "pause_queue", enforce_csrf_checks=True)
    assert client.post(reverse(f"{NAME}_pause", args=("low",))).status_code == 403
    assert not PausedQueue.objects.exists()


def test_a_queue_that_there_is_not_is_not_found() -> None:
    client = client_of("view_overview", "pause_queue")
    assert client.post(reverse(f"{NAME}_pause", args=("nowhere",))).status_code == 404


# ---- the refresh --------------------------------------------------------------------------------


def test_the_refresh_brings_what_the_page_shows() -> None:
    live_worker()
    outage(
        started_at=timezone.now() - timedelta(minutes=9), ended_at=timezone.now(), open_marker=None
    )
    now = timezone.now().replace(second=0, microsecond=0)
    for n in range(3):
        Sample.objects.create(
            broker=address(),
            minute=now - timedelta(minutes=2 - n),
            taken_at=now - timedelta(minutes=2 - n),
            waiting=n,
            performed={"low": [60 * n, 0]},
        )
    client = client_of("view_overview")
    found = live(client)
    assert headline(found["parts"]["drq-now"]).startswith("Healthy")
    assert "1 outage in the last hour." in found["parts"]["drq-outages"]
    drawing = found["drawing"]
    assert len(drawing["times"]) == 61
    assert [len(each) for each in drawing["outages"]] == [2]
    (throughput, *_, letters) = drawing["charts"]
    assert (throughput["name"], letters["name"]) == ("throughput", "letters")
    assert max(filter(None, throughput["series"][0]["values"])) == 60
    assert "120 attempts, 0 of them from the database" in throughput["summary"]


def test_charts_come_again_when_there_is_something_new(settings: Settings) -> None:
    client = client_of("view_overview")
    drawn = live(client)["drawn"]
    while "drawing" in (found := live(client, drawn=drawn)):  # the minute may have ended
        drawn = found["drawn"]
    outage()
    assert "drawing" in live(client, drawn=drawn)


def test_ten_who_look_cost_as_much_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stores are asked once, however many ask at the same time."""
    asked: list[float] = []

    def count(**options: Any) -> Any:
        asked.append(time.monotonic())
        return collect(**options)

    monkeypatch.setattr(f"django_resilient_queue.{SHARING}.collect", count)
    monkeypatch.setattr(sharing._snapshot, "_seconds", 60.0)
    sharing.reset()
    threads = [threading.Thread(target=sharing.snapshot) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1
    monkeypatch.setattr(sharing._snapshot, "_seconds", 0.0)
    sharing.snapshot()
    assert len(asked) == 2, "an old answer is not shown"


@pytest.mark.parametrize("name", ["changelist", "live"])
def test_a_page_takes_as_many_statements_however_much_there_is(name: str) -> None:
    client = client_of("view_overview", "view_deadletter", "view_outage", "pause_queue")

    def statements() -> int:
        sharing.reset()
        with counted() as asked:
            assert client.get(reverse(f"{NAME}_{name}")).status_code == 200
        return len(asked)

    live_worker("first")
    letter("first", "builtins.ValueError")
    outage(ended_at=timezone.now(), open_marker=None)
    statements()
    of_one = statements()
    for n in range(30):
        live_worker(f"w-{n}")
        letter(f"l-{n}", f"builtins.Error{n}", "low" if n % 2 else "high")
        outage(ended_at=timezone.now(), open_marker=None)
        waiting_row(f"r-{n}", "low")
    assert statements() == of_one
    assert of_one <= 40


def test_a_week_of_charts_is_read_by_one_statement() -> None:
    """The other is for the throughput of the queues."""
    client = client_of("view_overview")
    with counted() as asked:
        page(client, span="week")
    assert len([sql for sql in asked if "sample" in sql and "waiting" in sql]) == 2


# ---- with stores away ---------------------------------------------------------------------------


@pytest.mark.alone
@pytest.mark.parametrize("how", AWAY)
@pytest.mark.parametrize("name", ["changelist", "live"])
def test_no_page_waits_for_redis(
    redis_server: RedisServer, settings: Settings, how: str, name: str, wait_until: WaitUntil
) -> None:
    """Half a second, however long enqueues may wait; and it says so."""
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "ENQUEUE_TIMEOUT": 5}
    live_worker()
    client = client_of("view_overview")

    def get() -> tuple[str, float]:
        sharing.reset()
        began = time.perf_counter()
        answer = client.get(reverse(f"{NAME}_{name}"))
        return answer.text, time.perf_counter() - began

    def get_without_redis() -> float:
        take_away(redis_server, how)
        text, took = get()
        words = "refuses connections" if how == "killed" else "does not answer"
        assert f"Degraded: Redis {words} since" in text
        bring_back(redis_server, how)
        wait_until(lambda: "Degraded: Redis" not in get()[0])
        return took

    usual = min(get()[1] for _ in range(5))
    # The least of some: on a busy machine anything may take long once.
    assert min(get_without_redis() for _ in range(3)) - usual < 0.5


def test_what_only_redis_knows_is_marked(redis_server: RedisServer) -> None:
    live_worker()
    redis_server.kill()
    assert "≥ 0" in page(client_of("view_overview"))


def test_the_stores_may_go_one_after_the_other(
    redis_server: RedisServer, database_server: ServerProcess
) -> None:
    """The page needs the database to know who asks; its parts can do without it."""
    live_worker()
    database_server.kill()
    found = sharing.snapshot()
    assert found.tables.outages is None
    assert not found.report.database.is_up
    assert sharing.history_of(SPANS["hour"]) is None
