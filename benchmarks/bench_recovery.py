"""A recovery run over many dead letters: how fast it is, and what memory its driver takes.

python benchmarks/bench_recovery.py [--letters 100000] [--kill]

With --kill two workers stand by, and the one that drives the run is killed half-way.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Iterator

from bench_backlog import multiply
from bench_idle import MANAGE, pss
from bench_worker import paths, running
from stage import Stage, table

LIMIT = 50.0  # MiB that a driver may grow by
DRIVERS = ("ann", "bob")
# They perform none of the jobs: what is measured is the run.
COMMANDS = [[*MANAGE, "rqworker", "high", "-v", "0", "--name", name] for name in DRIVERS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--letters", type=int, default=100_000)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    with Stage(database="postgres") as stage:
        fill(options.letters)
        commands = COMMANDS if options.kill else COMMANDS[:1]
        with running(commands, paths(stage), stage.folder / "log") as processes:
            pids = {name: each.pid for name, each in zip(DRIVERS, processes, strict=False)}
            wait_for_driver()
            report(options.letters, *drive(pids, options.letters, kill=options.kill))


def fill(count: int) -> None:
    import django_rq
    from rivals import work

    from django_resilient_queue.jobs import JobSnapshot
    from django_resilient_queue.models import DeadLetter
    from django_resilient_queue.outcomes import Failure, Reason

    job = django_rq.get_queue("low").create_job(work.nothing)
    failure = Failure(Reason.RAISED, "builtins.ValueError", "no", "Traceback\nValueError: no")
    snapshot = JobSnapshot.of(job, queue_name="low")
    DeadLetter.objects.record([DeadLetter.of(snapshot, failure, attempts=1)])
    multiply(DeadLetter, count)


def wait_for_driver() -> None:
    while not driver():
        time.sleep(0.05)


def driver() -> str:
    from django_resilient_queue.models import BrokerState

    return BrokerState.objects.values_list("reconciler", flat=True).first() or ""


def drive(pids: dict[str, int], letters: int, *, kill: bool) -> tuple[float, float, float]:
    """Returns the seconds that the run took, and by how many MiB (PSS) a driver had grown at most
    after a fifth of the letters, and after all."""
    from django_resilient_queue import Selection, start_run

    before = sizes(pids)
    begun = time.perf_counter()
    run = start_run(Selection(queue_name="low"), rate=1000)
    early = grown = 0.0
    for requeued in progress(run.pk):
        now = sizes(pids)
        grown = max([grown, *(now[name] - before[name] for name in now)])
        if requeued <= letters // 5:
            early = grown
        if kill and requeued >= letters // 2:
            os.kill(pids.pop(driver()), signal.SIGKILL)
            kill = False
    return time.perf_counter() - begun, early, grown


def sizes(pids: dict[str, int]) -> dict[str, float]:
    return {name: pss(pid) / 1024 for name, pid in pids.items()}


def progress(pk: int) -> Iterator[int]:
    """How many letters are requeued, until the run is over."""
    from django_resilient_queue.models import RecoveryRun

    while True:
        run = RecoveryRun.objects.get(pk=pk)
        yield run.requeued
        if run.status != "running":
            return
        time.sleep(0.25)


def report(letters: int, seconds: float, early: float, grown: float) -> None:
    from django_resilient_queue.models import DeadLetter, FallbackJob, RunItem

    jobs = FallbackJob.objects.values("job_id").distinct().count()
    once = jobs == DeadLetter.objects.requeued().count() == RunItem.objects.count() == letters
    head = ("letters", "each requeued once", "seconds", "letters/s")
    table(head, [(f"{letters:,}", once, f"{seconds:.0f}", f"{letters / seconds:.0f}")])
    head = ("driver grew by MiB (PSS)", "after a fifth", "at most", "target")
    table(head, [("", f"{early:.1f}", f"{grown:.1f}", f"<= {LIMIT:.0f}")])


if __name__ == "__main__":
    main()
