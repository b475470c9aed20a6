"""`manage.py demo`: the shop under load while its Redis is killed and comes back empty."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError

from example_project.demo.figures import Figures
from example_project.demo.play import Play
from example_project.demo.scoreboard import print_figures, show_for
from example_project.demo.stage import Stage
from example_project.servers.processes import ServerError

RESULT = Path("demo-result.json")


class Command(BaseCommand):
    help = "Take 600 orders while Redis is killed and comes back empty, then count the mails."

    def handle(self, *args: Any, **options: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
                signal.signal(number, _leave)
        folder = Path(tempfile.mkdtemp(prefix="shop-demo-"))
        try:
            problems = self._perform(folder)
        except ServerError as error:
            raise CommandError(f"{error}\nThe logs are in {folder}") from error
        except SystemExit:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if problems:
            raise CommandError(f"{'; '.join(problems)}. The logs are in {folder}")
        shutil.rmtree(folder, ignore_errors=True)

    def _perform(self, folder: Path) -> list[str]:
        terminal = sys.stdout.isatty()
        with Stage(folder) as stage:
            with show_for(terminal=terminal) as show:
                figures = Play(stage, show).run()
            print_figures(figures)
            self._write(figures)
            if terminal and os.environ.get("DEMO_ONCE") != "1":
                self._leave_up(stage)
        return figures.problems

    def _write(self, figures: Figures) -> None:
        try:
            figures.write(RESULT)
        except OSError as error:
            self.stderr.write(f"The figures are not in {RESULT}: {error}")

    def _leave_up(self, stage: Stage) -> None:
        self.stdout.write(
            f"The shop stays up at {stage.url} until you press Ctrl-C.\n"
            f"Admin: {stage.url}admin/  login: admin  password: {stage.password}"
        )
        with contextlib.suppress(SystemExit):
            threading.Event().wait()


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """Unwind, so that all that was started is ended."""
    sys.exit(128 + number)
