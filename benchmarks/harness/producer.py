"""A web process under load: many threads that enqueue numbered jobs with plain django-rq, paced."""

from __future__ import annotations

import itertools
import sys
import threading
import time

import django
import django_rq

from benchmarks.harness.jobs import note, perform

THREADS = 32


def main(jobs: int, rate: float) -> None:
    django.setup()
    print("ready", flush=True)
    began = float(sys.stdin.readline())
    numbers = itertools.count()

    def produce() -> None:
        while (number := next(numbers)) < jobs:  # next() of a count is atomic in CPython
            time.sleep(max(began + number / rate - time.monotonic(), 0))
            submit(number)

    threads = [threading.Thread(target=produce) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def submit(number: int) -> None:
    asked = time.monotonic()
    try:
        job = django_rq.enqueue(perform, number)
    except Exception as error:  # noqa: BLE001 - every kind of refusal is counted
        words = " ".join(f"{type(error).__name__}: {error}".split())
        note("refused", number, asked, time.monotonic(), words)
    else:
        note("accepted", number, asked, time.monotonic(), job.id)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
