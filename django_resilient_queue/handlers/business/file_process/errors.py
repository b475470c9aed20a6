"""What may go wrong with a file. No message repeats a path or a part of the content."""

from __future__ import annotations

from ....exceptions import PermanentError, ResilientQueueError


class FileRefused(PermanentError):
    """This file will not be processed, however often it is tried."""


class Infected(FileRefused):
    """The virus scanner knows it."""


class NotScanned(ResilientQueueError):
    """No answer from the virus scanner, so nothing is done with the file; to be tried again."""


class ToolFailed(ResilientQueueError):
    """The program that decodes files ended without saying why; to be tried again."""


class ToolTimeout(ToolFailed):
    """It took longer than FILE_TIMEOUT; another time the machine may have less to do."""


class MissingTool(ResilientQueueError):
    """This machine lacks what the operation needs; another worker's may have it."""
