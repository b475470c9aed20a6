"""Files that go with a mail, out of the storages and folders that MAIL_STORAGES allows."""

from __future__ import annotations

import mimetypes
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from django.core.exceptions import SuspiciousOperation
from django.core.files.storage import Storage, storages

from ....conf import settings
from .errors import MailRefused
from .headers import has_control

MOST = 50
LONGEST_PATH = 500
LONGEST_NAME = 200
_OTHER = "application/octet-stream"
_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,100}")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file as it stands in the mail."""

    name: str
    content: bytes
    content_type: str


def path_problem(path: str, alias: str) -> str:
    """Say why a file may not be attached, wherever it may be; empty for nothing."""
    if alias not in settings.MAIL_STORAGES:
        return "MAIL_STORAGES allows no files of this storage."
    if len(path) > LONGEST_PATH or "\\" in path or has_control(path):
        return "Too long, or with backslashes or control characters."
    if re.match(r"/|[A-Za-z]:", path) or any(p in ("", ".", "..") for p in path.split("/")):
        return "A path relative to the storage, without '..', '.' and empty parts."
    return "" if _folder(path, alias) is not None else "In no folder that MAIL_STORAGES allows."


def name_problem(name: str) -> str:
    """Say what is wrong with the name that an attachment shall have."""
    if not name.strip() or has_control(name) or re.search(r'[/\\"]', name):
        return "A file's name, without slashes, quotes and control characters."
    return ""


def type_problem(content_type: str) -> str:
    """Say what is wrong with a content type; one that has parts of its own is none for a file."""
    if not _TYPE.fullmatch(content_type) or content_type.startswith(("multipart/", "message/")):
        return "A content type as application/pdf, neither multipart/ nor message/."
    return ""


def read(given: Mapping[str, Any], number: int, room: int) -> Attachment:
    """Read a file of at most *room* bytes. Raises MailRefused, and what the storage raises."""
    path, alias = str(given["path"]), str(given["storage"])
    folder = _folder(path, alias)
    if path_problem(path, alias) or folder is None:  # the settings may have changed
        raise MailRefused(f"attachment {number} is in no folder that MAIL_STORAGES allows")
    try:
        with _opened(storages[alias], folder, path) as file:
            content = file.read(room + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise MailRefused(f"attachment {number} is not there") from None
    except (SuspiciousOperation, _Outside):
        raise MailRefused(f"attachment {number} is outside of its folder, or no file") from None
    if len(content) > room:
        limit = settings.MAIL_SIZE_LIMIT
        raise MailRefused(f"with attachment {number} the mail has more than {limit} bytes")
    name = str(given.get("name") or PurePosixPath(path).name)
    guessed = mimetypes.guess_type(name)[0] or _OTHER
    kind = str(given.get("content_type") or (_OTHER if type_problem(guessed) else guessed))
    return Attachment(name, content, kind)


class _Outside(MailRefused):
    """A path that leads out of its folder."""


def _folder(path: str, alias: str) -> str | None:
    """Return the allowed folder that a path lies in; empty stands for all of the storage."""
    for folder in settings.MAIL_STORAGES.get(alias, ()):
        if folder == "" or path.startswith(f"{folder.rstrip('/')}/"):
            return folder
    return None


def _opened(storage: Storage, folder: str, path: str) -> BinaryIO:
    try:
        root, full = os.path.realpath(storage.path(folder)), storage.path(path)
    except NotImplementedError:  # it is no folder of this machine
        return cast(BinaryIO, storage.open(path, "rb"))
    real = os.path.realpath(full)
    if os.path.commonpath([real, root]) != root:
        raise _Outside
    # The last link was followed above; opening a pipe would wait for who writes to it.
    number = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise _Outside
    return os.fdopen(number, "rb")
