"""What the database adds to the contract of a store: rows that Redis may hold, and many."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings
from rq import RateLimit

from django_resilient_queue.exceptions import StoreAmbiguous, StoreRefused
from django_resilient_queue.models import DeadLetter, FallbackJob, WorkerHeartbeat
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.models.worker_heartbeat import Mode
from django_resilient_queue.stores.candidates import Candidates
from django_resilient_queue.stores.claiming import Claiming
from django_resilient_queue.stores.database import DatabaseStore
from django_resilient_queue.stores.rows import Entry
from django_resilient_queue.stores.watch import Watch
from example_project.servers import RedisServer, ServerProcess
from tests.enqueueing import database_away
from tests.stores import QUEUES, DatabaseBench, Worker, bench_of, ids, letters, snapshot

pytestmark = pytest.mark.django_db(transaction=True)
BROKER = "redis.example:6379/0"


@pytest.fixture
def watch() -> Watch:
    return Watch("default", BROKER, "me", lease=lambda: 10.0)


@pytest.fixture
def table(watch: Watch) -> DatabaseStore:
    return DatabaseStore(broker=BROKER, watch=watch)


def dispatched(job_id: str, **columns: Any) -> None:
    entry = Entry(snapshot(job_id), State.DISPATCHED, redis_copy=True)
    DatabaseStore().insert(entry)
    FallbackJob.objects.filter(job_id=job_id).update(**columns or {"waits_for": ""})


def other_worker(mode: str, *in_flight: tuple[str, str]) -> None:
    now = timezone.now()
    values = {"mode": mode, "beat": "1", "in_flight": list(in_flight), "broker": BROKER}
    WorkerHeartbeat.objects.create(name="other", started_at=now, seen_at=now, **values)


def test_rows_that_redis_may_hold_are_claimed_when_nobody_uses_redis(
    table: DatabaseStore, watch: Watch
) -> None:
    dispatched("a")
    other_worker(Mode.DATABASE)
    watch.look()
    (claim,) = Worker(table, "me").claim()
    assert (claim.job_id, claim.version) == ("a", 1)
    assert FallbackJob.objects.get().redis_copy


def test_they_are_left_alone_while_a_worker_uses_redis(table: DatabaseStore, watch: Watch) -> None:
    dispatched("a")
    other_worker(Mode.REDIS)
    watch.look()
    assert Worker(table, "me").claim() == []


def test_a_worker_that_went_to_redis_since_the_last_look_is_noticed(
    table: DatabaseStore, watch: Watch
) -> None:
    dispatched("a")
    watch.look()
    other_worker(Mode.REDIS)
    assert Worker(table, "me").claim() == []


def test_what_a_live_worker_has_in_hand_is_left_to_it(table: DatabaseStore, watch: Watch) -> None:
    dispatched("a")
    dispatched("b")
    other_worker(Mode.DATABASE, ("a", "token"))
    watch.look()
    assert ids(Worker(table, "me").claim()) == ["b"]


def test_without_a_watch_only_ready_rows_are_claimed() -> None:
    dispatched("a")
    DatabaseStore().insert(Entry(snapshot("b"), State.READY))
    assert ids(Worker(DatabaseStore(), "me").claim()) == ["b"]


def test_both_kinds_of_rows_come_in_one_order(table: DatabaseStore, watch: Watch) -> None:
    watch.look()
    dispatched("a")
    DatabaseStore().insert(Entry(snapshot("b"), State.READY))
    dispatched("c")
    DatabaseStore().insert(Entry(snapshot("urgent", "critical"), State.READY))
    worker = Worker(table, "me")
    assert ids(worker.claim(*QUEUES, limit=3)) == ["urgent", "a", "b"]
    assert ids(worker.claim(*QUEUES, limit=3)) == ["c"]


def test_a_row_that_waits_for_what_only_redis_knows_is_not_claimed() -> None:
    DatabaseStore().insert(Entry(snapshot("a"), State.READY, waits_for="dependencies"))
    assert Worker(DatabaseStore(), "me").claim() == []


def test_a_released_row_with_a_copy_in_redis_never_becomes_ready(
    table: DatabaseStore, watch: Watch
) -> None:
    dispatched("a")
    watch.look()
    worker = Worker(table, "me")
    assert table.release(worker.take())
    assert FallbackJob.objects.get().state == State.DISPATCHED


def test_the_database_keeps_to_a_rate_limit() -> None:
    bench = DatabaseBench()
    bench.put_all("abc", rate_limit=RateLimit("mails", 2))
    bench.put("free")
    worker = bench.worker("w")
    first = worker.claim()
    assert ids(first) == ["a", "b", "free"]
    assert worker.claim() == []
    worker.store.settle(first[0], worker.finished(first[0]))
    assert ids(worker.claim()) == ["c"]


def test_two_that_claim_at_once_keep_to_a_rate_limit_together(
    database_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = DatabaseBench()
    bench.put_all("abc", rate_limit=RateLimit("mails", 2))
    took: list[str] = []
    take = Claiming._won

    def claim_from_another_connection() -> None:
        took.extend(ids(bench.worker("other").claim(limit=2)))
        connection.close()

    other = threading.Thread(target=claim_from_another_connection)

    def while_another_claims(*args: Any) -> list[FallbackJob]:
        monkeypatch.setattr(Claiming, "_won", take)
        other.start()
        other.join(1)  # it either is done by then, or waits for the lock
        return take(*args)

    monkeypatch.setattr(Claiming, "_won", while_another_claims)
    took += ids(bench.worker("w").claim(limit=1))
    other.join()
    assert len(took) == 2


def test_a_row_that_was_replaced_between_a_look_and_its_claim_is_left_as_it_is_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where rows are found before the lock is taken."""
    bench = DatabaseBench()
    bench.put_all("ab")
    first = Candidates.first

    def replaced_meanwhile(*args: Any, **kwargs: Any) -> list[FallbackJob]:
        found = first(*args, **kwargs)
        bench.put("a", "default")
        return found

    monkeypatch.setattr(Claiming, "_can_skip_locked", lambda claiming: False)
    with monkeypatch.context() as patched:
        patched.setattr(Candidates, "first", replaced_meanwhile)
        assert ids(bench.worker("w").claim()) == ["b"]
    current = FallbackJob.objects.get(job_id="a")
    assert (current.state, current.claim_token) == (State.READY, "")
    assert bench.worker("w").take().snapshot.generation == current.generation


