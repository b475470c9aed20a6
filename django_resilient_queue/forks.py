"""What a process must not go on with that was forked: its parent's locks, threads and sums.

Python's hooks tell most of a fork. A server that forks in C runs none of them, as uWSGI without
``py-call-osafterfork`` (https://uwsgi-docs.readthedocs.io/en/latest/Options.html): whoever keeps
something to itself asks here first, which costs it a tenth of a microsecond.
"""

from __future__ import annotations

from collections.abc import Callable
from os import getpid, register_at_fork

_renewals: list[Callable[[], object]] = []
_pid = getpid()


def renew_by(renewal: Callable[[], object]) -> None:
    """Have something called in each child, before anything else of ours is. It is kept for ever."""
    _renewals.append(renewal)


def notice() -> None:
    """Renew what is the parent's, if this is a child that has not done so."""
    if _pid != getpid():
        _renew()


def _renew() -> None:
    global _pid
    _pid = getpid()
    for renewal in _renewals:
        renewal()


register_at_fork(after_in_child=_renew)
