"""What is done to many letters at once, and the pages that ask before it is."""

from __future__ import annotations

from django.test import Client

from django_resilient_queue import discard
from django_resilient_queue.admin.letters.choosing import query_of
from django_resilient_queue.models import DeadLetter
from django_resilient_queue.recovery.selection import Selection
from tests.integration.letters.desk import REVEAL, address, letter_of

PERMISSIONS = {
    "requeue": ("requeue_deadletter", "add_recoveryrun"),
    "discard": ("discard_deadletter",),
    "restore": ("discard_deadletter",),
    "export": (REVEAL,),
}
VERBS = sorted(PERMISSIONS)
FORM = {"rate": "10", "canary": "1", "reason": "mended"}


def page_of(verb: str, selection: Selection) -> str:
    return f"{address(f'{verb}_all')}?{query_of(selection)}"


def letter_for(verb: str) -> DeadLetter:
    letter = letter_of()
    if verb == "restore":
        discard(letter)
    return letter


def choose(client: Client, verb: str, *, query: str = "", **fields: object) -> str:
    """Take an action of the list; returns where it leads to."""
    form = {"action": f"{verb}_all", "index": "0", **fields}
    return str(client.post(f"{address('changelist')}{query}", form)["Location"])
