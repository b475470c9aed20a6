"""`manage.py alerts`: what fires, rules that are silent, and whether the channels work.

Exit codes: 0 when all was done, 1 when a channel failed or nothing was silent, 2 for a mistake.
"""

from __future__ import annotations

import getpass
import json
import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from django_resilient_queue.alerts import RULES, Notice
from django_resilient_queue.alerts.channels import send
from django_resilient_queue.conf import settings
from django_resilient_queue.exceptions import describe
from django_resilient_queue.management.verbs import VerbCommand
from django_resilient_queue.models import Alert, AlertSilence

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_LISTED = ("id", "rule", "key", "severity", "since", "told_at", "resolved_at", "message")
_LONGEST_DAYS = 365


class Command(VerbCommand):
    """List alerts, silence their rules, and test their channels."""

    help = "List alerts, silence their rules, and test their channels."
    # It may be asked while a store is away: no check may ask the database first.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Give each verb its arguments."""
        codes = [rule.code for rule in RULES]
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        listing = verbs.add_parser("list", help="what fires, and which rules are silent")
        listing.add_argument("--all", action="store_true", help="what is over, too")
        listing.add_argument("--limit", type=int, default=50)
        listing.add_argument("--json", action="store_true")
        silence = verbs.add_parser("silence", help="send no notices of a rule for a while")
        silence.add_argument("rule", choices=codes)
        silence.add_argument(
            "--for", dest="length", type=_length, required=True, help="30m, 2h, 7d"
        )
        silence.add_argument("--reason", default="")
        lift = verbs.add_parser("unsilence", help="send notices of a rule again")
        lift.add_argument("rule", choices=codes)
        test = verbs.add_parser("test", help="send a test notice over each channel")
        test.add_argument("channels", nargs="*", help="those of ALERT_CHANNELS when none is named")

    def _list(self, options: dict[str, Any]) -> int:
        alerts = Alert.objects.using(settings.DATABASE)
        shown = alerts.filter(fired_at__isnull=False) if options["all"] else alerts.firing()
        rows = list(shown.values(*_LISTED)[: options["limit"]])
        now = timezone.now()
        silences = AlertSilence.objects.using(settings.DATABASE).filter(until__gt=now)
        silent = list(silences.values("rule", "until", "set_by", "reason"))
        if options["json"]:
            found = {"alerts": rows, "silent": silent}
            self.stdout.write(json.dumps(found, cls=DjangoJSONEncoder))
            return 0
        for row in rows:
            end = f" to {row['resolved_at']:%Y-%m-%d %H:%M:%S}" if row["resolved_at"] else ""
            place = f" ({row['key']})" if row["key"] else ""
            self.stdout.write(f"{row['severity']}  {row['rule']}{place}  {row['message']}")
            self.stdout.write(f"    since {row['since']:%Y-%m-%d %H:%M:%S}{end}")
        for row in silent:
            words = f"silent: {row['rule']} until {row['until']:%Y-%m-%d %H:%M}"
            self.stdout.write(f"{words} by {row['set_by'] or '?'} {row['reason']}".rstrip())
        return 0

    def _silence(self, options: dict[str, Any]) -> int:
        until = timezone.now() + options["length"]
        silences = AlertSilence.objects.using(settings.DATABASE)
        silences.silence(options["rule"], until=until, by=_user(), reason=options["reason"])
        self.stdout.write(f"{options['rule']} is silent until {until:%Y-%m-%d %H:%M %Z}")
        return 0

    def _unsilence(self, options: dict[str, Any]) -> int:
        won = AlertSilence.objects.using(settings.DATABASE).lift(options["rule"])
        words = "is heard again" if won else "was not silent"
        self.stdout.write(f"{options['rule']} {words}")
        return 0 if won else 1

    def _test(self, options: dict[str, Any]) -> int:
        channels: Sequence[str] = options["channels"] or settings.ALERT_CHANNELS
        failed = 0
        for name in channels:
            try:
                send(name, Notice.for_test())
            except Exception as error:  # noqa: BLE001 - to say so is what the verb is for
                failed += 1
                self.stdout.write(f"{name}: failed: {describe(error)}")
            else:
                self.stdout.write(f"{name}: sent")
        return failed


def _length(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if match:
        length = timedelta(**{_UNITS[match[2]]: int(match[1])})
        if length <= timedelta(days=_LONGEST_DAYS):
            return length
    words = f"must be a number with m, h or d, as 2h, at most {_LONGEST_DAYS}d, not {text!r}"
    raise ArgumentTypeError(words)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return ""
