"""Job functions for the tests. What they did stands in a file, which no store can lose."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import django_rq
from django.contrib.auth import get_user_model
from django.db import connection
from rq import Retry, get_current_job
from rq.job import Job
from rq.rate_limit import RateLimit

T = TypeVar("T")
MEBIBYTE = 1024 * 1024


def succeed(value: T) -> T:
    return value


def fail(message: str = "on purpose") -> None:
    raise ValueError(message)


def record(path: str, value: object) -> None:
    """One write of one line with O_APPEND: whole, also when many processes write at once."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{value}\n".encode())
    finally:
        os.close(descriptor)


def record_slowly(path: str, value: object, seconds: float) -> None:
    """Says that it began, as `begin VALUE`, so that a test can act in the middle of it."""
    record(path, f"begin {value}")
    time.sleep(seconds)
    record(path, value)


def record_when_released(path: str, value: object, gate: str, timeout: float = 300) -> None:
    """Says `begin VALUE`, then waits for the file `gate`: the test decides when it ends."""
    record(path, f"begin {value}")
    _wait_for(gate, timeout)
    record(path, value)


def return_when_released(path: str, value: T, gate: str) -> T:
    """Says `begin`, then waits for the file `gate`."""
    record(path, "begin")
    _wait_for(gate)
    return value


def fail_when_released(path: str, gate: str, **secrets: object) -> None:
    record(path, "begin")
    _wait_for(gate)
    fail()


def record_and_fail(path: str, value: object) -> None:
    record(path, value)
    raise ValueError(f"on purpose: {value}")


def record_and_return(path: str, value: T) -> T:
    record(path, value)
    return value


def record_if_open(path: str, value: object, gate: str) -> None:
    """Fails as long as the file `gate` is not there."""
    if not Path(gate).exists():
        raise FileNotFoundError(gate)
    record(path, value)


