"""What the ledger says: submits as the producer saw them, executions as the jobs did."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Submit:
    number: int
    asked: float
    answered: float
    words: str

    @property
    def milliseconds(self) -> float:
        return (self.answered - self.asked) * 1000


@dataclass
class Execution:
    number: int
    started: float
    horse: int
    worker: int
    ended: float | None = None


@dataclass
class Ledger:
    """Reads on where it stopped, so that it can be asked often."""

    path: Path
    accepted: dict[int, Submit] = field(default_factory=dict)
    refused: dict[int, Submit] = field(default_factory=dict)
    executions: dict[int, list[Execution]] = field(default_factory=lambda: defaultdict(list))
    _position: int = 0

    def read(self) -> int:
        """Returns how many lines were new."""
        if not self.path.exists():
            return 0
        with self.path.open("rb") as file:
            file.seek(self._position)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        lines = whole.decode().splitlines()
        for line in lines:
            self._take(*line.split(" ", 4))
        return len(lines)

    @property
    def ended(self) -> set[int]:
        return {n for n, all_ in self.executions.items() if any(e.ended for e in all_)}

    def running(self, worker: int | None = None) -> list[Execution]:
        """Executions without an end, those of killed horses too."""
        every = [e for all_ in self.executions.values() for e in all_ if e.ended is None]
        return [e for e in every if worker is None or e.worker == worker]

    def _take(self, kind: str, number: str, *words: str) -> None:
        n = int(number)
        if kind == "start":
            started, horse, worker = words
            self.executions[n].append(Execution(n, float(started), int(horse), int(worker)))
        elif kind == "end":
            ended, horse = words
            mine = [e for e in self.executions[n] if e.horse == int(horse) and e.ended is None]
            mine[-1].ended = float(ended)
        else:
            asked, answered, *rest = words
            submit = Submit(n, float(asked), float(answered), " ".join(rest))
            (self.accepted if kind == "accepted" else self.refused)[n] = submit
