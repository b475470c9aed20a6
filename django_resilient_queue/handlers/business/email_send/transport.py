"""Ways to hand a mail over: SMTP, recipient by recipient, and any other mail backend of Django."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from email.generator import BytesGenerator
from email.message import Message
from email.utils import parseaddr
from io import BytesIO
from smtplib import (
    SMTPDataError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)
from typing import Any, Protocol

from django.conf import settings as django_settings
from django.core import mail
from django.core.mail.backends.smtp import EmailBackend
from django.utils.module_loading import import_string

from ....conf import settings
from .addresses import Address
from .answer import Answer
from .errors import MailConnectionError, MailPostponed, MailRefused, MailTimeout
from .letter import Letter

DEFAULT = "default"
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")
_TRY_AGAIN = {408, 425, 429}  # of HTTP
_REFUSED_STATUS = {"invalid", "rejected", "failed"}  # anymail's
_NOT_ASKED = Answer(421)
Refused = dict[str, Answer]


class Transport(Protocol):
    """One open way, for one or more handings over."""

    def hand_over(
        self, letter: Letter, recipients: Sequence[Address], envelope_sender: str
    ) -> Refused:
        """Return who was refused, by address; all others have got it. Raises MailPostponed when it
        is not known who has, and MailRefused."""


def is_mailer(alias: str) -> bool:
    """Tell whether there is such a mailer: in MAIL_BACKENDS, or Django's own."""
    return alias == DEFAULT or alias in settings.MAIL_BACKENDS or alias in _mailers()


@contextmanager
def opened(alias: str) -> Iterator[Transport]:
    """Open a connection, and close it whatever happens. Raises MailConnectionError, MailTimeout."""
    backend = _backend(alias)
    transport: SmtpTransport | BackendTransport
    is_smtp = isinstance(backend, EmailBackend) and not _sends_otherwise(type(backend))
    transport = SmtpTransport(backend) if is_smtp else BackendTransport(backend)
    if isinstance(backend, EmailBackend):
        most = settings.MAIL_TIMEOUT
        backend.timeout = min(backend.timeout or most, most)
    try:
        with _connecting():
            backend.open()
        yield transport
    finally:
        # What the server has taken, it has taken, whether or not it says goodbye.
        with suppress(SMTPException, OSError):
            backend.close()


class SmtpTransport:
    """Django's own SMTP backend, of which only the connection is used: it does not tell which
    recipients were refused when others were not."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def hand_over(
        self, letter: Letter, recipients: Sequence[Address], envelope_sender: str
    ) -> Refused:
        """Send it to some of its recipients; its headers name all of them."""
        emails = [each.email for each in recipients]
        content = _bytes(letter.email(envelope_sender).message())
        with _transmitting():
            try:
                found = self._backend.connection.sendmail(envelope_sender, emails, content)
            except SMTPRecipientsRefused as error:
                return _all_refused(error, emails)
            except (SMTPSenderRefused, SMTPDataError) as error:
                answer = (error.smtp_code, error.smtp_error)
                found = dict.fromkeys(emails, answer)
        return {email: _answer(*answer) for email, answer in found.items()}


class BackendTransport:
    """Any backend: those of anymail, a file, a project's own. It takes the whole or nothing, except
    for what anymail reports of single recipients."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def hand_over(
        self, letter: Letter, recipients: Sequence[Address], envelope_sender: str
    ) -> Refused:
        """Send it; also its headers name only these recipients."""
        email = letter.email(envelope_sender, recipients)
        with _transmitting():
            try:
                count = self._backend.send_messages([email])
            except SMTPRecipientsRefused as error:
                return _all_refused(error, [each.email for each in recipients])
            except (SMTPSenderRefused, SMTPDataError) as error:
                answer = _answer(error.smtp_code, error.smtp_error)
                return dict.fromkeys((each.email for each in recipients), answer)
            except Exception as error:
                _raise_service_error(error)
                raise
        if count == 0:
            raise MailPostponed("the mail backend sent nothing")
        return _reported(email)


