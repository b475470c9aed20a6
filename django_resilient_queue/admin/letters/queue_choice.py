"""The queue that a letter's job is requeued to."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy
from django_rq.settings import get_queues_map

from django_resilient_queue.models import DeadLetter


def queue_choice(letter: DeadLetter) -> forms.ChoiceField:
    """Make a field of those that there are, its own chosen if it is one of them."""
    names = sorted(get_queues_map())
    return forms.ChoiceField(
        label=gettext_lazy("Queue"),
        choices=[(name, name) for name in names],
        initial=letter.queue_name if has_queue(letter) else None,
    )


def has_queue(letter: DeadLetter) -> bool:
    """Tell whether its queue is configured yet."""
    return letter.queue_name in get_queues_map()