def kill_own_process() -> None:
    """What the kernel does to a process that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def leave_a_child_and_kill_own_process(path: str) -> None:
    """The child keeps every file of its parent open, and outlives it."""
    child = os.fork()
    if child == 0:
        os.setpgrp()
        time.sleep(30)
        os._exit(0)
    record(path, child)
    os.kill(os.getpid(), signal.SIGKILL)


def return_retry(maximum: int = 1, interval: int | list[int] = 0) -> Retry:
    return Retry(max=maximum, interval=interval)


def record_and_return_retry(
    path: str, value: object, maximum: int = 1, interval: int | list[int] = 0
) -> Retry:
    record(path, value)
    return return_retry(maximum, interval)


def record_and_fail_at_first(path: str, value: object) -> None:
    """Fails until the ledger has its line for the second time."""
    record(path, value)
    if Path(path).read_text().splitlines().count(str(value)) < 2:
        fail()


def record_results_of_parents(path: str) -> None:
    """What the jobs returned that this one waited for."""
    for parent in _current().fetch_dependencies():
        record(path, parent.return_value())


def enqueue_another(path: str, value: object) -> None:
    django_rq.enqueue(record, path, value)


def enqueue_one_of_each_kind(path: str) -> None:
    """From inside a worker, whose keys may have another prefix than those of the test."""
    queue = django_rq.get_queue()
    parent = queue.enqueue(record_and_fail_at_first, path, "retried", retry=Retry(max=1))
    queue.enqueue(record, path, "dependent", depends_on=parent)
    queue.enqueue(record, path, "limited", rate_limit=RateLimit("api", concurrency=1))
    queue.enqueue_in(timedelta(seconds=1), record, path, "scheduled")
    queue.enqueue(record, path, "dropped", result_ttl=0, job_id="only", unique=True)


def record_own_store(path: str) -> None:
    """Which store the job was claimed from, as the job itself can tell."""
    record(path, getattr(_current(), "backend", "none"))


def record_time(path: str) -> None:
    record(path, time.time())


def record_whether_connected(path: str) -> None:
    """Says whether the database connection of the horse was open already, and opens it."""
    word = "new" if connection.connection is None else "kept"
    connection.ensure_connection()
    record(path, word)


def record_own_pid(path: str) -> None:
    record(path, os.getpid())


def record_twice_own_meta(path: str, gate: str) -> None:
    """Saves a step into `meta`, waits for the file `gate`, then saves the next."""
    for step in ("half", "whole"):
        _current().meta["step"] = step
        _current().save_meta()
        record_when_released(path, step, gate)


def record_what_it_is_told_of_itself(path: str) -> None:
    """`meta` as saved, whatever was changed since, and what else rq lets a job ask Redis."""
    job = _current()
    job.meta["step"] = "saved"
    job.save_meta()
    job.meta["step"] = "changed"
    record(path, job.get_meta(refresh=False)["step"])
    record(path, job.get_meta()["step"])
    job.meta["step"] = "changed"
    job.refresh()
    record(path, f"{job.meta['step']} {job.args[0] == path} {job.get_status().value}")


def save_meta_and_kill_worker(path: str) -> None:
    """The next attempt says what the first one has saved."""
    job = _current()
    record(path, job.meta.get("step", "nothing"))
    if not job.meta:
        job.meta["step"] = "saved"
        job.save_meta()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)


def count_in_meta_and_fail(path: str) -> None:
    """Counts its attempts in `meta`, which is all that one attempt can leave for the next."""
    job = _current()
    job.meta["attempts"] = job.meta.get("attempts", 0) + 1
    job.save_meta()
    record_and_fail(path, job.meta["attempts"])


def record_and_kill_own_process(path: str, value: object) -> None:
    record(path, value)
    kill_own_process()


def record_and_exit(path: str, value: object) -> None:
    record(path, value)
    raise SystemExit(3)


def run_out_of_memory(path: str) -> None:
    """The limit is of the process, which goes on to other jobs."""
    record(path, "begin")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 64 * MEBIBYTE, hard))
    try:
        bytearray(1024 * MEBIBYTE)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def eat_memory_until_killed(path: str) -> None:
    """Says its pid once it has taken more than the others."""
    eaten = [bytearray(b"x" * MEBIBYTE) for _ in range(64)]
    record(path, os.getpid())
    time.sleep(60)
    del eaten


def ignore_the_alarm(path: str) -> None:
    """What an extension does that never returns to the interpreter: no exception reaches it."""
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    record(path, "begin")
    time.sleep(60)


def use_both_stores_when_released(path: str, gate: str, mode: str) -> None:
    """Opens the connections that a job opens: to the database, and to Redis where there is one."""
    get_user_model().objects.exists()
    if mode == "redis":
        _current().refresh()
    record(path, "begin")
    _wait_for(gate)
    record(path, "end")


def return_what_pickle_refuses() -> object:
    return lambda: None


def start_a_program(path: str, seconds: int) -> None:
    """Says its pid and waits for it, as a job does that converts a film."""
    process = subprocess.Popen(["sleep", str(seconds)])
    record(path, process.pid)
    process.wait()


# Callbacks and handlers: each job that uses them has the path of its ledger as first argument.


def note_success(job: Job, connection: Any, result: object) -> None:
    record(job.args[0], f"success {result}")


def note_too_much(job: Job) -> None:
    """Takes no result: a callback that can only raise."""


def note_failure(job: Job, connection: Any, kind: type, error: object, traceback: object) -> None:
    record(job.args[0], f"failure {error}")


def note_failure_kind(
    job: Job, connection: Any, kind: type, error: object, traceback: object
) -> None:
    record(job.args[0], f"failure {kind.__name__}")


def note_exception_kind(job: Job, kind: type, error: object, traceback: object) -> None:
    record(job.args[0], f"handled {kind.__name__}")


def note_stopped(job: Job, connection: Any) -> None:
    record(job.args[0], "stopped")


def note_stopped_after_a_while(job: Job, connection: Any) -> None:
    time.sleep(4)
    record(job.args[0], "stopped")


def note_exception(job: Job, kind: type, error: object, traceback: object) -> bool:
    record(job.args[0], f"handled {error}")
    return True


def note_exception_silently(job: Job, kind: type, error: object, traceback: object) -> None:
    """Answers nothing, which means to go on."""
    record(job.args[0], "first")


def note_exception_and_refuse(job: Job, kind: type, error: object, traceback: object) -> bool:
    """No other handler is to be asked."""
    record(job.args[0], "last")
    return False


def fail_to_handle(job: Job, kind: type, error: object, traceback: object) -> None:
    raise RuntimeError("a bug in a handler")


def take_a_minute(job: Job, connection: Any, result: object) -> None:
    time.sleep(60)


def _current() -> Job:
    job = get_current_job()
    assert job is not None
    return job


def _wait_for(gate: str, timeout: float = 300) -> None:
    deadline = time.monotonic() + timeout
    while not Path(gate).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody made {gate}")
        time.sleep(0.01)


def break_with(secret: str, **rest: object) -> None:
    """Its message holds what it was given, as messages do."""
    raise ValueError(f"can't charge {secret}")


def complain_of(job: Job, *error: object) -> None:
    """A failure callback, or an exception handler, that fails as well."""
    raise LookupError(f"nobody takes {job.args} {job.kwargs}")


def enqueue_one_that_records_its_meta(path: str) -> None:
    django_rq.enqueue(record_own_meta, path)


def record_own_meta(path: str) -> None:
    job = get_current_job()
    assert job is not None
    record(path, {name: job.meta[name] for name in sorted(job.meta)})


def tag_for_sentry(value: str) -> None:
    import sentry_sdk

    sentry_sdk.set_tag("of", value)
    sentry_sdk.add_breadcrumb(message=value)
