"""Promises of the virus scan: nothing that has not been found clean is processed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from django_resilient_queue.handlers.business.file_process.errors import (
    FileRefused,
    Infected,
    NotScanned,
)
from tests import clamd, samples
from tests.conftest import WaitUntil
from tests.integration.handlers.files.conftest import Files, Process

THUMBNAIL = {"operation": "thumbnail"}


@pytest.fixture(params=clamd.KINDS)
def scanner(
    request: pytest.FixtureRequest, allow: Callable[..., None], files: Files, wait_until: WaitUntil
) -> Iterator[str]:
    """clamd, and what speaks as it does."""
    if request.param == "clamd":
        with clamd.running() as address:
            wait_until(lambda: clamd.answers(address))
            allow(FILE_SCANNER=address)
            yield address
    else:
        with clamd.speaking(most=1024 * 1024) as server:
            allow(FILE_SCANNER=server.address)
            yield server.address


def test_what_is_clean_is_processed_and_what_is_not_is_refused(
    scanner: str, files: Files, process: Process
) -> None:
    assert process(files.upload("a.jpg", samples.jpeg(800, 600)), THUMBNAIL)["done"] == 1
    with pytest.raises(Infected, match="infected: Eicar-Test-Signature"):
        process(files.upload("b.jpg", samples.EICAR), {"operation": "analyze"})
    with pytest.raises(FileRefused, match="StreamMaxLength"):
        process(files.upload("c.jpg", samples.jpeg() + bytes(9_000_000)), THUMBNAIL)
    assert len(files.written) == 1


@pytest.mark.parametrize(
    "answer",
    [None, b"", b"stream: OK", b"\0", b"OK\0", b"stream: Can't allocate memory ERROR\0"],
    ids=["hung up", "asked", "cut short", "nothing", "other", "error"],
)
def test_whatever_else_the_scanner_says_is_no_ok(
    answer: bytes | None, files: Files, process: Process, allow: Callable[..., None]
) -> None:
    path = files.upload("a.jpg", samples.jpeg())
    with clamd.speaking(answer=answer) as server:
        allow(FILE_SCANNER=server.address)
        if answer == b"":  # it answers as it should
            assert process(path, THUMBNAIL)["done"] == 1
            assert server.scanned == [samples.jpeg()]
            return
        with pytest.raises(NotScanned):
            process(path, THUMBNAIL)
    assert files.written == []


def test_a_scanner_that_is_away_fails_closed(
    files: Files, process: Process, allow: Callable[..., None], tmp_path: Path
) -> None:
    path = files.upload("a.jpg", samples.jpeg())
    with clamd.speaking() as server:
        address = server.address
    for away in (address, f"unix:{tmp_path}/none.ctl"):
        allow(FILE_SCANNER=away)
        with pytest.raises(NotScanned, match="no answer from the virus scanner"):
            process(path, THUMBNAIL)
    assert files.written == []


def test_a_scanner_that_hangs_is_not_waited_for(
    files: Files, process: Process, allow: Callable[..., None]
) -> None:
    import socket

    path = files.upload("a.jpg", samples.jpeg())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        allow(FILE_SCANNER=f"tcp://127.0.0.1:{silent.getsockname()[1]}", FILE_SCAN_TIMEOUT=0.2)
        with pytest.raises(NotScanned, match="TimeoutError"):
            process(path, THUMBNAIL)
