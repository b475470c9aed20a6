"""The course of the demo: load, Redis killed, Redis back and empty, until all is well again."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from example_project.demo import observer
from example_project.demo.figures import Figures, Outcome
from example_project.demo.frame import Frame
from example_project.demo.load import Load
from example_project.demo.stage import Stage, wait_until
from example_project.servers.processes import ServerError

ORDERS = 600
RATE = 30.0
KILL_AT = ORDERS // 3
RETURN_AT = 2 * ORDERS // 3
TIME_LIMIT = 45.0  # 20 of it are the load
PACE = 0.1


class Show(AbstractContextManager["Show"], Protocol):
    """Who tells the audience; see scoreboard."""

    def say(self, text: str) -> None: ...

    def frame(self, frame: Frame) -> None: ...


class Play:
    """One performance on a stage that stands."""

    def __init__(self, stage: Stage, show: Show) -> None:
        self.stage = stage
        self.show = show
        self.load = Load(stage.port, orders=ORDERS, rate=RATE)
        self._redis = "up"
        self._returned_at: float | None = None
        self._healthy_after: float | None = None
        self._deadline = 0.0

    def run(self) -> Figures:
        """Act by act; each waits for what it shows, and all share one time limit."""
        self._wait_for_workers()
        self._deadline = time.monotonic() + TIME_LIMIT
        self.load.start()
        try:
            self._until(lambda frame: frame.answered >= KILL_AT)
            self._kill_redis()
            self._until(lambda frame: frame.answered >= RETURN_AT)
            self._return_redis()
            self._until(lambda frame: self.load.done)
            self._until(self._is_over)
        finally:
            self.load.stop()
        return self._outcome().count()

    def _wait_for_workers(self) -> None:
        self.show.say(f"The shop is up at {self.stage.url}, its two workers are starting.")
        if not wait_until(self._workers_wait, timeout=self.stage.time_to_start):
            raise ServerError(f"the workers did not start: see the logs in {self.stage.folder}")

    def _workers_wait(self) -> bool:
        self.stage.must_run()
        return observer.look().at_work

    def _kill_redis(self) -> None:
        self.stage.redis.kill()
        self._redis = "killed"
        self.show.say(f"Redis was killed (SIGKILL) after {len(self.load.answers())} orders.")

    def _return_redis(self) -> None:
        self.stage.redis.wipe()
        self.stage.redis.start()
        self._returned_at = time.monotonic()
        self._redis = "back, empty"
        self.show.say(f"Redis is back after {len(self.load.answers())} orders, and empty.")

    def _until(self, condition: Callable[[Frame], bool]) -> bool:
        """Show what happens until the condition holds, or the time of the whole play is over."""
        while time.monotonic() < self._deadline:
            frame = self._look()
            self.show.frame(frame)
            if condition(frame):
                return True
            time.sleep(PACE)
        return False

    def _look(self) -> Frame:
        now = time.monotonic()
        sight = observer.look()
        if sight.healthy and self._returned_at is not None and self._healthy_after is None:
            self._healthy_after = round(now - self._returned_at, 1)
            self.show.say(f"All is well again {self._healthy_after:.1f} s after Redis's return.")
        return Frame.of(self.load, self.stage.ledger.mails(), sight, redis=self._redis, now=now)

    def _is_over(self, frame: Frame) -> bool:
        """Nothing is in motion any more: a late double would still be seen."""
        return frame.sight.healthy and frame.sight.settled and not self._missing()

    def _missing(self) -> set[str]:
        mailed = {mail.order for mail in self.stage.ledger.mails()}
        return observer.placed_orders() - mailed - observer.dead_orders()

    def _outcome(self) -> Outcome:
        return Outcome(
            wanted=ORDERS,
            answers=self.load.answers(),
            mails=self.stage.ledger.mails(),
            placed=observer.placed_orders(),
            dead=observer.dead_orders(),
            started_at=self.load.started_at,
            ended_at=time.monotonic(),
            healthy_after=self._healthy_after,
            outbox_rows_left=sum(observer.look().outbox.values()),
        )
