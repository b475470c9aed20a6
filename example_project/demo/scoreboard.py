"""How the demo looks: a live board in a terminal, else lines of text, and the table at the end."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table

from example_project.demo.figures import Figures
from example_project.demo.frame import Frame
from example_project.demo.play import Show

LINE_EVERY = 2.0
BAR_WIDTH = 40


def show_for(*, terminal: bool) -> Show:
    return Board(Console()) if terminal else Lines(Console())


class Board:
    """The live board; what happens is written above it."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Board:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        self._live.console.print(text, highlight=False)

    def frame(self, frame: Frame) -> None:
        self._live.update(Panel(_rows(frame), title="Orders", expand=False), refresh=True)


class Lines:
    """One line every other second, for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._due = 0.0

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def frame(self, frame: Frame) -> None:
        if frame.seconds >= self._due:
            self._due = frame.seconds + LINE_EVERY
            self.say(_line(frame))


def print_figures(figures: Figures) -> None:
    table = Table(title="What became of the orders")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in _figures(figures):
        table.add_row(name, value)
    Console().print(table)


def _figures(figures: Figures) -> list[tuple[str, str]]:
    healthy = "not reached" if figures.healthy_after is None else f"{figures.healthy_after:.1f} s"
    return [
        ("orders placed", f"{figures.orders_placed} of {figures.orders_wanted}"),
        ("orders refused", str(figures.orders_refused)),
        ("mails delivered, by order number", str(figures.mails_delivered)),
        ("dead letters", str(figures.dead_letters)),
        ("lost", str(figures.lost)),
        ("doubled", str(figures.doubled)),
        ("executed from Redis", str(figures.executed_from.get("redis", 0))),
        ("executed from the database", str(figures.executed_from.get("database", 0))),
        ("enqueue, p50 / p99", f"{figures.enqueue_ms_p50:.1f} / {figures.enqueue_ms_p99:.1f} ms"),
        ("slowest enqueue", f"{figures.enqueue_ms_slowest:.1f} ms"),
        ("longest time without an execution", f"{figures.longest_without_execution:.1f} s"),
        ("from Redis's return to healthy", healthy),
        ("outbox rows left", str(figures.outbox_rows_left)),
    ]


def _rows(frame: Frame) -> Table:
    rows = Table.grid(padding=(0, 2))
    rows.add_row("time", f"{frame.seconds:.1f} s")
    rows.add_row("Redis", f"[{'green' if frame.redis != 'killed' else 'bold red'}]{frame.redis}")
    colour = "green" if frame.circuit == "closed" else "bold red"
    rows.add_row("circuit", f"[{colour}]{frame.circuit}")
    rows.add_row("accepted", f"{frame.accepted} of {frame.orders}, {frame.refused} refused")
    rows.add_row("", ProgressBar(total=frame.orders, completed=frame.answered, width=BAR_WIDTH))
    rows.add_row("executed", _executed(frame))
    rows.add_row("workers", ", ".join(frame.sight.modes))
    rows.add_row("outbox", frame.outbox)
    latency = frame.latency
    rows.add_row(
        "enqueue", f"p50 {latency.p50:.1f}, p99 {latency.p99:.1f}, max {latency.worst:.1f} ms"
    )
    return rows


def _line(frame: Frame) -> str:
    return (
        f"{frame.seconds:5.1f} s  Redis {frame.redis}; circuit {frame.circuit}; "
        f"accepted {frame.accepted}, refused {frame.refused}; executed {_executed(frame)}; "
        f"outbox {frame.outbox}; p99 {frame.latency.p99:.1f} ms"
    )


def _executed(frame: Frame) -> str:
    return f"{frame.executed['redis']} from Redis, {frame.executed['database']} from the database"
