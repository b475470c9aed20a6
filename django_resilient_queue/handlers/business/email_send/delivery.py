"""Sending one mail to those who have not got it yet, and saying what became of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from .... import events
from .addresses import Address, bounces_differ, envelope_sender
from .errors import MailPostponed, MailRefused
from .letter import FIELDS, Letter
from .record import Record
from .transport import DEFAULT, BackendTransport, Transport, opened


def deliver(letter: Letter, record: Record) -> dict[str, Any]:
    """Send a mail over one connection.

    Returns ``message_id``, the number ``accepted`` and who was ``refused``, by field and index.
    Raises MailPostponed while somebody may still get it, MailRefused when nobody ever will.
    """
    pending = record.pending(letter.recipients)
    if pending:
        record.save()  # the token, so that the job of a requeued letter is known as this mail
        answers = _send(letter, record, pending)
        if left := record.pending(letter.recipients):
            many = f"{len(left)} of {len(letter.recipients)}"
            raise MailPostponed(f"{many} recipients have to wait; refused: {answers}")
    return _result(letter, record)


def _send(letter: Letter, record: Record, pending: Sequence[Address]) -> dict[str, int]:
    """Return how often each answer was given instead of a success."""
    answers = Counter[str]()
    with opened(letter.data.get("mailer") or DEFAULT) as transport:
        for sender, group in _envelopes(letter, pending, transport):
            refused = transport.hand_over(letter, group, sender)
            record.note(group, refused)
            answers.update(str(each) for each in refused.values())
    if answers:
        events.MAIL_REFUSED.log(recipients=answers.total(), answers=dict(answers))
    return dict(answers)


def _envelopes(
    letter: Letter, pending: Sequence[Address], transport: Transport
) -> Iterator[tuple[str, Sequence[Address]]]:
    # Only SMTP can tell a recipient alone of a mail whose headers name all of them.
    if bounces_differ() and not isinstance(transport, BackendTransport):
        for each in pending:
            yield envelope_sender(letter.sender, letter.token, each), [each]
    else:
        yield envelope_sender(letter.sender, letter.token), pending


def _result(letter: Letter, record: Record) -> dict[str, Any]:
    refused = [
        {"field": field, "index": index, "code": answer.code, "status": answer.status}
        for field in FIELDS
        for index, each in enumerate(letter.data.get(field, ()))
        if (answer := record.refusal(each)) is not None
    ]
    accepted = sum(record.has_got(each) for each in letter.recipients)
    if not accepted:
        raise MailRefused(f"every recipient was refused, the first with {_first(letter, record)}")
    return {"message_id": letter.message_id, "accepted": accepted, "refused": refused}


def _first(letter: Letter, record: Record) -> str:
    """What was answered to the first that was refused."""
    answers = (record.refusal(each) for field in FIELDS for each in letter.data.get(field, ()))
    return next(answer.explained for answer in answers if answer is not None)
