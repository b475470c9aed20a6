"""What a process counts, and how it gets into the database: now and then, never in a caller's way.

Workers write between two jobs; other processes by a thread, which ends when there is nothing more.
While the database is away the sums are held, and they are no more than there are keys.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from django.db import connections, transaction
from django.db.models import Min
from django.utils import timezone
from django_rq.connection_utils import get_connection
from django_rq.settings import get_queues_map

from .. import events, forks
from ..conf import settings
from ..exceptions import describe
from ..jobs import JobSnapshot
from ..meter import OTHER, Key, Kind, Meter, Sums, from_plain, label_of, plain
from ..models import Measure, Outage
from ..models.measure import SHARDS
from .guard import database_errors
from .links import address_of

_LAST_PATIENCE = 1.0  # seconds that a process which ends may take for its last write
_END_PATIENCE = 2.0  # seconds that `reset` waits for a write under way

meter = Meter()


def count(key: Key, count: int = 1, **sums: Any) -> None:
    """Count something, as `Meter.count` does, and see to its being written."""
    if settings.METRICS_INTERVAL:
        meter.count(key, count, **sums)
        _writing.begin()


def count_enqueued(snapshot: JobSnapshot, store: str, seconds: float) -> None:
    """A store has a job, so many seconds after the call began."""
    key = Key(Kind.ENQUEUED, snapshot.queue_name, label_of(snapshot.job_type), store)
    count(key, seconds=seconds)


def count_death(job: JobSnapshot | None, queue_name: str, store: str, *, alias: str) -> None:
    """Count, with the commit, that a job died of which no worker of ours ended an attempt; None for
    one that can't be read."""
    key = Key(Kind.PERFORMED, queue_name, label_of(job.job_type if job else ""), store)
    transaction.on_commit(lambda: count(key, 0, failed=1), using=alias)


def write(*, alias: str, timeout: float | None = None) -> bool:
    """Write what there is, in one transaction; True if there was any. Raises StoreError.

    What was surely not applied is kept for the next time. A commit without an answer is not
    repeated: rather a figure that is a little too low than one that counts twice.
    """
    sums = meter.take()
    if not sums:
        return False
    is_undone = True
    try:
        with database_errors(alias, timeout=timeout), transaction.atomic(alias):
            folded = _types.fold(sums, alias)
            Measure.objects.using(alias).add(folded, shard=os.getpid() % SHARDS)
            _tell_outages(sums, alias)
            is_undone = False
    except BaseException:
        if is_undone:
            meter.add(sums)
        raise
    return True


def _tell_outages(sums: Mapping[Key, Sums], alias: str) -> None:
    """Add to each Redis's outage what the database accepted in its place."""
    stored: dict[str, Sums] = {}
    queues = get_queues_map()
    for key, each in sums.items():
        if (key.kind, key.store) == (Kind.ENQUEUED, "database") and key.queue_name in queues:
            address = address_of(get_connection(key.queue_name))
            stored.setdefault(address, Sums()).add(each)
    outages, now = Outage.objects.using(alias), timezone.now()
    # In one order, as others do it at the same time: else two would wait for each other.
    for address, each in sorted(stored.items(), key=lambda pair: pair[0]):
        outages.add_stored(address, each.count, each.longest, now=now)


def hand_over() -> list[tuple[Any, ...]]:
    """Return what a horse has counted, for its worker."""
    return plain(meter.take()) if meter else []


def take_over(sums: Iterable[tuple[Any, ...]]) -> None:
    """Count what a horse has counted."""
    meter.add(from_plain(sums))


@contextmanager
def tended() -> Iterator[None]:
    """Meanwhile this process writes by itself, or what it has forked hands over: without a thread,
    beside which it would not be safe to fork."""
    _writing.end()
    _writing.is_tended, before = True, _writing.is_tended
    try:
        yield
    finally:
        _writing.is_tended = before


def reset() -> None:
    """Forget what was not written, and end the thread; for tests."""
    _writing.end()
    meter.take()
    _types.known.clear()


