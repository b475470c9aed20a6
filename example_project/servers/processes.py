"""Server programs as children of this process: started, awaited, frozen and ended by their pid."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Protocol, Self

from example_project.servers.ports import LOCALHOST, ReservedPort

LAUNCHER = Path(__file__).with_name("launch.py")


class ServerError(RuntimeError):
    """A server could not be found or started; the message says what to do."""


class ServerProcess:
    """One server on one port, in a directory of its own. Each kind says how it starts."""

    kind: ClassVar[str]
    start_timeout: ClassVar[float] = 60

    def __init__(self, directory: Path | str | None = None) -> None:
        self._owns_directory = directory is None
        # Short, since a path of a Unix socket may have about 100 characters.
        self.directory = Path(directory or tempfile.mkdtemp(prefix=f"drq-{self.kind}-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log = self.directory / f"{self.kind}.log"
        self.user = ""
        self._reserved = ReservedPort()
        self._process: subprocess.Popen[bytes] | None = None
        self._has_run = False
        self._closed = False
        self._owner = os.getpid()
        atexit.register(self._close_at_exit)

    @property
    def host(self) -> str:
        return LOCALHOST

    @property
    def port(self) -> int:
        return self._reserved.number

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerError(f"{self.kind} is not running")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Starts on the same port as before and returns when the server answers."""
        if self.is_running:
            return self
        self.prepare()
        self._spawn()
        deadline = time.monotonic() + self.start_timeout
        while not self.is_ready():
            if not self.is_running:
                self._start_again_or_raise()
            if time.monotonic() > deadline:
                self.kill()
                raise ServerError(f"{self.kind} was not ready in time:\n{self.read_log()}")
            time.sleep(0.01)
        self._has_run = True
        return self

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        self._end(signal.SIGKILL, timeout=60)

    def stop(self) -> None:
        """The server's own orderly end; a port without a listener refuses connections."""
        self.thaw()
        self._end(signal.SIGTERM, timeout=20)

    def freeze(self) -> None:
        """SIGSTOP: connections are accepted by the kernel, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if self.is_running:
            os.kill(self.pid, signal.SIGCONT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Thawed at the end of the block, also when the block fails."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def close(self) -> None:
        """Ends the server and removes its throw-away directory."""
        if self._closed:
            return
        self._closed = True
        self.kill()
        self._reserved.release()
        atexit.unregister(self._close_at_exit)
        if self._owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def prepare(self) -> None:
        """What a start needs on the disk: nothing, unless a child says so."""

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def is_ready(self) -> bool:
        raise NotImplementedError

    def read_log(self, characters: int = 2000) -> str:
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _spawn(self) -> None:
        self._process = spawn(
            self.command(), log=self.log, directory=self.directory, user=self.user
        )

    def _start_again_or_raise(self) -> None:
        log = self.read_log()
        if "in use" not in log:
            raise ServerError(f"{self.kind} ended while it was starting:\n{log}")
        self.log.unlink()
        if not self._has_run:
            # Somebody was faster. Nobody has been told this port yet.
            self._reserved.release()
            self._reserved = ReservedPort()
            self.prepare()
        self._spawn()

    def _end(self, signal_number: int, *, timeout: float) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        end(process, signal_number, timeout=timeout)

    def _close_at_exit(self) -> None:
        # A forked child inherits this object; the server is its parent's.
        if os.getpid() == self._owner:
            self.close()


class Child(Protocol):
    """What is asked of a `Popen`."""

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, number: int, /) -> None: ...
    def kill(self) -> None: ...


def end(process: Child, signal_number: int, *, timeout: float) -> None:
    """By the pid of a child that has not been waited for, so the number can't be another's."""
    if process.poll() is None:
        process.send_signal(signal_number)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout)


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    directory: Path,
    user: str = "",
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """The child ends with this process, even if this process is killed."""
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), user]

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                [*launcher, *command],
                cwd=directory,
                env=environment,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in a terminal is for this process.
            )

    return _spawner(os.getpid()).submit(start).result()


@cache
def _spawner(_pid: int) -> ThreadPoolExecutor:
    """Linux ends the child when the *thread* that forked it ends, so one thread forks them all."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


def run_once(command: Sequence[str], *, directory: Path, user: str = "") -> None:
    """A program that ends by itself, such as initdb."""
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), user]
    done = subprocess.run([*launcher, *command], cwd=directory, capture_output=True, check=False)
    if done.returncode:
        output = (done.stdout + done.stderr).decode(errors="replace")
        raise ServerError(f"{command[0]} failed with {done.returncode}:\n{output[-2000:]}")


def descendants(pid: int) -> list[int]:
    """Children and theirs: a work horse or a backend leads a process group of its own."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found = list(children.get(pid, ()))
    for descendant in found:  # Grows while it is read.
        found += children.get(descendant, ())
    return found


def signal_descendants(pid: int, signal_number: int) -> None:
    """Some may end by themselves between the look and the signal."""
    for descendant in descendants(pid):
        with suppress(ProcessLookupError):
            os.kill(descendant, signal_number)


def _parents() -> Iterator[tuple[int, int]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name of the program is in brackets and may hold spaces and brackets itself.
            yield int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1])
