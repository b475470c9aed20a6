"""What the demo runs on, in a folder that is thrown away: all of it is started and ended here."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections

from example_project.demo.child import Child, end_all
from example_project.demo.ledger import Ledger
from example_project.servers.redis import RedisServer

START_TIMEOUT = 25.0  # of everything together
WORKERS = 2
QUEUES = ("critical", "high", "default", "low")


class Stage:
    """Redis, database, mail server, web server and workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.password = secrets.token_urlsafe(9)
        self.ledger = Ledger()
        self.redis = RedisServer(folder / "redis")
        self.port = 0
        self.children: list[Child] = []
        self._ends = ExitStack()
        self._ready_by = time.monotonic() + START_TIMEOUT

    def __enter__(self) -> Stage:
        with self._ends:  # a start that fails ends what had started
            self._ends.enter_context(self.ledger)
            self._ends.enter_context(self.redis)
            self._prepare_database()
            self._start_children()
            self._ends = self._ends.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ends.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def time_to_start(self) -> float:
        """The seconds that are left of the time to start."""
        return max(0.0, self._ready_by - time.monotonic())

    def must_run(self) -> None:
        """Raise if the web server or a worker has ended."""
        for child in self.children:
            child.must_run()

    def _prepare_database(self) -> None:
        """This process reads the shop's tables, too: it points there before it first connects."""
        connections.databases["default"]["NAME"] = self.folder / "shop.sqlite3"
        self._ends.callback(connections.close_all)
        call_command("migrate", verbosity=0, interactive=False)
        User.objects.create_superuser("admin", "admin@example.com", self.password)

    def _start_children(self) -> None:
        os.environ.update(self._environment())  # the children inherit it
        self._ends.callback(end_all, self.children)
        # The kernel chooses the port; the server says which it was.
        serve = ("runserver", "--noreload", "--insecure", "127.0.0.1:0")
        web = Child("web", *serve, folder=self.folder)
        self.children.append(web)
        for n in range(1, WORKERS + 1):
            self.children.append(Child(f"worker-{n}", "rqworker", *QUEUES, folder=self.folder))
        address = web.wait_for_line(r"http://127\.0\.0\.1:(\d+)/", timeout=self.time_to_start)
        self.port = int(address)

    def _environment(self) -> dict[str, str]:
        return {
            "DEMO_DIR": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
            "PYTHONUNBUFFERED": "1",
            "REDIS_HOST": self.redis.host,
            "REDIS_PORT": str(self.redis.port),
            "REDIS_PASSWORD": "",
            "REDIS_DB": "0",
            "SECRET_KEY": settings.SECRET_KEY,  # one key: they sign for each other
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.ledger.port),
        }


def wait_until(condition: Callable[[], bool], *, timeout: float, pace: float = 0.1) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pace)
    return True
