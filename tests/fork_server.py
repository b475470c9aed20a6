"""Has imported once what every worker imports, and forks one at each request: `tests/starter.py`
asks. A program of its own; Django's settings are read after the fork, as after any start.

A worker is the child of a keeper that does nothing but wait for it, and ends with that.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

# Of others, and of what needs no settings: one that reads them fails here, where there are none.
# Not sentry_sdk: what has imported it counts as a project that uses it.
LIBRARIES = (
    "django.contrib.admin.helpers",
    "django.contrib.admin.views.main",
    "django.contrib.postgres.fields",
    "django.core.management.commands.check",
    "django.db.backends.sqlite3.base",
    "health_check.views",
    "jsonpatch",
    "prometheus_client",
    "redis.asyncio",
    "rest_framework.serializers",
    "rq.cron",
    "rq.worker",
)
PR_SET_PDEATHSIG = 1


def serve() -> None:
    """Returns in each worker, with all set for it, and in the server once the tests are over."""
    requests = socket.socket(fileno=0)
    server = os.getpid()
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 2)
        wait_for_ended_keepers()
        if not message:
            sys.exit()
        if os.fork():
            for descriptor in descriptors:
                os.close(descriptor)
            continue
        requests.detach()  # /dev/null takes its place
        end_with(server)
        log, report = descriptors
        keep(socket.socket(fileno=report))
        return become(log, **json.loads(message))


def wait_for_ended_keepers() -> None:
    """What a worker has cost is part of what the tests have cost."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def end_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def keep(report: socket.socket) -> None:
    """Forks the worker, which returns. Its pid stays its own until the tests know how it ended."""
    keeper = os.getpid()
    pid = os.fork()
    if not pid:
        report.close()
        end_with(keeper)
        return
    report.send(b"%d" % pid)
    end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert end is not None
    report.send(b"%d" % (end.si_status if end.si_code == os.CLD_EXITED else -end.si_status))
    report.recv(1)
    os.waitpid(pid, 0)
    os._exit(0)


def become(log: int, command: list[str], directory: str, environment: dict[str, str]) -> None:
    """What `subprocess` would have set for a program of its own."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, number in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, number)
    os.close(nothing)
    os.close(log)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = command


if __name__ == "__main__":
    for name in LIBRARIES:
        importlib.import_module(name)
    # A thread would be missing after the fork.
    assert len(list(Path("/proc/self/task").iterdir())) == 1
    gc.collect()
    gc.freeze()  # or each child would copy all pages to count in them
    serve()
    runpy.run_path(sys.argv[0], run_name="__main__")