def test_a_row_that_cannot_be_read_is_a_dead_letter_with_its_bytes() -> None:
    bench = DatabaseBench()
    bench.put_all(["a", "b"])
    bench.spoil("a")
    assert ids(bench.worker("w").claim()) == ["b"]
    assert letters() == [("a", "undecodable")]
    assert bytes(DeadLetter.objects.get().payload) == b"1" + b"x" * 60
    assert not FallbackJob.objects.filter(job_id="a").exists()


def test_a_row_whose_key_was_rotated_away_is_a_dead_letter(settings: Settings) -> None:
    bench = DatabaseBench()
    bench.put("a")
    settings.SECRET_KEY, old = "another", settings.SECRET_KEY
    bench.put("b")
    settings.SECRET_KEY_FALLBACKS = [old]
    worker = bench.worker("w")
    assert ids(worker.claim(limit=1)) == ["a"]
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [], "yet another"
    assert worker.claim() == []
    assert letters() == [("b", "undecodable")]


def test_looking_for_work_that_is_not_there_takes_no_lock() -> None:
    worker = DatabaseBench().worker("w")
    with CaptureQueriesContext(connection) as queries:
        assert worker.claim() == []
    assert [q for q in queries if not q["sql"].lstrip().startswith("SELECT")] == []
    assert not [q for q in queries if "FOR UPDATE" in q["sql"]]


def test_a_database_that_refuses_says_so(settings: Settings) -> None:
    with database_away(settings), pytest.raises(StoreRefused):
        DatabaseBench().worker("w").claim()


def test_a_database_server_that_died_says_so_and_is_found_again(
    database_server: ServerProcess, redis_server: RedisServer
) -> None:
    bench = bench_of("database", redis_server)
    bench.put("a")
    worker = bench.worker("w")
    database_server.kill()
    with pytest.raises((StoreRefused, StoreAmbiguous)):
        worker.claim()
    with pytest.raises(StoreRefused):
        worker.claim()
    database_server.start()
    assert ids(worker.claim()) == ["a"]


# ---- ten thousand rows ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "index"),
    [(State.READY, "drq_job_ready"), (State.DISPATCHED, "drq_job_dispatched")],
)
def test_a_claim_among_ten_thousand_rows_reads_the_partial_index_in_its_order(
    database_server: ServerProcess, table: DatabaseStore, watch: Watch, state: str, index: str
) -> None:
    if not connection.features.supports_partial_indexes:  # MariaDB has none
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, FallbackJob._meta.db_table)
        assert found[index]["columns"] == ["state", "queue_name", "at_front", "due_at", "id"]
        return
    table.insert(Entry(snapshot("0"), state, redis_copy=state == State.DISPATCHED))
    multiply(10_000)
    watch.look()
    with CaptureQueriesContext(connection) as queries:
        assert len(Worker(table, "me").claim(*QUEUES, limit=10)) == 10
    selects = [query["sql"] for query in queries if "ORDER BY" in query["sql"]]
    *_, claim = [sql for sql in selects if f"'{state}'" in sql]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {claim}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert f"Index Scan using {index}" in plan
    assert "Sort" not in plan


def multiply(times: int) -> None:
    """Copies the one row, each copy with an id and a time of its own."""
    table = FallbackJob._meta.db_table
    fields = FallbackJob._meta.concrete_fields
    columns = [str(field.column) for field in fields if not field.primary_key]
    changed = {"job_id": "n::text", "due_at": "due_at + n * interval '1 ms'"}
    values = [changed.get(column, column) for column in columns]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)})"
            f" SELECT {', '.join(values)} FROM {table}, generate_series(1, {times}) AS n"
        )
        cursor.execute(f"ANALYZE {table}")
