"""Takes each rule's guards, one by one, out of a copy of the code and sees the rule's tests fail.

python -m tests.integration.rules.mutations [RULE ...]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.integration.rules.guard import Guard
from tests.integration.rules.guards_of_stores import GUARDS_OF_STORES
from tests.integration.rules.guards_of_workers import GUARDS_OF_WORKERS

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "django_resilient_queue"
PATIENCE = 300  # seconds; a test that hangs has failed

GUARDS = {**GUARDS_OF_STORES, **GUARDS_OF_WORKERS}


def main(names: list[str]) -> int:
    from tests.integration.rules.test_table import TABLE

    survivors = 0
    for rule in names or list(TABLE):
        for guard in GUARDS[rule]:
            failed = fails_without(guard, TABLE[rule])
            survivors += not failed
            print(f"{rule}: {guard.wrong}: {'red' if failed else 'GREEN'}", flush=True)
    return 1 if survivors else 0


def fails_without(guard: Guard, tests: tuple[str, ...]) -> bool:
    """Tell whether at least one of the tests fails without the guard."""
    with tempfile.TemporaryDirectory(prefix="drq-mutation-") as folder:
        copy = Path(folder)
        for name in (PACKAGE, "tests", "example_project"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", copy)
        guard.take_out(copy / PACKAGE)
        ids = [f"tests/integration/rules/{test.replace('::', '.py::', 1)}" for test in tests]
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
        environment = {**os.environ, "DRQ_TEST_DB": guard.database}
        try:
            run = subprocess.run(
                [*command, *ids],
                cwd=copy,
                env=environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return True
        if run.returncode not in (0, 1):
            raise RuntimeError(run.stdout + run.stderr)
        return run.returncode == 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
