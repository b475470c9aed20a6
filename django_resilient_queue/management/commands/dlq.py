"""`manage.py dlq`: dead letters from a shell.

Exit codes: 0 when all was done, 1 when some of it was not, 2 for a mistake in the call.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from django_resilient_queue.exceptions import LetterNotDead, UndecodableSnapshot
from django_resilient_queue.management.verbs import VerbCommand
from django_resilient_queue.models import DeadLetter
from django_resilient_queue.models.dead_letter import DeadLetterQuerySet, Status
from django_resilient_queue.recovery.requeueing import discard, requeue, restore
from django_resilient_queue.recovery.retention import as_json, expire_letters
from django_resilient_queue.recovery.runs import start_run
from django_resilient_queue.recovery.selection import KINDS, Selection
from django_resilient_queue.recovery.statistics import groups, statistics
from django_resilient_queue.recovery.tallying import recount
from django_resilient_queue.recovery.transcript import import_letters
from django_resilient_queue.redaction import redact, redact_patch
from django_resilient_queue.stores.database import DatabaseStore

LISTED = ("id", "job_id", "handler", "queue_name", "reason", "error_class", "attempts", "died_at")


class Command(VerbCommand):
    """Look at dead letters, requeue, discard, restore, prune and export them."""

    help = "Look at dead letters, requeue, discard, restore, prune and export them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Give each verb its arguments."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        listing = self._verb(verbs, "list", "those that fit, the newest first")
        listing.add_argument("--limit", type=int, default=50)
        listing.add_argument("--status", choices=Status.values, default=Status.DEAD)
        show = verbs.add_parser("show", help="one letter, with the history of its attempts")
        show.add_argument("id", type=int)
        show.add_argument("--json", action="store_true")
        show.add_argument("--reveal", action="store_true", help="do not mask secrets")
        stats = self._verb(verbs, "stats", "how many there are, of what kind, and how old")
        stats.add_argument("--recount", action="store_true", help="count letters, correct the sums")
        again = self._changing(verbs, "requeue", "have their jobs run again")
        again.add_argument("--rate", type=float, help="letters a second; makes a recovery run")
        again.add_argument("--canary", type=int, default=0, help="so many have to finish first")
        again.add_argument("--dry-run", action="store_true", help="count only")
        self._changing(verbs, "discard", "put them away")
        self._changing(verbs, "restore", "take discarded ones out again")
        verbs.add_parser("prune", help="delete those that have had their time")
        export = self._verb(verbs, "export", "write those that fit as JSON lines")
        export.add_argument("--file", default="-", help="where to; - is the standard output")
        take_in = verbs.add_parser("import", help="store those of an export or of a worker's log")
        take_in.add_argument("file", help="where from; - is the standard input")

    # ---- verbs: each returns how many letters it could not do ----------------------------------

    def _list(self, options: dict[str, Any]) -> int:
        letters = _selection(options).among(
            DatabaseStore().letters.filter(status=options["status"])
        )
        rows = list(letters.values(*LISTED)[: options["limit"]])
        if options["json"]:
            self._write(rows)
            return 0
        for row in rows:
            self.stdout.write("  ".join(_short(row[name]) for name in LISTED))
        return 0

    def _show(self, options: dict[str, Any]) -> int:
        letter = _letter(options["id"])
        known = as_json(letter)
        del known["payload"]
        known |= letter.revealed if options["reveal"] else letter.readable
        if not options["reveal"]:
            keys = letter.redact_keys
            known["corrections"] = [_masked(each, keys) for each in known["corrections"]]
        for each in known["corrections"]:
            del each["shown"]
        if options["json"]:
            self._write(known)
            return 0
        for name, value in known.items():
            if name not in ("history", "corrections", "traceback") and value not in (
                None,
                "",
                [],
                {},
            ):
                self.stdout.write(f"{name}: {_text(value)}")
        for attempt in known["history"]:
            words = f"{attempt['error_class']}: {attempt['message']}"
            self.stdout.write(f"attempt {attempt['number'] + 1}, {attempt['ended_at']}: {words}")
        self.stdout.write(known["traceback"])
        return 0

    def _stats(self, options: dict[str, Any]) -> int:
        if options["recount"]:
            self.stderr.write(f"{recount()} sums corrected")
        selection = _selection(options)
        found = {**statistics(selection), "groups": groups(selection)}
        if options["json"]:
            self._write(found)
            return 0
        for name, value in found.items():
            if name != "groups":
                self.stdout.write(f"{name.replace('_', ' ')}: {_line(value)}")
        for group in found["groups"]:
            seen = f"{group['first_seen']:%Y-%m-%d %H:%M} to {group['last_seen']:%Y-%m-%d %H:%M}"
            words = f"{group['error_class']}: {group['message'][:60]}"
            self.stdout.write(f"{group['count']} times, {seen}: {words}")
        return 0

    def _requeue(self, options: dict[str, Any]) -> int:
        selection = self._chosen(options)
        if options["dry_run"] or options["rate"] is not None:
            run = self._start_run(selection, options)
            words = "letters" if options["dry_run"] else f"letters, recovery run {run}"
            if options["json"]:
                self._write({"letters": run.total, "run": run.pk})
            else:
                self.stdout.write(f"{run.total} {words}")
            return 0
        return self._each(requeue, selection.among(DatabaseStore().letters.dead()), options)

    def _discard(self, options: dict[str, Any]) -> int:
        return self._each(
            discard, self._chosen(options).among(DatabaseStore().letters.dead()), options
        )

    def _restore(self, options: dict[str, Any]) -> int:
        put_away = DatabaseStore().letters.filter(status=Status.DISCARDED)
        return self._each(restore, self._chosen(options).among(put_away), options)

    def _prune(self, options: dict[str, Any]) -> int:
        total = 0
        while done := expire_letters():
            total += done
        self.stdout.write(f"{total} letters deleted")
        return 0

    def _export(self, options: dict[str, Any]) -> int:
        letters = _selection(options).among(DatabaseStore().letters).order_by("pk")
        if options["file"] == "-":
            self._write_lines(letters, self.stdout.write)
            return 0
        try:
            with open(options["file"], "x", encoding="utf-8") as file:  # noqa: PTH123 - the shell's
                self._write_lines(letters, file.write)
        except OSError as error:
            raise CommandError(str(error), returncode=2) from error
        return 0

    def _import(self, options: dict[str, Any]) -> int:
        try:
            if options["file"] == "-":
                done = import_letters(sys.stdin)
            else:
                with open(options["file"], encoding="utf-8") as file:  # noqa: PTH123 - as above
                    done = import_letters(file)
        except (OSError, ValueError) as error:
            raise CommandError(str(error), returncode=2) from error
        self.stdout.write(
            f"{done.stored} letters stored, {done.known} were there, {done.alive} are still to run"
        )
        return 0

    # ---- what they share -----------------------------------------------------------------------

    def _verb(self, verbs: Any, name: str, help_text: str) -> ArgumentParser:
        parser: ArgumentParser = verbs.add_parser(name, help=help_text)
        parser.add_argument("ids", nargs="*", type=int, metavar="ID")
        for criterion in KINDS:
            parser.add_argument(
                f"--{criterion.replace('_name', '').replace('_', '-')}", dest=criterion
            )
        parser.add_argument("--priority", type=int)
        parser.add_argument("--since", type=_moment, help="died at or after, as 2030-01-31T12:00")
        parser.add_argument("--until", type=_moment, help="died before")
        parser.add_argument("--json", action="store_true")
        return parser

    def _changing(self, verbs: Any, name: str, help_text: str) -> ArgumentParser:
        parser = self._verb(verbs, name, help_text)
        parser.add_argument("--all", action="store_true", help="needed where nothing is chosen")
        parser.add_argument("--by", default="manage.py dlq", help="who does it")
        parser.add_argument("--because", default="", help="why")
        return parser

    def _chosen(self, options: dict[str, Any]) -> Selection:
        selection = _selection(options)
        if selection == Selection() and not options["all"]:
            raise CommandError("nothing is chosen: give ids, criteria, or --all", returncode=2)
        return selection

    def _start_run(self, selection: Selection, options: dict[str, Any]) -> Any:
        try:
            return start_run(
                selection,
                reason=options["because"],
                by=options["by"],
                rate=10.0 if options["rate"] is None else options["rate"],
                canary=options["canary"],
                dry_run=options["dry_run"],
            )
        except ValueError as error:
            raise CommandError(str(error), returncode=2) from error

    def _each(
        self, do: Callable[..., object], letters: DeadLetterQuerySet, options: dict[str, Any]
    ) -> int:
        done = 0
        pks = list(letters.order_by("pk").values_list("pk", flat=True))
        missing = sorted(set(options["ids"]) - set(pks))
        failed = [{"id": pk, "problem": "not there, or in no state for this"} for pk in missing]
        for letter in _tracked(_one_by_one(pks), len(pks), self.stderr.isatty()):
            try:
                do(letter, by=options["by"], reason=options["because"])
                done += 1
            except (LetterNotDead, UndecodableSnapshot, ValueError) as error:
                failed.append({"id": letter.pk, "problem": str(error)})
        if options["json"]:
            self._write({"done": done, "failed": failed})
        else:
            self.stdout.write(f"{done} done, {len(failed)} not")
            for each in failed:
                self.stderr.write(f"{each['id']}: {each['problem']}")
        return len(failed)

    def _write(self, value: object) -> None:
        self.stdout.write(json.dumps(value, cls=DjangoJSONEncoder))

    def _write_lines(self, letters: DeadLetterQuerySet, write: Callable[[str], object]) -> None:
        found = letters.iterator(chunk_size=200)
        for letter in _tracked(found, letters.count(), self.stderr.isatty()):
            write(f"{json.dumps(as_json(letter), cls=DjangoJSONEncoder)}\n")


def _letter(pk: int) -> DeadLetter:
    letter = DatabaseStore().letters.filter(pk=pk).first()
    if letter is None:
        raise CommandError(f"there is no dead letter {pk}", returncode=2)
    return letter


def _one_by_one(pks: Iterable[int]) -> Iterator[DeadLetter]:
    for pk in pks:
        letter = DatabaseStore().letters.filter(pk=pk).first()
        if letter is not None:
            yield letter


def _selection(options: dict[str, Any]) -> Selection:
    return Selection(
        ids=tuple(options["ids"]),
        priority=options["priority"],
        since=options["since"],
        until=options["until"],
        **{name: options[name] or "" for name in KINDS},
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else timezone.make_aware(moment)


def _tracked(letters: Iterable[DeadLetter], total: int, is_seen: bool) -> Iterable[DeadLetter]:
    """Show a progress bar to whoever looks, where rich is installed."""
    if not is_seen:
        return letters
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:
        return letters
    return track(letters, "dead letters", total=total, console=Console(stderr=True))


def _masked(correction: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    diff = redact_patch(correction["shown"], keys)
    versions = {name: redact(correction[name], keys) for name in ("before", "after")}
    return {**correction, **versions, "diff": diff}


def _short(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)


def _text(value: object) -> str:
    is_nested = isinstance(value, dict | list)
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False) if is_nested else str(value)


def _line(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name or '-'} {count}" for name, count in value.items()) or "none"
    return str(value)
