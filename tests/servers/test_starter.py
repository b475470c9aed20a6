"""A command that was forked finds what it finds when started from the command line, and ends so."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WaitUntil
from tests.starter import INTERPRETER, Starter
from tests.workers import WorkerProcess, worker_environment

LOOK = """
import faulthandler, json, os, signal, sys, warnings
from pathlib import Path

status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
opened = {each.name: each for each in Path("/proc/self/fd").iterdir()}
ours = {"django_resilient_queue", "django_rq", "example_project", "sentry_sdk", "tests"}
print(json.dumps({
    "arguments": sys.argv,
    "descriptors": {name: str(each.readlink()) for name, each in opened.items() if each.exists()},
    "directory": os.getcwd(),
    "environment": dict(os.environ),
    "faults": faulthandler.is_enabled(),
    "leads": [os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid()],
    "main": sys.modules["__main__"].__file__,
    "modules": sorted(name for name in sys.modules if name.split(".")[0] in ours),
    "path": sys.path,
    "signals": [status[name] for name in ("SigBlk", "SigIgn", "SigCgt")],
    "handlers": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
    "threads": len(os.listdir("/proc/self/task")),
    "umask": os.umask(0),
    "warnings": [str(each) for each in warnings.filters],
    "without bytecode": sys.dont_write_bytecode,
}))
"""


def shell(code: str, directory: Path, starter: Starter | None, **environment: str) -> WorkerProcess:
    known = worker_environment(database_name=":memory:", redis_port=None, settings=None, rq=None)
    return WorkerProcess(
        ["shell", "--no-imports", "--command", code],
        log=directory / "log",
        environment={**known, **environment},
        starter=starter,
    )


def seen(directory: Path, starter: Starter | None, **environment: str) -> dict[str, Any]:
    process = shell(LOOK, directory, starter, **environment)
    assert process.wait() == 0, process.output
    found: dict[str, Any] = json.loads(process.output)
    process.log.unlink()
    return found


@pytest.fixture
def own_starter(tmp_path: Path) -> Iterator[Starter]:
    """One that a test may end."""
    running = Starter(tmp_path / "starter")
    yield running
    running.close()


@pytest.fixture
def sleeper(tmp_path: Path, own_starter: Starter, wait_until: WaitUntil) -> Iterator[WorkerProcess]:
    process = shell("import time; print('up'); time.sleep(60)", tmp_path, own_starter)
    wait_until(lambda: process.output == "up\n")
    yield process
    process.close()


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_forked_command_finds_all_as_if_started_by_itself(
    starter: Starter, tmp_path: Path
) -> None:
    told = {"DRQ_TEST_HELLO": "you"}
    assert seen(tmp_path, starter, **told) == seen(tmp_path, None, **told)


@pytest.mark.parametrize("name", ["PYTHONPATH", "RQ_KEY_PREFIX", "TMPDIR"])
def test_what_was_read_before_the_fork_is_read_anew(name: str, starter: Starter) -> None:
    """Such a command is started from the command line."""
    environment = {**os.environ, **INTERPRETER}
    assert starter.can_start({**environment, "DRQ_TEST_HELLO": "you"})
    assert not starter.can_start({**environment, name: "another"})


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("pass", 0),
        ("raise SystemExit(3)", 3),
        ("raise ValueError", 1),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL),
        ("import os; os._exit(7)", 7),
    ],
)
def test_it_is_known_how_a_forked_command_ended(
    starter: Starter, tmp_path: Path, code: str, end: int
) -> None:
    assert shell(code, tmp_path, starter).wait() == end


def test_the_pid_is_nobody_elses_until_the_end_is_known(
    sleeper: WorkerProcess, wait_until: WaitUntil
) -> None:
    os.kill(sleeper.pid, signal.SIGTERM)
    wait_until(lambda: is_zombie(sleeper.pid))
    assert sleeper.wait() == -signal.SIGTERM
    wait_until(lambda: not Path(f"/proc/{sleeper.pid}").exists())


def test_a_forked_command_ends_with_its_starter(
    sleeper: WorkerProcess, own_starter: Starter
) -> None:
    own_starter.close()
    assert sleeper.wait() == -signal.SIGKILL
