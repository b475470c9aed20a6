"""What each store adds to the contract of claims: lost replies, and rows that Redis may hold."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings
from redis import Redis
from rq import RateLimit

from django_resilient_queue.exceptions import StoreAmbiguous, StoreRefused
from django_resilient_queue.models import DeadLetter, FallbackJob, WorkerHeartbeat
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.models.worker_heartbeat import Mode
from django_resilient_queue.stores.base import Verdict
from django_resilient_queue.stores.candidates import Candidates
from django_resilient_queue.stores.database import DatabaseStore
from django_resilient_queue.stores.links import link_to
from django_resilient_queue.stores.redis import EpochChanged, Push, RedisStore
from django_resilient_queue.stores.rows import Entry
from django_resilient_queue.stores.watch import Watch
from example_project.servers import FaultyProxy, RedisServer, ServerProcess
from tests.enqueueing import database_away, round_trips
from tests.patience import LIMIT
from tests.stores import QUEUES, DatabaseBench, RedisBench, Worker, bench_of, letters, snapshot

pytestmark = pytest.mark.django_db(transaction=True)
BROKER = "redis.example:6379/0"


def ids(claims: list[Any]) -> list[str]:
    return [claim.job_id for claim in claims]


# ---- Redis ------------------------------------------------------------------------------------


@pytest.fixture
def in_redis(redis_server: RedisServer) -> RedisBench:
    return RedisBench(redis_server)


def behind(proxy: FaultyProxy, bench: RedisBench) -> Worker:
    store = RedisStore(link_to(Redis(port=proxy.port), timeout=LIMIT))
    store.epoch = bench.epoch
    return Worker(store, "w")


def test_a_claim_whose_reply_was_lost_is_answered_with_the_same_jobs(
    in_redis: RedisBench, proxy: FaultyProxy
) -> None:
    in_redis.put_all(["a", "b", "c"])
    worker = behind(proxy, in_redis)
    in_redis.worker("loads the script").claim("nowhere")
    proxy.drop_reply(b"EVALSHA", times=1)
    with pytest.raises(StoreAmbiguous):
        worker.claim(limit=2)
    assert in_redis.state("a") == in_redis.state("b") == "active"
    claims = worker.claim(limit=2)
    assert ids(claims) == ["a", "b"]
    assert worker.renew(*claims) == set()
    assert in_redis.client.zcard("rq:wip:default") == 2
    assert ids(worker.claim(limit=2)) == ["c"]


def test_a_claim_that_never_arrived_is_made_when_it_is_repeated(
    in_redis: RedisBench, proxy: FaultyProxy
) -> None:
    in_redis.put_all(["a", "b"])
    worker = behind(proxy, in_redis)
    in_redis.worker("loads the script").claim("nowhere")
    proxy.drop_request(b"EVALSHA", times=1)
    with pytest.raises(StoreAmbiguous):
        worker.claim()
    assert ids(worker.claim()) == ["a", "b"]


def test_what_was_taken_away_since_is_not_answered_again(
    in_redis: RedisBench, proxy: FaultyProxy
) -> None:
    in_redis.put_all(["a", "b"])
    worker = behind(proxy, in_redis)
    other = in_redis.worker("other")
    other.claim("nowhere")  # loads the script
    proxy.drop_reply(b"EVALSHA", times=1)
    with pytest.raises(StoreAmbiguous):
        worker.claim()
    assert other.claim() == []
    (entry,) = in_redis.client.zrangebylex("rq:wip:default", "[a:", "(a;")
    in_redis.client.zrem("rq:wip:default", entry)
    assert ids(worker.claim()) == ["b"]


def test_a_settlement_whose_reply_was_lost_is_found_settled(
    in_redis: RedisBench, proxy: FaultyProxy
) -> None:
    in_redis.put_all(["a", "b"])
    worker = behind(proxy, in_redis)
    first, second = worker.claim()
    worker.store.settle(first, worker.finished(first))  # loads the script
    proxy.drop_reply(b"EVALSHA", times=1)
    with pytest.raises(StoreAmbiguous):
        worker.store.settle(second, worker.finished(second))
    assert worker.store.settle(second, worker.finished(second)) is Verdict.SETTLED
    assert in_redis.client.xlen("rq:results:b") == 1


def test_a_redis_of_another_epoch_gives_no_job_away(in_redis: RedisBench) -> None:
    in_redis.put("a")
    worker = in_redis.worker("w")
    in_redis.client.set("drq:epoch", "another")
    with pytest.raises(EpochChanged) as caught:
        worker.claim()
    assert caught.value.epoch == "another"
    assert in_redis.state("a") == "waiting"


def test_a_claim_is_one_command_for_all_queues_and_jobs(in_redis: RedisBench) -> None:
    for name in QUEUES:
        in_redis.put_all([f"{name}{n}" for n in range(5)], name)
    worker = in_redis.worker("w")
    worker.claim("nowhere")
    in_redis.client.config_resetstat()
    assert len(worker.claim(*QUEUES, limit=20)) == 20
    assert in_redis.client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1


def test_rq_sees_a_claimed_job_as_started(in_redis: RedisBench) -> None:
    in_redis.put("a")
    claim = in_redis.worker("w").take()
    assert in_redis.client.zrange("rq:wip:default", 0, -1) == [f"a:{claim.token}".encode()]
    assert in_redis.client.hget("rq:job:a", "status") == b"started"
    assert in_redis.client.smembers("rq:worker:w:executions") == {f"a:{claim.token}".encode()}


# ---- the database: rows that Redis may hold ---------------------------------------------------


@pytest.fixture
def table() -> DatabaseStore:
    watch = Watch("default", BROKER, "me", lease=lambda: 10.0)
    return DatabaseStore(broker=BROKER, watch=watch)


def dispatched(job_id: str, **columns: Any) -> None:
    entry = Entry(snapshot(job_id), State.DISPATCHED, redis_copy=True)
    DatabaseStore().insert(entry)
    FallbackJob.objects.filter(job_id=job_id).update(**columns or {"waits_for": ""})


def other_worker(mode: str, *in_flight: tuple[str, str]) -> None:
    now = timezone.now()
    values = {"mode": mode, "beat": "1", "in_flight": list(in_flight), "broker": BROKER}
    WorkerHeartbeat.objects.create(name="other", started_at=now, seen_at=now, **values)


def test_rows_that_redis_may_hold_are_claimed_when_nobody_uses_redis(table: DatabaseStore) -> None:
    dispatched("a")
    other_worker(Mode.DATABASE)
    assert table.watch is not None
    table.watch.look()
    (claim,) = Worker(table, "me").claim()
    assert (claim.job_id, claim.version) == ("a", 1)
    assert FallbackJob.objects.get().redis_copy


def test_they_are_left_alone_while_a_worker_uses_redis(table: DatabaseStore) -> None:
    dispatched("a")
    other_worker(Mode.REDIS)
    assert table.watch is not None
    table.watch.look()
    assert Worker(table, "me").claim() == []


def test_a_worker_that_went_to_redis_since_the_last_look_is_noticed(table: DatabaseStore) -> None:
    dispatched("a")
    assert table.watch is not None
    table.watch.look()
    other_worker(Mode.REDIS)
    assert Worker(table, "me").claim() == []


def test_what_a_live_worker_has_in_hand_is_left_to_it(table: DatabaseStore) -> None:
    dispatched("a")
    dispatched("b")
    other_worker(Mode.DATABASE, ("a", "token"))
    assert table.watch is not None
    table.watch.look()
    assert ids(Worker(table, "me").claim()) == ["b"]


def test_without_a_watch_only_ready_rows_are_claimed() -> None:
    dispatched("a")
    DatabaseStore().insert(Entry(snapshot("b"), State.READY))
    assert ids(Worker(DatabaseStore(), "me").claim()) == ["b"]


def test_both_kinds_of_rows_come_in_one_order(table: DatabaseStore) -> None:
    assert table.watch is not None
    table.watch.look()
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


def test_a_released_row_with_a_copy_in_redis_never_becomes_ready(table: DatabaseStore) -> None:
    dispatched("a")
    assert table.watch is not None
    table.watch.look()
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
    take = DatabaseStore._won

    def claim_from_another_connection() -> None:
        took.extend(ids(bench.worker("other").claim(limit=2)))
        connection.close()

    other = threading.Thread(target=claim_from_another_connection)

    def while_another_claims(*args: Any) -> list[FallbackJob]:
        monkeypatch.setattr(DatabaseStore, "_won", take)
        other.start()
        other.join(1)  # it either is done by then, or waits for the lock
        return take(*args)

    monkeypatch.setattr(DatabaseStore, "_won", while_another_claims)
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

    monkeypatch.setattr(DatabaseStore, "_can_skip_locked", lambda store: False)
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


# ---- a store that is away ---------------------------------------------------------------------


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_a_redis_that_is_away_says_so(in_redis: RedisBench, how: str) -> None:
    in_redis.put("a")
    worker = in_redis.worker("w")
    claim = worker.take()
    worker.store = RedisStore(link_to(in_redis.client, timeout=0.1))
    getattr(in_redis.server, how)()
    for ask in (
        lambda: worker.claim(),
        lambda: worker.renew(claim),
        lambda: worker.store.settle(claim, worker.finished(claim)),
        lambda: worker.store.release(claim),
    ):
        with pytest.raises((StoreRefused, StoreAmbiguous)):
            ask()


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
    database_server: ServerProcess, table: DatabaseStore, state: str, index: str
) -> None:
    if not connection.features.supports_partial_indexes:  # MariaDB has none
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, FallbackJob._meta.db_table)
        assert found[index]["columns"] == ["state", "queue_name", "at_front", "due_at", "id"]
        return
    table.insert(Entry(snapshot("0"), state, redis_copy=state == State.DISPATCHED))
    multiply(10_000)
    assert table.watch is not None
    table.watch.look()
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


def test_pushes_of_a_thousand_jobs_are_one_round_trip(
    in_redis: RedisBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_redis.put("first")
    job = snapshot("0")
    pushes = [Push(replace(job, job_id=f"{n}")) for n in range(1000)]
    with round_trips(monkeypatch) as made:
        answers = in_redis.store.push(pushes, epoch=in_redis.epoch, deadline=2**40)
    assert {answer.word for answer in answers} == {"pushed"}
    assert made == [1000]
