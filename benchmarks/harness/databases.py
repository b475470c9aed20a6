"""The two databases of the harness, asked with their own clients: what is left in the tables."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from example_project.servers import PostgresServer

ROOT = Path(__file__).parents[2]
TABLE = "django_resilient_queue_"


class Database(Protocol):
    """A fresh database for each row of the table, a copy of one that was migrated once."""

    server: PostgresServer | None

    def fresh(self, name: str) -> dict[str, Any]: ...

    def ask(self, query: str) -> list[tuple[Any, ...]]: ...

    def close(self) -> None: ...


class Sqlite:
    server: PostgresServer | None = None

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._template = directory / "template.sqlite3"
        self._file = self._template
        migrate(self._settings())

    def fresh(self, name: str) -> dict[str, Any]:
        self._file = self.directory / f"{name}.sqlite3"
        shutil.copy(self._template, self._file)
        return self._settings()

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self._file, timeout=20)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def close(self) -> None:
        """Nothing runs."""

    def _settings(self) -> dict[str, Any]:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(self._file),
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }


class Postgres:
    server: PostgresServer | None

    def __init__(self, directory: Path) -> None:
        self.server = self._server = PostgresServer().start()
        self._server.create_database("template")
        self._name = "template"
        migrate(self._server.settings("template"))

    def fresh(self, name: str) -> dict[str, Any]:
        import psycopg

        self._name = name
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "template"')
        return self._server.settings(name)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        import psycopg

        url = self._server.url.rpartition("/")[0] + f"/{self._name}"
        with psycopg.connect(url, connect_timeout=5) as connection:
            return connection.execute(query).fetchall()

    def close(self) -> None:
        self._server.close()


def open_database(kind: str, directory: Path) -> Database:
    return Postgres(directory) if kind == "postgres" else Sqlite(directory)


def migrate(settings: Mapping[str, Any]) -> None:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "DRQ_BENCH_DATABASE": json.dumps(settings),
        "DRQ_BENCH_QUEUE": json.dumps({"HOST": "127.0.0.1", "PORT": 1}),
    }
    command = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
