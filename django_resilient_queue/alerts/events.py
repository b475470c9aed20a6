"""What is told in the moment it happens: the death of a job that its handler calls critical."""

from __future__ import annotations

from typing import Any

from .. import signals
from ..events import CRITICAL_DEATH
from ..handlers.registry import registry
from ..models import DeadLetter


def listen() -> bool:
    """Have critical deaths logged; False when no handler is critical: then nobody reads letters
    for nothing."""
    if not any(handler.critical for handler in registry):
        return False
    signals.job_dead_lettered.connect(log_death, dispatch_uid="drq-log-critical-death")
    return True


def is_critical(letter: DeadLetter) -> bool:
    """Tell whether the letter's handler is one whose deaths are told at once."""
    return letter.handler in registry and registry.get(letter.handler).critical


def log_death(dead_letter: DeadLetter, **kwargs: Any) -> None:
    """Write the line for it; its message may hold data and stays in the letter."""
    if is_critical(dead_letter):
        CRITICAL_DEATH.log(
            dead_letter.about,
            job_id=dead_letter.job_id,
            handler=dead_letter.handler,
            queue=dead_letter.queue_name,
            attempts=dead_letter.attempts,
            reason=dead_letter.reason,
            error_class=dead_letter.error_class,
        )