class _Types:
    """Which types of jobs have rows of their own. The first METRICS_TYPES do, for ever; the rest
    counts as OTHER. A few more may get in when processes meet new ones at the same moment."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def fold(self, sums: Mapping[Key, Sums], alias: str) -> dict[Key, Sums]:
        """Return the same sums with labels that are bounded."""
        self._learn({key.job_type for key in sums if key.job_type != OTHER} - self.known, alias)
        queues = {"", *get_queues_map()}
        types = {"", *self.known}
        folded: dict[Key, Sums] = {}
        for key, each in sums.items():
            label = key._replace(
                job_type=key.job_type if key.job_type in types else OTHER,
                queue_name=key.queue_name if key.queue_name in queues else OTHER,
            )
            folded.setdefault(label, Sums()).add(each)
        return folded

    def _learn(self, new: set[str], alias: str) -> None:
        if not new - {""}:
            return
        there = first_types(alias)
        room = max(settings.METRICS_TYPES - len(there), 0)
        self.known.update(there, sorted(new.difference(there, ("",)))[:room])


_types = _Types()


def first_types(alias: str) -> list[str]:
    """Return the types of jobs that have rows of their own, the first ones first."""
    rows = Measure.objects.using(alias).exclude(job_type__in=("", OTHER)).order_by()
    seen = rows.values_list("job_type").annotate(since=Min("since")).order_by("since", "job_type")
    return [job_type for job_type, _ in seen]


def _threads_run() -> bool:
    """Tell whether a thread goes on between requests. uWSGI by default keeps the interpreter to
    itself: a thread would stand still in the middle of its transaction, and hold its locks."""
    uwsgi = sys.modules.get("uwsgi")
    options = getattr(uwsgi, "opt", None) or {}
    return uwsgi is None or any(name in options for name in ("enable-threads", "threads"))


class _Writing:
    """The thread that writes, if one is needed and there is one."""

    def __init__(self) -> None:
        self.is_tended = False
        self._thread: threading.Thread | None = None
        self._begin_anew()
        forks.renew_by(self._begin_anew)

    def begin(self) -> None:
        """Have a thread that writes; without one the process writes when it ends."""
        forks.notice()
        if self.is_tended or self._thread is not None or not _threads_run():
            return
        with self._lock:
            if self._thread is None:
                self._database = _database(settings.DATABASE)
                thread = threading.Thread(target=self._run, name="drq-measures", daemon=True)
                # None to be had, or the interpreter ends: the job that was counted is accepted.
                with suppress(RuntimeError):
                    thread.start()
                    self._thread = thread

    def end(self) -> None:
        """Have none any more."""
        thread = self._thread
        if thread is not None:
            self._is_over.set()
            thread.join(_END_PATIENCE)
        self._begin_anew()

    def write_last(self) -> None:
        """The process ends: write what is left, in its main thread."""
        alias = settings.DATABASE
        if not self.is_tended and meter and self._is_same(alias):
            try:
                write(alias=alias, timeout=_LAST_PATIENCE)
            except Exception as error:  # noqa: BLE001 - whatever is torn down already
                events.COUNTS_NOT_WRITTEN.log(cause=describe(error))
            finally:
                connections[alias].close()

    def _run(self) -> None:
        is_over, alias = self._is_over, settings.DATABASE
        while not is_over.wait(settings.METRICS_INTERVAL or 1):
            with self._lock:
                # Who counts looks for a thread afterwards: it finds none, or has been counted.
                mine, self._thread = self._thread, None
                if not meter:
                    return
                self._thread = mine
            self._write(alias)

    def _write(self, alias: str) -> None:
        try:
            if self._is_same(alias):
                write(alias=alias)
            else:
                meter.take()
            self._is_failing = False
        except Exception as error:  # noqa: BLE001 - tried again; a thread has nobody to tell
            if not self._is_failing:
                events.COUNTS_NOT_WRITTEN.log(cause=describe(error))
            self._is_failing = True
        finally:
            connections[alias].close()

    def _is_same(self, alias: str) -> bool:
        """Tell whether the database is the one that was counted for: what tests count in theirs
        is not to get into the one that is there after them."""
        return self._database == _database(alias)

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._thread = None
        self._is_over = threading.Event()
        self._is_failing = False
        self._database = ""


def _database(alias: str) -> str:
    return str(connections[alias].settings_dict["NAME"])


_writing = _Writing()
atexit.register(lambda: _writing.write_last())