def _backend(alias: str) -> Any:
    known = settings.MAIL_BACKENDS.get(alias)
    if known is not None:
        return import_string(known["BACKEND"])(**known.get("OPTIONS", {}))
    if _mailers():
        return mail.mailers[alias]
    if alias != DEFAULT:
        raise MailRefused(f"MAIL_BACKENDS has no mailer {alias!r}")
    # Django 6.1 deprecates get_connection, which did this and no more.
    return import_string(django_settings.EMAIL_BACKEND)()


def _mailers() -> dict[str, Any]:
    """Django's MAILERS, new in 6.1; empty where they are not set."""
    if not hasattr(mail, "mailers"):
        return {}
    return dict(getattr(django_settings, "MAILERS", None) or {})


def _sends_otherwise(kind: type[Any]) -> bool:
    """Tell whether a subclass signs or changes what it sends."""
    return any(
        getattr(kind, name, None) is not getattr(EmailBackend, name, None)
        for name in ("send_messages", "_send")
    )


def _bytes(message: Message) -> bytes:
    file = BytesIO()
    policy = message.policy.clone(linesep="\r\n")
    BytesGenerator(file, mangle_from_=False, policy=policy).flatten(message)
    return file.getvalue()


def _answer(code: int, words: bytes | str) -> Answer:
    # Its words may repeat the address.
    text = words.decode("ascii", "replace") if isinstance(words, bytes) else str(words)
    found = _ENHANCED.match(text)
    return Answer(code, found[0] if found else "")


def _all_refused(error: SMTPRecipientsRefused, emails: Sequence[str]) -> Refused:
    """Return an answer for each of those that were asked for: nobody has got anything."""
    # Django's backend gives smtplib the names as well.
    told = {parseaddr(to)[1]: _answer(*each) for to, each in error.recipients.items()}
    # At a 421 smtplib asks for no others, and tells nothing of those that were not refused.
    return {email: told.get(email, _NOT_ASKED) for email in emails}


@contextmanager
def _connecting() -> Iterator[None]:
    """A refusal before any mail is named says nothing of this one: it is tried again."""
    try:
        yield
    except SMTPResponseException as error:
        words = f"{type(error).__name__}: {_answer(error.smtp_code, error.smtp_error).explained}"
        raise MailConnectionError(words) from None
    except (SMTPException, OSError) as error:
        raise _lost(error, "connecting") from None


@contextmanager
def _transmitting() -> Iterator[None]:
    try:
        yield
    except SMTPResponseException as error:
        answer = _answer(error.smtp_code, error.smtp_error)
        kind = MailRefused if answer.is_permanent else MailPostponed
        raise kind(f"the mail server answered {answer.explained}") from None
    except (SMTPException, OSError) as error:
        raise _lost(error, "sending") from None


def _lost(error: Exception, doing: str) -> MailPostponed:
    # smtplib says of a timeout that the connection was closed.
    is_late = isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
    kind = MailTimeout if is_late else MailConnectionError
    return kind(f"{type(error).__name__} while {doing}")


def _raise_service_error(error: Exception) -> None:
    """Say in our words what anymail says with payload and addresses; other errors are left."""
    if not any(each.__module__.startswith("anymail.") for each in type(error).__mro__):
        return
    status = getattr(error, "status_code", None)
    words = f"the mail service: {type(error).__name__} {status or ''}".rstrip()
    if isinstance(error, OSError) or (status and (status in _TRY_AGAIN or status >= 500)):
        raise MailPostponed(words) from None
    if status is None and type(error).__name__ == "AnymailAPIError":
        raise MailPostponed(words) from None
    raise MailRefused(words) from None


def _reported(email: Any) -> Refused:
    """What anymail has noted of each recipient."""
    status = getattr(email, "anymail_status", None)
    recipients = getattr(status, "recipients", None) or {}
    return {
        address: Answer(0, each.status)
        for address, each in recipients.items()
        if each.status in _REFUSED_STATUS
    }
