"""What enqueue costs beside plain django-rq: one run, the three in turn, medians of the ratios.

python benchmarks/bench_enqueue.py [--calls 300] [--rounds 9]

Plain django-rq, ours with the outbox off (circuit closed), and ours with the outbox on, inside the
caller's transaction on PostgreSQL; there plain django-rq is inside the same kind of transaction.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from stage import Stage, table


def measure(call: Callable[[], object], calls: int) -> float:
    """Milliseconds a call."""
    started = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - started) / calls * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with Stage(database="postgres") as stage:
        figures = run(stage, options.calls, options.rounds)
    report(figures)


def run(stage: Stage, calls: int, rounds: int) -> dict[str, list[float]]:
    import django_rq
    from django.conf import settings
    from django.db import transaction
    from django_rq.queues import DjangoRQ

    from django_resilient_queue.queues import ResilientQueue
    from example_project.shop.models import Order

    def enqueue(queue_class: type[DjangoRQ]) -> object:
        return django_rq.get_queue("default", queue_class=queue_class).enqueue(print, 1)

    def in_transaction(queue_class: type[DjangoRQ]) -> None:
        with transaction.atomic():  # the caller writes something of its own, or why a transaction
            Order.objects.create(email="customer@example.org")
            enqueue(queue_class)

    queues = {c: django_rq.get_queue("default", queue_class=c) for c in (DjangoRQ, ResilientQueue)}

    def reused(queue_class: type[DjangoRQ]) -> object:
        return queues[queue_class].enqueue(print, 1)

    contenders: dict[str, tuple[Callable[[], object], bool]] = {
        "plain": (lambda: enqueue(DjangoRQ), False),
        "outbox off": (lambda: enqueue(ResilientQueue), False),
        "plain, one queue object": (lambda: reused(DjangoRQ), False),
        "outbox off, one queue object": (lambda: reused(ResilientQueue), False),
        "plain, in a transaction": (lambda: in_transaction(DjangoRQ), False),
        "outbox on, in a transaction": (lambda: in_transaction(ResilientQueue), True),
    }
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(rounds + 1):
        for name, (call, outbox) in contenders.items():
            settings.RESILIENT_QUEUE = {"OUTBOX": outbox}
            took = measure(call, calls)
            if round_:  # the first round warms up
                figures[name].append(took)
        stage.clear()
    return figures


def report(figures: dict[str, list[float]]) -> None:
    rows = []
    for ours, plain, limit in (
        ("outbox off", "plain", 1.0),
        ("outbox off, one queue object", "plain, one queue object", 1.0),
        ("outbox on, in a transaction", "plain, in a transaction", 2.0),
    ):
        ratios = [a / b for a, b in zip(figures[ours], figures[plain], strict=True)]
        rows.append(
            (
                ours,
                f"{statistics.median(figures[plain]):.2f}",
                f"{statistics.median(figures[ours]):.2f}",
                f"{statistics.median(ratios):.2f}",
                f"{min(ratios):.2f} to {max(ratios):.2f}",
                f"<= {limit}",
            )
        )
    table(("ours", "plain ms", "ours ms", "ratio", "spread", "target"), rows)


if __name__ == "__main__":
    main()
