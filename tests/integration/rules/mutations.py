"""Takes each rule's guard out of a copy of the code and sees the rule's tests fail.

python -m tests.integration.rules.mutations [RULE ...]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "django_resilient_queue"


@dataclass(frozen=True)
class Guard:
    """A piece of the code that keeps a rule, and what is left when it is taken out."""

    file: str
    code: str
    without: str
    database: str = "sqlite"


GUARDS = {
    "mode_first": Guard(
        "worker/modes.py", "                tell_redis(self.station)\n", "                pass\n"
    ),
    "evict": Guard("recovery/homecoming.py", "        _evict(station, batch)\n", "        pass\n"),
    "versions": Guard(
        "models/fallback_job.py",
        '            claim_token=token,\n            version=F("version") + 1,\n        )\n\n'
        "    def dispatch",
        "            claim_token=token,\n        )\n\n    def dispatch",
    ),
    "settle_again": Guard("worker/settling.py", "(Verdict.WON, Verdict.SETTLED)", "(Verdict.WON,)"),
    "recheck": Guard(
        "worker/shift.py", "if boottime() - claim.taken_at > settings.LEASE * 0.8:", "if False:"
    ),
    "lock": Guard(
        "stores/database.py",
        "BrokerState.objects.using(self.alias).lock(self.broker)",
        "pass",
        database="postgres",  # SQLite lets one transaction write at a time anyway
    ),
    "ready_is_clean": Guard(
        "models/fallback_job.py",
        "copied.update(state=State.DISPATCHED",
        "copied.update(state=State.READY",
    ),
    "drain_marks": Guard(
        "recovery/pushing.py",
        "won = table.rows.dispatch(pks, token=token, look_at=timezone.now() + _AFTER_DRAIN)",
        "won = len(rows)",
    ),
    "settled_keeps": Guard(
        "stores/lua/push.lua", "if redis.call('ZSCORE', settled_key, mark) then", "if false then"
    ),
    "flight_to_end": Guard(
        "worker/hand.py",
        "ended = [claim for claim, _ in (*self.ended, *self.untold)]",
        "ended: list[Claim] = []",
    ),
    "renew_by_id": Guard(
        "recovery/rescue.py",
        "return station.watch.wrote_since(owner, station.suspicions.mark(key))",
        "return False",
    ),
    "rescue_asks": Guard(
        "recovery/rescue.py",
        "    return state not in (State.CLAIMED, State.FINISHED) and attempt <= claim.attempt",
        "    return True",
    ),
    "observed": Guard(
        "stores/watch.py",
        "if self.looking_since is None or now - self.looked_at > self.lease() / 2:",
        "if self.looking_since is None:",
    ),
    "tombstone": Guard(
        "stores/database.py",
        "elif copy or (",
        "elif (copy and end.ending is not Ending.DEAD) or (",
    ),
    "attempts": Guard(
        "stores/lua/push.lua", " and (tonumber(copy[2]) or 0) >= attempt then", " then"
    ),
    "both_tried": Guard("intake.py", "if permit or not stored:", "if permit:"),
    "tx_waits": Guard(
        "intake.py",
        "self._on_commit(lambda: self._accept_bare(requests, cause), robust=False)",
        "self._accept_bare(requests, cause)",
    ),
    "backfill": Guard(
        "recovery/backfill.py",
        "            _insert(station, job_id, fields)\n",
        "            pass\n",
    ),
    "known_only": Guard(
        "stores/database.py", "if unknown and not good and not claim.bare:", "if False:"
    ),
    "generation": Guard("jobs.py", "return secrets.token_hex(16)", 'return "0" * 32'),
    "epoch_push": Guard(
        "stores/lua/push.lua", "if ARGV[9] ~= '' and ARGV[9] ~= epoch then", "if false then"
    ),
}


def main(names: list[str]) -> int:
    from tests.integration.rules.test_table import TABLE

    survivors = []
    for rule in names or list(GUARDS):
        failed = fails_without(rule, TABLE[rule])
        print(f"{rule}: {'its tests fail' if failed else 'NO TEST FAILS'}", flush=True)
        survivors += [] if failed else [rule]
    return 1 if survivors else 0


def fails_without(rule: str, tests: tuple[str, ...]) -> bool:
    """Tell whether at least one of the tests fails without the rule's guard."""
    with tempfile.TemporaryDirectory(prefix="drq-mutation-") as folder:
        copy = Path(folder)
        for name in (PACKAGE, "tests", "example_project", "pyproject.toml"):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / name)
        take_out(copy / PACKAGE, GUARDS[rule])
        ids = [f"tests/integration/rules/{test.replace('::', '.py::', 1)}" for test in tests]
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
        environment = {**os.environ, "DRQ_TEST_DB": GUARDS[rule].database}
        run = subprocess.run(
            [*command, *ids], cwd=copy, env=environment, capture_output=True, text=True
        )
        if run.returncode not in (0, 1):
            raise RuntimeError(run.stdout + run.stderr)
        return run.returncode == 1


def take_out(package: Path, guard: Guard) -> None:
    path = package / guard.file
    code = path.read_text()
    if code.count(guard.code) != 1:
        raise LookupError(f"{guard.file} holds this {code.count(guard.code)} times: {guard.code}")
    path.write_text(code.replace(guard.code, guard.without))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
