"""Django signals this package sends. None is sent inside a transaction or while a lock is held.

Receivers run in the process where the thing happened, worker or producer, and are called with
`send_robust`: an exception in a receiver is logged and disturbs nothing.

job_dead_lettered      sender=DeadLetter, dead_letter: the row, saved
dead_letter_requeued   sender=DeadLetter, dead_letter: the row, saved
dead_letter_recovered  sender=DeadLetter, dead_letter: the row; the job that took its place finished
dead_letter_discarded  sender=DeadLetter, dead_letter: the row, saved
dead_letter_restored   sender=DeadLetter, dead_letter: the row, saved
outage_started         sender=Outage, outage: the row, saved
outage_ended           sender=Outage, outage: the row, closed, with its counts
export_ready           sender=Export, export: the row, saved; again when that was not noted
alert_notified         sender=Alert, notice: alerts.Notice; with the alert channel "signal", in the
                       process that sends notices
queue_paused           sender=PausedQueue, queue_name ("" for all), by: a name, or empty
queue_resumed          sender=PausedQueue, queue_name ("" for all, with every single pause)
operator_acted         sender=the model, operation: what was done in the admin ("requeue"), row: to
                       what, None for many, by: a name, words: what the admin's log says of it
circuit_changed        sender=CircuitBreaker, old_state, new_state: CircuitState of this process
"""

from __future__ import annotations

from django.dispatch import Signal

job_dead_lettered = Signal()
dead_letter_requeued = Signal()
dead_letter_recovered = Signal()
dead_letter_discarded = Signal()
dead_letter_restored = Signal()
outage_started = Signal()
outage_ended = Signal()
export_ready = Signal()
alert_notified = Signal()
queue_paused = Signal()
queue_resumed = Signal()
operator_acted = Signal()
circuit_changed = Signal()
