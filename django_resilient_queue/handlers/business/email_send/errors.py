"""What may go wrong with a mail. No message repeats an address, a subject or a server's words."""

from __future__ import annotations

from ....exceptions import PermanentError, ResilientQueueError


class MailRefused(PermanentError):
    """This mail will not be sent, however often it is tried."""


class MailPostponed(ResilientQueueError):
    """Not sent to everybody yet; to be tried again with those who have not got it."""


class MailConnectionError(MailPostponed):
    """The mail server can't be reached, does not let us in, or the connection broke."""


class MailTimeout(MailPostponed):
    """The mail server did not answer in time."""
