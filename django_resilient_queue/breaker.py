"""The circuit breaker: decides whether a call may be tried. It makes no call and does no I/O."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum


class CircuitState(StrEnum):
    """Closed: calls go through. Open: none does. Half open: one probe is under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Permit:
    """The answer of `allow()`, true when the call may be made; give it back with the outcome."""

    allowed: bool
    era: int

    def __bool__(self) -> bool:
        """Tell whether the call may be made."""
        return self.allowed


class CircuitBreaker:
    """A thread-safe state machine around calls that its user makes.

        permit = breaker.allow()
        if permit:
            try: reply = call()
            except Unavailable: breaker.record_failure(permit)
            else: breaker.record_success(permit)

    An outcome counts only in the era its permit is from, and each change of state, and each
    probe, begins a new era. So a call that began before the circuit opened, and ends late,
    neither closes it nor counts against a later probe. A permit may be left unreported (the
    call raised a programming error): a silent probe is replaced after `recovery_timeout`.

    Limits may be numbers or functions, which are called at each use. `on_change(old, new)` runs
    without the lock, in the thread that caused the change.
    """

    def __init__(
        self,
        *,
        threshold: float | Callable[[], float],
        recovery_timeout: float | Callable[[], float],
        reset_timeout: float | Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[CircuitState, CircuitState], None] | None = None,
    ) -> None:
        self._threshold = _reader(threshold)
        self._recovery_timeout = _reader(recovery_timeout)
        self._reset_timeout = _reader(reset_timeout)
        self._clock = clock
        self._on_change = on_change
        self._circuit = _Circuit()
        self._lock = threading.Lock()
        _breakers.add(self)

    @property
    def state(self) -> CircuitState:
        """Return the state as it is now; only `allow()` turns open into half open."""
        return self._circuit.state

    @property
    def failures(self) -> int:
        """Return how many consecutive failures are remembered."""
        return len(self._circuit.failures_since(self._clock() - self._reset_timeout()))

    @property
    def opened_at(self) -> float | None:
        """Return when the circuit left closed, by this breaker's clock; None while closed."""
        return self._circuit.opened_at

    def allow(self) -> Permit:
        """Tell whether a call may be made now; when open too long, let one caller probe."""
        circuit = self._circuit
        if circuit.state is CircuitState.CLOSED:
            return Permit(allowed=True, era=circuit.era)
        now, patience = self._clock(), self._recovery_timeout()
        with self._lock:
            before = self._circuit
            after = self._circuit = before.probed(now, patience)
        self._announce(before, after)
        return Permit(after is not before or after.state is CircuitState.CLOSED, after.era)

    def record_success(self, permit: Permit) -> bool:
        """Forget the failures; True if this call, being the probe, closed the circuit."""
        circuit = self._circuit
        if circuit.state is CircuitState.CLOSED and not circuit.failures:
            return False
        left = self._move(lambda circuit: circuit.closed(), permit)
        return left is CircuitState.HALF_OPEN

    def record_failure(self, permit: Permit) -> bool:
        """Count a failure; True if this call opened a closed circuit, so an outage begins."""
        now, threshold = self._clock(), self._threshold()
        horizon = now - self._reset_timeout()
        left = self._move(lambda circuit: circuit.failed(now, horizon, threshold), permit)
        return left is CircuitState.CLOSED

    def trip(self) -> bool:
        """Open at once, as another process reports the outage; True if it was closed."""
        now = self._clock()
        return self._move(lambda circuit: circuit.tripped(now)) is CircuitState.CLOSED

    def close(self) -> bool:
        """Close at once, as someone else reports the end; True if it was not closed."""
        return self._move(lambda circuit: circuit.closed()) is not None

    def _move(
        self, step: Callable[[_Circuit], _Circuit], permit: Permit | None = None
    ) -> CircuitState | None:
        """Take one step and return the state it left; None if the state stayed the same."""
        with self._lock:
            before = self._circuit
            if permit is not None and not (permit.allowed and permit.era == before.era):
                return None
            after = self._circuit = step(before)
        self._announce(before, after)
        return None if after.state is before.state else before.state

    def _announce(self, before: _Circuit, after: _Circuit) -> None:
        if self._on_change is not None and after.state is not before.state:
            self._on_change(before.state, after.state)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Circuit:
    """All that a breaker remembers, replaced whole: a reader or a fork never sees half a step."""

    state: CircuitState = CircuitState.CLOSED
    era: int = 0
    failures: tuple[float, ...] = ()
    opened_at: float | None = None
    refusing_since: float = 0.0

    def failures_since(self, horizon: float) -> tuple[float, ...]:
        """Return the times of the failures that are recent enough to count."""
        return tuple(at for at in self.failures if at >= horizon)

    def probed(self, now: float, patience: float) -> _Circuit:
        """Make way for a probe when the circuit, or a silent probe, has been waited for enough."""
        if self.state is CircuitState.CLOSED or now - self.refusing_since < patience:
            return self
        return replace(self, state=CircuitState.HALF_OPEN, era=self.era + 1, refusing_since=now)

    def failed(self, now: float, horizon: float, threshold: float) -> _Circuit:
        """Count a failure; open when it was the probe's or one too many."""
        counted = replace(self, failures=(*self.failures_since(horizon), now))
        if self.state is CircuitState.HALF_OPEN:
            return counted._opened(now)
        return counted._opened(now) if len(counted.failures) >= threshold else counted

    def tripped(self, now: float) -> _Circuit:
        """Open a closed circuit; one that is not closed already knows."""
        return self._opened(now) if self.state is CircuitState.CLOSED else self

    def closed(self) -> _Circuit:
        """Forget all failures and close; a circuit that was closed stays in its era."""
        if self.state is CircuitState.CLOSED:
            return replace(self, failures=())
        return _Circuit(era=self.era + 1)

    def _opened(self, now: float) -> _Circuit:
        opened_at = now if self.opened_at is None else self.opened_at
        return replace(
            self,
            state=CircuitState.OPEN,
            era=self.era + 1,
            opened_at=opened_at,
            refusing_since=now,
        )


def _reader(limit: float | Callable[[], float]) -> Callable[[], float]:
    return limit if callable(limit) else lambda: limit


_breakers: weakref.WeakSet[CircuitBreaker] = weakref.WeakSet()


def _renew_locks() -> None:
    """Replace locks after a fork: one held by another thread would stay locked in the child."""
    for breaker in _breakers:
        breaker._renew_lock()


os.register_at_fork(after_in_child=_renew_locks)
