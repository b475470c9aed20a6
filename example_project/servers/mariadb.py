"""MariaDB as a child process. Its programs come from the system: no package carries them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from example_project.servers.processes import ServerError, ServerProcess, run_once

HOW_TO_INSTALL = """\
No MariaDB server found. One of these helps:
  apt-get install mariadb-server, brew install mariadb, dnf install mariadb-server
  DRQ_MARIADB_BIN=/path/to/mariadbd"""
USER = "drq"


class MariaDBServer(ServerProcess):
    """A server of its own with the user `drq`, who may do everything and needs no password."""

    kind = "mariadb"
    start_timeout = 60

    def __init__(
        self,
        directory: Path | str | None = None,
        *,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory)
        # 2: a commit that was answered is with the operating system, and outlives a killed server.
        # With 0 the last second of commits would be lost, which no test here means by a kill.
        self.options = {"innodb-flush-log-at-trx-commit": "2"} | dict(options or {})
        self.data = self.directory / "data"
        self.init_file = self.directory / "user.sql"
        self.unix_socket = self.directory / "mariadb.sock"

    @property
    def url(self) -> str:
        return f"mysql://{USER}@{self.host}:{self.port}/"

    def settings(self, name: str = "drq") -> dict[str, Any]:
        """An entry for Django's DATABASES; `create_database` makes the database."""
        use_pymysql()
        return {
            "ENGINE": "django.db.backends.mysql",
            "NAME": name,
            "HOST": self.host,
            "PORT": str(self.port),
            "USER": USER,
            "PASSWORD": "",
            "OPTIONS": {"connect_timeout": 5, "charset": "utf8mb4"},
        }

    def create_database(self, name: str = "drq") -> None:
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{name}`")

    def prepare(self) -> None:
        if self.data.exists():
            return
        # Run at each start, since the installer can't make a user.
        self.init_file.write_text(
            f"CREATE USER IF NOT EXISTS '{USER}'@'{self.host}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'{self.host}' WITH GRANT OPTION;\n"
        )
        run_once(
            [
                _beside(mariadb_binary(), "mariadb-install-db"),
                "--no-defaults",
                f"--datadir={self.data}",
                f"--tmpdir={self.directory}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *_as_root(),
            ],
            directory=self.directory,
        )

    def command(self) -> Sequence[str]:
        settings = {
            "datadir": str(self.data),
            # One that starts removes the temporary tables that it finds: they may be another's.
            "tmpdir": str(self.directory),
            "bind-address": self.host,
            "port": str(self.port),
            "socket": str(self.unix_socket),
            "init-file": str(self.init_file),
            "pid-file": str(self.directory / "mariadb.pid"),
            "skip-name-resolve": "ON",
        }
        pairs = (settings | self.options).items()
        arguments = [f"--{name}={value}" for name, value in pairs]
        return [mariadb_binary(), "--no-defaults", *arguments, *_as_root()]

    def is_ready(self) -> bool:
        """A server that has no user `drq` is another's."""
        import pymysql

        with suppress(pymysql.MySQLError), self._connect() as connection:
            return bool(connection.open)
        return False

    def _connect(self) -> Any:
        import pymysql

        return pymysql.connect(
            host=self.host, port=self.port, user=USER, connect_timeout=2, autocommit=True
        )


def mariadb_binary() -> str:
    candidates = [os.environ.get("DRQ_MARIADB_BIN"), shutil.which("mariadbd"), "/usr/sbin/mariadbd"]
    for candidate in filter(None, candidates):
        if os.access(candidate, os.X_OK):
            return candidate
    raise ServerError(HOW_TO_INSTALL)


def use_pymysql() -> None:
    """Stands in for mysqlclient, which Django asks for and which must be compiled."""
    import pymysql

    pymysql.install_as_MySQLdb()


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _beside(binary: str, program: str) -> str:
    """The installer is in bin, the server often in sbin."""
    found = shutil.which(program, path=f"{Path(binary).parent}:{os.environ['PATH']}:/usr/bin")
    if found is None:
        raise ServerError(HOW_TO_INSTALL)
    return found
