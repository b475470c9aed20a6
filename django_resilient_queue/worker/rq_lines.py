"""rq's own lines of the log, kept free of what its jobs' errors and arguments hold."""

from __future__ import annotations

import logging

from ..events import OF_WORKERS, places

OF_JOBS = "rq.job"


def keep_payloads_out() -> None:
    """Have rq log nothing of a payload in this process."""
    for name in (OF_WORKERS, OF_JOBS):
        for fits in (is_not_of_a_failure, is_without_messages):
            logging.getLogger(name).addFilter(fits)


def is_not_of_a_failure(record: logging.LogRecord) -> bool:
    """Drop the line of a failed attempt: it has the arguments and the error's message. Our event
    `JOB_FAILED` stands in its place."""
    return record.funcName != "handle_exception" or hasattr(record, "event")


def is_without_messages(record: logging.LogRecord) -> bool:
    """Put the places where an error was raised in the place of its traceback; drops nothing."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        record.msg, record.args = f"{record.getMessage()}\n{places(error)}", None
        record.exc_info = None
    return True
