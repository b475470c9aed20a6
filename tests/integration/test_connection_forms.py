"""Each form of connection that RQ_QUEUES knows: a job lands there, bounded when that is dead."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django_rq
import pytest
import redis
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from pytest_django import Settings

from django_resilient_queue import get_job
from django_resilient_queue.models.fallback_job import State
from django_resilient_queue.stores.brokers import Broker, broker_of
from django_resilient_queue.stores.links import link_to
from example_project.servers import FaultyProxy, RedisServer, SentinelServer
from example_project.servers.certificates import Certificates
from tests.conftest import WaitUntil, reset_process_state
from tests.enqueueing import queue, row_of, seconds, stores
from tests.jobs import succeed
from tests.patience import LIMIT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.one_database]


@dataclass(frozen=True)
class Form:
    """One way to name a Redis, and where its jobs are to be found."""

    config: dict[str, Any]
    server: RedisServer
    db: int = 0
    address: str = ""

    @property
    def client(self) -> redis.Redis:
        return self.server.client(db=self.db)


class Builder:
    """Starts what a form needs; everything ends with the test."""

    def __init__(self, server: RedisServer, settings: Settings, directory: Path) -> None:
        self.server = server
        self.settings = settings
        self.directory = directory
        self.stack = ExitStack()

    def host(self) -> Form:
        return self._plain(DB=0)

    def host_with_db(self) -> Form:
        return self._plain(DB=5)

    def host_without_db(self) -> Form:
        return self._plain()

    def client_kwargs(self) -> Form:
        # What a project may have set: none of it may slow our own client down.
        kwargs = {"socket_timeout": 30, "protocol": 3, "client_name": "x"}
        return self._plain(DB=0, REDIS_CLIENT_KWARGS={**kwargs, "decode_responses": True})

    def url(self) -> Form:
        return self._url("/0")

    def url_with_db(self) -> Form:
        return self._url("/4", db=4)

    def url_with_options(self) -> Form:
        return self._url("/0?socket_timeout=30&retry_on_timeout=yes&health_check_interval=30")

    def url_and_db(self) -> Form:
        return Form({"URL": self.server.url[:-2], "DB": 3}, self.server, 3, self._address(3))

    def unix_socket(self) -> Form:
        path = str(self.server.unix_socket)
        return Form({"UNIX_SOCKET_PATH": path, "DB": 2}, self.server, 2, f"unix:{path}/2")

    def unix_socket_url(self) -> Form:
        path = str(self.server.unix_socket)
        return Form({"URL": f"unix://{path}?db=2"}, self.server, 2, f"unix:{path}/2")

    def password(self) -> Form:
        server = self._with_password()
        config = {"HOST": server.host, "PORT": server.port, "DB": 0, "PASSWORD": "s3cret"}
        return Form(config, server, 0, f"{server.host}:{server.port}/0")

    def password_in_url(self) -> Form:
        server = self._with_password()
        return Form({"URL": server.url}, server, 0, f"{server.host}:{server.port}/0")

    def username(self) -> Form:
        server = self._with_password()
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "jobs", "on", ">other", "~*", "+@all")
        login = {"USERNAME": "jobs", "PASSWORD": "other"}
        config = {"HOST": server.host, "PORT": server.port, "DB": 0, **login}
        return Form(config, server, 0, f"{server.host}:{server.port}/0")

    def sentinel(self) -> Form:
        return self._sentinel(DB=1)

    def sentinel_with_kwargs(self) -> Form:
        timeouts = {"socket_timeout": 30}
        return self._sentinel(DB=1, CONNECTION_KWARGS=timeouts, SENTINEL_KWARGS=timeouts)

    def tls(self) -> Form:
        proxy, ca_file = self._behind_tls()
        config = {"HOST": "localhost", "PORT": proxy.port, "DB": 0, "SSL": True}
        kwargs = {"REDIS_CLIENT_KWARGS": {"ssl_ca_certs": ca_file}}
        return Form({**config, **kwargs}, self.server, 0, f"localhost:{proxy.port}/0")

    def tls_url(self) -> Form:
        proxy, ca_file = self._behind_tls()
        url = f"rediss://localhost:{proxy.port}/0?ssl_ca_certs={ca_file}"
        return Form({"URL": url}, self.server, 0, f"localhost:{proxy.port}/0")

    def django_redis(self) -> Form:
        backend = "django_redis.cache.RedisCache"
        self._cache({"BACKEND": backend, "LOCATION": self.server.url[:-1] + "6"})
        return Form({"USE_REDIS_CACHE": "jobs"}, self.server, 6, self._address(6))

    def other_redis_cache(self) -> Form:
        # django-rq asks django-redis first, wherever that is installed.
        self.stack.enter_context(pytest.MonkeyPatch.context()).setitem(
            __import__("sys").modules, "django_redis", None
        )
        self._cache({"BACKEND": f"{__name__}.CacheWithClient", "LOCATION": self.server.url})
        return Form({"USE_REDIS_CACHE": "jobs"}, self.server, 0, self._address(0))

    # ---- parts -----------------------------------------------------------------------------------

    def _plain(self, **options: Any) -> Form:
        db = options.get("DB", 0)
        config = {"HOST": self.server.host, "PORT": self.server.port, **options}
        return Form(config, self.server, db, self._address(db))

    def _url(self, tail: str, db: int = 0) -> Form:
        return Form({"URL": self.server.url[:-2] + tail}, self.server, db, self._address(db))

    def _address(self, db: int) -> str:
        return f"{self.server.host}:{self.server.port}/{db}"

    def _with_password(self) -> RedisServer:
        return self.stack.enter_context(RedisServer(options={"requirepass": "s3cret"}))

    def _sentinel(self, **options: Any) -> Form:
        watcher = self.stack.enter_context(SentinelServer(self.server))
        named = {"SENTINELS": [watcher.address], "MASTER_NAME": watcher.service_name}
        return Form({**named, **options}, self.server, 1, f"sentinel:{watcher.service_name}/1")

    def _behind_tls(self) -> tuple[FaultyProxy, str]:
        certificates = Certificates(self.directory)
        # Each TLS connection reads the system's authorities, of which a machine may have hundreds.
        patch = self.stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SSL_CERT_FILE", os.devnull)
        proxy = FaultyProxy(self.server.host, self.server.port, tls=certificates.server_context())
        return self.stack.enter_context(proxy), str(certificates.ca_file)

    def _cache(self, config: dict[str, str]) -> None:
        self.settings.CACHES = {**self.settings.CACHES, "jobs": config}
        self.stack.callback(caches["jobs"].close)


class CacheWithClient(BaseCache):
    """As django-redis-cache: django-rq takes its client from it."""

    def __init__(self, location: str, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._master = redis.Redis.from_url(location)

    def get_master_client(self) -> redis.Redis:
        return self._master


FORMS = sorted(name for name in vars(Builder) if not name.startswith("_"))


@pytest.fixture
def build(
    redis_server: RedisServer, settings: Settings, tmp_path: Path
) -> Iterator[Callable[[str], Form]]:
    builder = Builder(redis_server, settings, tmp_path)

    def one(name: str) -> Form:
        form: Form = getattr(builder, name)()
        settings.RQ_QUEUES = {"default": {"DEFAULT_TIMEOUT": 60, **form.config}}
        reset_process_state()
        return form

    with builder.stack:
        yield one


def broker() -> Broker:
    return broker_of(queue().connection)


each_form = pytest.mark.parametrize("name", FORMS)


@each_form
def test_a_job_lands_in_the_redis_that_the_form_names(
    build: Callable[[str], Form], name: str
) -> None:
    form = build(name)
    job = django_rq.enqueue(succeed, 1)
    assert stores([job]) == {"redis"}
    with form.client as client:
        assert client.lrange("rq:queue:default", 0, -1) == [job.id.encode()]
    found = get_job(job.id)
    assert found is not None
    assert found.backend == "redis"


@each_form
def test_our_own_client_is_bounded_and_retries_nothing(
    build: Callable[[str], Form], name: str, settings: Settings
) -> None:
    settings.RESILIENT_QUEUE = {"ENQUEUE_TIMEOUT": 0.2}
    build(name)
    pool = broker().link.pool
    assert pool is not queue().connection.connection_pool
    kwargs = pool.connection_kwargs
    assert (kwargs["socket_timeout"], kwargs["socket_connect_timeout"]) == (0.2, 0.1)
    assert kwargs["retry"].get_retries() == 0
    assert kwargs["decode_responses"] is False


@each_form
def test_the_form_is_named_without_user_and_password(
    build: Callable[[str], Form], name: str
) -> None:
    form = build(name)
    assert broker().address == form.address
    assert "s3cret" not in broker().address


@pytest.mark.alone
@pytest.mark.parametrize("how", ["kill", "freeze"])
@each_form
def test_with_that_redis_dead_the_job_is_in_the_database_in_time(
    build: Callable[[str], Form], name: str, how: str
) -> None:
    form = build(name)
    getattr(form.server, how)()

    def enqueue() -> None:
        job = django_rq.enqueue(succeed, 1)
        assert stores([job]) == {"database"}
        assert row_of(job).state == State.READY

    def in_a_new_process() -> float:
        reset_process_state()
        return seconds(enqueue)

    assert any(in_a_new_process() <= 0.3 for _ in range(5))


@pytest.mark.alone
@pytest.mark.parametrize("name", ["host", "url", "unix_socket", "sentinel", "tls", "django_redis"])
def test_a_connection_that_was_open_before_is_bounded_as_well(
    build: Callable[[str], Form], name: str
) -> None:
    form = build(name)
    django_rq.enqueue(succeed, "a connection is open now")

    def in_a_frozen_moment() -> float:
        with form.server.frozen():
            return seconds(lambda: stores([django_rq.enqueue(succeed, 1)]))

    assert any(in_a_frozen_moment() <= 0.3 for _ in range(3))


# ---- what is special in some forms ------------------------------------------------------------


def test_after_a_failover_jobs_go_to_the_new_master(
    redis_server: RedisServer, settings: Settings, wait_until: WaitUntil
) -> None:
    with (
        RedisServer() as master,
        RedisServer(replica_of=master) as replica,
        SentinelServer(master) as watcher,
    ):
        sentinels = [watcher.address]
        settings.RQ_QUEUES = {"default": {"SENTINELS": sentinels, "MASTER_NAME": "main", "DB": 0}}
        reset_process_state()

        with watcher.client() as client:
            wait_until(lambda: client.sentinel_slaves("main"))
        assert stores([django_rq.enqueue(succeed)]) == {"redis"}
        settings.RESILIENT_QUEUE = {"FAILURE_THRESHOLD": 1000}
        master.kill()
        assert stores([django_rq.enqueue(succeed)]) == {"database"}
        wait_until(lambda: stores([django_rq.enqueue(succeed)]) == {"redis"})
        with replica.client() as client:
            assert client.llen("rq:queue:default") >= 1


@pytest.mark.alone
def test_a_dead_sentinel_costs_no_more_than_a_dead_redis(
    redis_server: RedisServer, settings: Settings
) -> None:
    with SentinelServer(redis_server) as watcher:
        sentinels = [watcher.address]
        settings.RQ_QUEUES = {"default": {"SENTINELS": sentinels, "MASTER_NAME": "main", "DB": 0}}

        def in_a_new_process() -> float:
            reset_process_state()
            return seconds(lambda: stores([django_rq.enqueue(succeed)]))

        with watcher.frozen():
            assert any(in_a_new_process() <= 0.3 for _ in range(3))
        watcher.kill()
        assert any(in_a_new_process() <= 0.3 for _ in range(3))


def test_a_certificate_that_is_not_trusted_is_a_refusal(
    build: Callable[[str], Form], settings: Settings
) -> None:
    form = build("tls")
    plain = {key: value for key, value in form.config.items() if key != "REDIS_CLIENT_KWARGS"}
    settings.RQ_QUEUES = {"default": plain}
    reset_process_state()
    job = django_rq.enqueue(succeed)
    assert row_of(job).state == State.READY


def test_a_wrong_password_is_a_refusal(build: Callable[[str], Form], settings: Settings) -> None:
    form = build("password")
    settings.RQ_QUEUES = {"default": {**form.config, "PASSWORD": "wrong"}}
    reset_process_state()
    job = django_rq.enqueue(succeed)
    assert (stores([job]), row_of(job).state) == ({"database"}, State.READY)


def test_two_logins_of_one_server_are_two_brokers(build: Callable[[str], Form]) -> None:
    form = build("password")
    connection = queue().connection
    other = redis.Redis(host=form.server.host, port=form.server.port, username="u", password="p")
    assert broker_of(connection) is broker()
    assert broker_of(other) is not broker()


def test_a_link_shares_nothing_with_the_projects_own_pool(build: Callable[[str], Form]) -> None:
    build("client_kwargs")
    connection = queue().connection
    before = dict(connection.connection_pool.connection_kwargs)
    link = link_to(connection, timeout=LIMIT)
    link.call("PING")
    assert connection.connection_pool.connection_kwargs == before
    assert before["socket_timeout"] == 30
