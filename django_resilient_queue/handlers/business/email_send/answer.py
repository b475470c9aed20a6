"""What a mail server says of a recipient: its codes, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass

# RFC 3463, sections 3.2 to 3.8: what follows the class, for those that servers really give.
_MEANINGS = {
    "1.1": "there is no such mailbox",
    "1.2": "there is no such domain",
    "1.3": "the address is not well-formed",
    "1.6": "the mailbox has moved",
    "1.7": "the sender's address is not well-formed",
    "1.8": "the sender's domain is not known",
    "1.10": "the domain accepts no mail",
    "2.1": "the mailbox is disabled",
    "2.2": "the mailbox is full",
    "2.3": "the mail is too large for the mailbox",
    "3.4": "the mail is too large",
    "4.1": "the recipient's server does not answer",
    "4.4": "there is no way to the recipient's server",
    "7.0": "the server's policy forbids it",
    "7.1": "the sender may not send to it",
    "7.8": "the login was refused",
    "7.9": "the login is too weak",
    "7.25": "the sending host has no reverse name",
    "7.26": "the mail is not authenticated",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Why a recipient was refused: SMTP's code (0 for none), and the enhanced one or a word."""

    code: int
    status: str = ""

    @property
    def is_permanent(self) -> bool:
        """Tell whether the same would be refused again."""
        return self.code == 0 or self.code >= 500

    @property
    def explained(self) -> str:
        """The codes, and what they mean where RFC 3463 says it."""
        meaning = _MEANINGS.get(self.status.partition(".")[2])
        return f"{self}: {meaning}" if meaning else str(self)

    def __str__(self) -> str:
        """Write it as servers do."""
        return f"{self.code or ''} {self.status}".strip()
