"""Telling failures apart: what kind an error is, and which errors are the same one again.

Pure functions of text, for the process that files a letter may not have the job's own classes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import groupby

from .outcomes import Failure, Reason

CATEGORIES = (
    "timeout",
    "connection",
    "validation",
    "permission",
    "not_found",
    "resource",
    "other",
)

# By words of the class's name, as in `requests.exceptions.ReadTimeout`; the first that fits counts.
_KINDS = (
    ("timeout", re.compile(r"time_?d?_?out|deadline", re.I)),
    ("connection", re.compile(r"connect|network|socket|dns|gaierror|ssl|smtpserverdisc", re.I)),
    ("permission", re.compile(r"permission|forbidden|unauthori[sz]ed|authenti|denied", re.I)),
    (
        "not_found",
        re.compile(
            r"notfound|doesnotexist|nosuch|lookuperror|(?:key|index)error|unknownhandler|missingextra",
            re.I,
        ),
    ),
    ("resource", re.compile(r"memory|diskfull|toomany|quota|ratelimit|throttl|recursion", re.I)),
    (
        "validation",
        re.compile(
            r"(?:value|type)error|valid|integrity|decode|parse|assert|payload|refused|rejected",
            re.I,
        ),
    ),
)
_BY_REASON = {
    Reason.TIMEOUT: "timeout",
    Reason.UNDECODABLE: "validation",
    Reason.NOT_IMPORTABLE: "not_found",
    Reason.UNKNOWN_QUEUE: "not_found",
}
# What a mail server refuses says by number what it is (RFC 3463): who may send is in nobody's
# arguments, and a full mailbox is not wrong.
_OF_MAIL = re.compile(r"mail|smtp", re.I)
_STATUS = re.compile(r"\b[45]\.(7|2\.2)(?:\.\d+)?\b")
_BY_STATUS = {"7": "permission", "2.2": "resource"}
# `OSError`s that say what they are by number alone.
_ERRNO = {
    "28": "resource",
    "24": "resource",
    "12": "resource",
    "13": "permission",
    "2": "not_found",
}

_FRAME = re.compile(r'^ *File "([^"]+)", line \d+, in (\S+)', re.MULTILINE)
_LIBRARY = re.compile(r"/(?:site|dist)-packages/|/lib/python\d|^<frozen ")
_OURS = f"/{__name__.partition('.')[0]}/"
# What differs from one occurrence to the next: addresses, ids, numbers, quoted values.
_VARYING = (
    (re.compile(r"0x[0-9a-f]+", re.I), "<address>"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.I), "<uuid>"),
    (re.compile(r"\b[0-9a-f]{16,}\b", re.I), "<hex>"),
    (re.compile(r"'[^']*'|\"[^\"]*\""), "<text>"),
    (re.compile(r"\d+(?:\.\d+)*"), "<number>"),
)
_LONGEST = 500  # characters of a message that count


def category_of(failure: Failure) -> str:
    """Return one of CATEGORIES."""
    if failure.reason in _BY_REASON:
        return _BY_REASON[failure.reason]
    name = failure.error_class.rpartition(".")[2]
    found = re.match(r"\[Errno (\d+)\]", failure.message)
    if found and found[1] in _ERRNO:
        return _ERRNO[found[1]]
    if _OF_MAIL.search(name) and (status := _STATUS.search(failure.message)):
        return _BY_STATUS[status[1]]
    for kind, words in _KINDS:
        if words.search(name):
            return kind
    return "other"


def fingerprint_of(failure: Failure, handler: str) -> str:
    """Return 32 hex digits that are the same for the same error: its class, its message without
    what varies, and where in the project it was raised. *handler* stands in where nothing was."""
    words = failure.message[:_LONGEST]
    for varying, word in _VARYING:
        words = varying.sub(word, words)
    frame = innermost_frame(failure.traceback) or handler
    parts = (failure.reason.value, failure.error_class, words.strip(), frame)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def passages(traceback: str) -> list[tuple[bool, str]]:
    """Cut a traceback into its passages: whether it is of the project's own code, and its lines."""
    grouped = groupby(_marked(traceback), key=lambda line: line[0])
    return [(is_own, "".join(line for _, line in lines)) for is_own, lines in grouped]


def _marked(traceback: str) -> Iterator[tuple[bool, str]]:
    is_own = False
    for line in traceback.splitlines(keepends=True):
        if frame := _FRAME.match(line):
            is_own = not (_LIBRARY.search(frame[1]) or _OURS in frame[1])
        elif not line.startswith("    "):  # no source line of the frame before
            is_own = False
        yield is_own, line


def innermost_frame(traceback: str) -> str:
    """Return ``file:function`` of the last frame that is not of a library, empty for none."""
    frames = [(path, function) for path, function in _FRAME.findall(traceback)]
    own = [frame for frame in frames if not _LIBRARY.search(frame[0])]
    path, function = (own or frames or [("", "")])[-1]
    # Without its folders: the same code may be deployed at another place.
    return f"{path.rpartition('/')[2]}:{function}" if path else ""
