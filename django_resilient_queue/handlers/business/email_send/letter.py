"""The mail itself, made of a validated payload: headers, alternatives, attachments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.mail import EmailMultiAlternatives

from ....conf import settings
from . import attachments, headers, html, templates
from .addresses import Address, default_sender
from .errors import MailRefused

FIELDS = ("to", "cc", "bcc")


class Letter:
    """One mail. *token* makes its Message-ID, the same however often it is sent."""

    def __init__(self, data: Mapping[str, Any], token: str) -> None:
        self.data, self.token = data, token
        self.sender: Address = data.get("from_email") or default_sender()
        self.subject, self.text, self.html = self._content()
        self.attachments = self._attachments()

    @property
    def recipients(self) -> list[Address]:
        """Everybody once."""
        found = {each.key: each for field in FIELDS for each in self.data.get(field, ())}
        return list(found.values())

    @property
    def message_id(self) -> str:
        """What a repeat is recognised by."""
        return f"<{self.token}@{settings.MAIL_DOMAIN or self.sender.domain}>"

    def email(self, envelope_sender: str, only: Sequence[Address] = ()) -> EmailMultiAlternatives:
        """Return Django's message, shown to all recipients or to *only* some."""
        to, cc, bcc = (self._shown(field, only) for field in FIELDS)
        headers = {**self.data.get("headers", {}), "Message-ID": self.message_id}
        from_email = str(self.sender)
        if envelope_sender != self.sender.email:
            # With this header Django takes `from_email` for the envelope. Some mail services refuse
            # that, so it is not there for nothing.
            headers["From"], from_email = from_email, envelope_sender
        if not to and not cc:
            headers["To"] = "undisclosed-recipients:;"
        email = EmailMultiAlternatives(
            subject=self.subject,
            body=self.text,
            from_email=from_email,
            to=to,
            cc=cc,
            bcc=bcc,
            reply_to=[str(each) for each in self.data.get("reply_to", ())],
            headers=headers,
        )
        if self.html:
            email.attach_alternative(self.html, "text/html")
        for each in self.attachments:
            email.attach(each.name, each.content, each.content_type)
        return email

    def _shown(self, field: str, only: Sequence[Address]) -> list[str]:
        keys = {each.key for each in only}
        given: Sequence[Address] = self.data.get(field, ())
        return [str(each) for each in given if not only or each.key in keys]

    def _content(self) -> tuple[str, str, str]:
        """Return subject, text and HTML. Raises MailRefused."""
        name = self.data.get("template")
        rendered = templates.render(name, self.data.get("variables", {})) if name else None
        subject = self.data.get("subject") or (rendered.subject if rendered else "")
        text = self.data.get("body") or (rendered.text if rendered else "")
        page = self.data.get("html") or (rendered.html if rendered else "")
        if not subject:
            raise MailRefused("the mail has no subject")
        if found := headers.subject_problem(subject):  # of one that a template has made
            raise MailRefused(f"the subject of the mail: {found}")
        if not (text.strip() or page.strip()):
            raise MailRefused("the mail has no content")
        return subject, *self._alternatives(text, page)

    def _alternatives(self, text: str, page: str) -> tuple[str, str]:
        if not page:
            return text, ""
        if found := html.problem(page):
            raise MailRefused(f"the HTML of the mail: {found}")
        whole = html.inlined(page, styles=self.data["inline_css"])
        return text or html.text_of(whole), whole

    def _attachments(self) -> list[attachments.Attachment]:
        room = settings.MAIL_SIZE_LIMIT - len(self.text.encode()) - len(self.html.encode())
        if room < 0:
            raise MailRefused(f"the mail has more than {settings.MAIL_SIZE_LIMIT} bytes")
        found = []
        for number, given in enumerate(self.data.get("attachments", ())):
            found.append(attachments.read(given, number, room))
            room -= len(found[-1].content)
        return found
