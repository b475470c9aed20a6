"""The servers of one test session, and the environment that tells others about them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from example_project.servers import (
    MariaDBServer,
    PostgresServer,
    RedisServer,
    ServerProcess,
)

# A killed server repeats all since its last checkpoint, for half a minute after many tests.
QUICK_TO_RECOVER = {"checkpoint_timeout": "30s", "full_page_writes": "off"}
DATABASE_SERVERS: dict[str, Callable[[], ServerProcess]] = {
    "postgres": lambda: PostgresServer(options=QUICK_TO_RECOVER),
    "mariadb": MariaDBServer,
}


class Services:
    """Redis and the chosen database; SQLite is a file in a directory that goes away."""

    def __init__(self, database: str) -> None:
        self.database_kind = database
        self.directory = Path(tempfile.mkdtemp(prefix="drq-tests-"))
        self.redis = RedisServer()
        self.database: ServerProcess | None = None
        self._redis_configuration: dict[str, Any] = {}

    def start(self) -> None:
        self.redis.start()
        self._redis_configuration = self._configuration()
        if self.database_kind in DATABASE_SERVERS:
            self.database = DATABASE_SERVERS[self.database_kind]().start()

    def close(self) -> None:
        self.redis.close()
        if self.database is not None:
            self.database.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        variables = {
            "DRQ_TEST_DB": self.database_kind,
            "DRQ_TEST_DB_NAME": "drq",
            "DRQ_TEST_REDIS_HOST": self.redis.host,
            "DRQ_TEST_REDIS_PORT": str(self.redis.port),
        }
        if self.database is None:
            return variables | {"DRQ_TEST_DB_NAME": str(self.directory / "drq.sqlite3")}
        return variables | {
            "DRQ_TEST_DB_HOST": self.database.host,
            "DRQ_TEST_DB_PORT": str(self.database.port),
        }

    def restore_redis(self) -> None:
        """Whatever a test has done to it: it runs, is empty and is configured as at the start."""
        self.redis.close_clients()
        self.redis.thaw()
        if not (self.redis.is_running and self._is_unchanged()):
            self.redis.kill()
            self.redis.wipe()
            self.redis.start()
        self.redis.flush()

    def restore_database(self) -> None:
        if self.database is not None:
            self.database.thaw()
            self.database.start()

    def _is_unchanged(self) -> bool:
        with suppress(RedisError):
            return self._configuration() == self._redis_configuration
        return False

    def _configuration(self) -> dict[str, Any]:
        with self.redis.client() as client:
            client.client_unpause()
            return dict(client.config_get("*"))
