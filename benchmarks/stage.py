"""Servers and settings of the benchmarks: started and ended here, on ports that are free."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from example_project.servers import PostgresServer, RedisServer  # noqa: E402


class Stage:
    """A Redis, a database, and Django set up for both."""

    def __init__(self, *, database: str) -> None:
        self.database = database
        self.redis = RedisServer()
        # Commits reach the disk, as in production: the outbox is to pay for its row in full.
        durable = {"fsync": "on"}
        self.postgres = PostgresServer(options=durable) if database == "postgres" else None
        self._folder = tempfile.TemporaryDirectory(prefix="drq-bench-")

    def __enter__(self) -> Self:
        self.redis.start()
        if self.postgres is not None:
            self.postgres.start()
        self._configure()
        self.describe()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        from django.db import connections

        connections.close_all()
        if self.postgres is not None:
            self.postgres.stop()
        self.redis.stop()
        self._folder.cleanup()

    @property
    def folder(self) -> Path:
        """A directory that goes away with the stage."""
        return Path(self._folder.name)

    def clear(self) -> None:
        """Empty both stores between rounds."""
        from django_resilient_queue import queues
        from django_resilient_queue.models import FallbackJob

        self.redis.flush()
        queues.reset()  # a producer that met another epoch would go by way of the database
        FallbackJob.objects.all().delete()

    def describe(self) -> None:
        """Say on what the figures were taken."""
        import django
        import redis
        import rq

        version = self.redis.client().info("server")["redis_version"]
        print(
            f"Python {platform.python_version()}, Django {django.__version__}, rq {rq.VERSION},"
            f" redis-py {redis.__version__}, Redis {version}, {self.database},"
            f" {os.cpu_count()} cores, {platform.machine()}"
        )

    def _configure(self) -> None:
        os.environ["DRQ_TEST_REDIS_PORT"] = str(self.redis.port)
        os.environ["DRQ_TEST_DB"] = self.database
        os.environ["DRQ_TEST_DB_NAME"] = str(Path(self._folder.name) / "bench.sqlite3")
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        if self.postgres is not None:
            self.postgres.create_database("drq")
            os.environ["DRQ_TEST_DB_NAME"] = "drq"
            os.environ["DRQ_TEST_DB_HOST"] = self.postgres.host
            os.environ["DRQ_TEST_DB_PORT"] = str(self.postgres.port)
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as a Markdown table."""
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def multiply(model: type, varied: dict[str, str], count: int) -> None:
    """Have the database make *count* rows of the one that is there; *varied* are columns as SQL,
    in which n is the row's number."""
    from django.db import connection

    meta = model._meta  # type: ignore[attr-defined]
    names = [field.column for field in meta.concrete_fields if not field.primary_key]
    values = [varied.get(name, name) for name in names]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {meta.db_table} ({', '.join(names)}) SELECT {', '.join(values)}"
            f" FROM {meta.db_table}, generate_series(2, {count}) AS n"
        )
