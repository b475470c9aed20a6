"""A guard: a piece of the code that keeps a rule of the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Guard:
    """What the code then does wrong, where the guard is, and what is left when it is taken out."""

    wrong: str
    file: str
    code: str
    without: str
    database: str = "sqlite"

    def take_out(self, package: Path) -> None:
        path = package / self.file
        code = path.read_text()
        if code.count(self.code) != 1:
            # Reworded code: say here how it reads now, and run mutations.py for its rule.
            raise LookupError(f"{self.file} holds this {code.count(self.code)} times: {self.code}")
        path.write_text(code.replace(self.code, self.without))
