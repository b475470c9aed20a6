"""Many dead letters: what lists, statistics and groups cost, and what the tally adds to a death.

python benchmarks/bench_letters.py [--letters N]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from stage import Stage, multiply, table

DAYS, HANDLERS, ERRORS, PRINTS = 30, 50, 20, 2_000
ROUNDS, DEATHS, BATCH = 15, 40, 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--letters", type=int, default=1_000_000)
    options = parser.parse_args()
    with Stage(database="postgres") as stage:
        fill(options.letters)
        prepare()
        rows = [(name, f"{milliseconds(ask):.1f}") for name, ask in questions()]
        table((f"of {options.letters:,} letters", "milliseconds"), rows)
        deaths()
        bulk()
        stage.clear()


def fill(count: int) -> None:
    """Letters of many functions, errors and hours, made by the database of one."""
    from django_rq import get_queue
    from rivals import work

    from django_resilient_queue.jobs import JobSnapshot
    from django_resilient_queue.models import DeadLetter
    from django_resilient_queue.outcomes import Failure, Reason

    job = get_queue("low").create_job(work.nothing)
    failure = Failure(Reason.RAISED, "builtins.ValueError", "no", "Traceback\n" * 60)
    DeadLetter.objects.record(
        [DeadLetter.of(JobSnapshot.of(job, queue_name="low"), failure, attempts=1)]
    )
    varied = {
        "job_id": "'job-' || n",
        "handler": f"'shop.jobs.handler_' || n % {HANDLERS}",
        "queue_name": "(ARRAY['critical', 'high', 'default', 'low'])[1 + n % 4]",
        "error_class": f"'shop.errors.Error' || n % {ERRORS}",
        "category": "(ARRAY['timeout', 'connection', 'validation', 'other'])[1 + n % 4]",
        "fingerprint": f"md5((n % {PRINTS})::text)",
        "died_at": f"died_at - random() * interval '{DAYS} days'",
    }
    multiply(DeadLetter, varied, count)


def prepare() -> None:
    """What a worker on duty has done meanwhile."""
    from django.db import connection

    from django_resilient_queue.models import LetterTally
    from django_resilient_queue.recovery.tallying import fold_tally, recount

    begun = time.perf_counter()
    recount()
    counted = time.perf_counter() - begun
    while fold_tally():
        pass
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    print(f"recount {counted:.1f} s, tally of {LetterTally.objects.count():,} rows")


def questions() -> list[tuple[str, Callable[[], object]]]:
    from django_resilient_queue.models import DeadLetter
    from django_resilient_queue.recovery.selection import Selection
    from django_resilient_queue.recovery.statistics import groups, statistics

    dead = DeadLetter.objects.dead().values("id", "job_id", "handler", "died_at")
    one = Selection(handler="shop.jobs.handler_7")
    return [
        ("the newest 50", lambda: list(dead[:50])),
        ("the newest 50 of a function", lambda: list(one.among(dead)[:50])),
        ("statistics", statistics),
        ("statistics of a function", lambda: statistics(one)),
        ("statistics of a queue", lambda: statistics(Selection(queue_name="low"))),
        ("groups", groups),
        ("groups of a function", lambda: groups(one)),
    ]


def milliseconds(ask: Callable[[], object]) -> float:
    """The median of many times."""
    costs = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        ask()
        costs.append((time.perf_counter() - begun) * 1000)
    return statistics.median(costs)


def deaths() -> None:
    """Batches of deaths with the tally and without it, in turns."""
    from django_resilient_queue.models.letter_tally import LetterTallyQuerySet

    add = LetterTallyQuerySet.add
    costs: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * DEATHS):
        has_tally = bool(number % 2)
        LetterTallyQuerySet.add = add if has_tally else lambda *args, **kwargs: None
        costs[has_tally].append(record(number))
    LetterTallyQuerySet.add = add
    bare, tallied = statistics.median(costs[False]), statistics.median(costs[True])
    row = (f"{bare:.0f}", f"{tallied:.0f}", f"{tallied / bare:.2f}")
    head = ("a death, microseconds a letter", "without the tally", "with it", "times")
    table(head, [(f"batches of {BATCH}", *row)])


def record(number: int) -> float:
    """Record a batch; returns its cost in microseconds a letter."""
    from django.db import transaction
    from django_rq import get_queue
    from rivals import work

    from django_resilient_queue.jobs import JobSnapshot
    from django_resilient_queue.models import DeadLetter
    from django_resilient_queue.outcomes import Failure, Reason

    queue = get_queue("low")
    failure = Failure(Reason.RAISED, "builtins.ValueError", "no", "Traceback\n" * 60)
    snapshots = [
        JobSnapshot.of(queue.create_job(work.nothing), queue_name="low") for _ in range(BATCH)
    ]
    begun = time.perf_counter()
    with transaction.atomic():
        DeadLetter.objects.record([DeadLetter.of(each, failure, attempts=1) for each in snapshots])
    return (time.perf_counter() - begun) / BATCH * 1e6


def bulk() -> None:
    """A discard of what a function left behind."""
    from django_resilient_queue.models import DeadLetter
    from django_resilient_queue.models.dead_letter import Change

    letters = DeadLetter.objects.filter(handler="shop.jobs.handler_7")
    begun = time.perf_counter()
    count = letters.discard(Change("bench"))
    print(f"{count:,} letters discarded at once in {time.perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    main()
