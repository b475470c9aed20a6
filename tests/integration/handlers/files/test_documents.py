"""Promises of file:process about documents."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer
from threading import Thread

import pypdfium2
import pytest

from django_resilient_queue.handlers.business.file_process.errors import (
    FileRefused,
    MissingTool,
    ToolTimeout,
)
from tests import samples
from tests.conftest import WaitUntil
from tests.integration.handlers.files.conftest import Files, Process, is_running
from tests.integration.handlers.files.test_images import only_output, opened

PDF = {"operation": "convert", "format": "pdf"}
HTML = {"operation": "convert", "format": "html"}
TEXT = {"operation": "convert", "format": "txt"}
HAS_OFFICE = shutil.which("soffice") is not None

# LibreOffice is a large program that not every machine has: a stand-in says that it was called
# rightly and makes a PDF, and where it is installed it is tested as well.
OFFICES = ["stand-in", *(["LibreOffice"] if HAS_OFFICE else [])]
# A path with a space in it can't stand behind #!: the shell starts Python, which takes that line
# for a string.
STAND_IN = """#!/bin/sh
''''exec '{python}' "$0" "$@" # '''
import sys
from pathlib import Path
folder = Path(sys.argv[sys.argv.index("--outdir") + 1])
Path({note!r}).write_text("\\n".join(sys.argv[1:]))
source = Path(sys.argv[-1])
assert source.read_bytes()[:2] == b"PK"
(folder / (source.stem + ".pdf")).write_bytes({pdf!r})
"""


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program named soffice first on PATH."""
    folder.mkdir()
    program = folder / "soffice"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def noting(pdf: bytes, note: Path) -> str:
    """A program that writes down its arguments."""
    return STAND_IN.format(python=sys.executable, pdf=pdf, note=str(note))


@pytest.fixture(params=OFFICES)
def office(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "stand-in":
        pdf = samples.pdf("Hello from a document")
        stand_in(tmp_path / "bin", monkeypatch, noting(pdf, tmp_path / "called"))
    return str(request.param)


def test_a_document_becomes_a_pdf(office: str, files: Files, process: Process) -> None:
    output = only_output(process(files.upload("a", samples.docx()), PDF))
    with pypdfium2.PdfDocument(files.read(output["path"])) as document:
        assert "Hello from a document" in document[0].get_textpage().get_text_bounded()


def test_a_document_becomes_text_and_a_picture(office: str, files: Files, process: Process) -> None:
    path = files.upload("a", samples.docx())
    (file,) = process(path, TEXT, {"operation": "thumbnail"})["files"]
    text, thumbnail = file["outputs"]
    assert b"Hello from a document" in files.read(text["path"])
    assert opened(files, thumbnail).format == "JPEG"


def test_libreoffice_gets_a_profile_of_its_own(
    tmp_path: Path, files: Files, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "called"
    stand_in(tmp_path / "bin", monkeypatch, noting(samples.pdf("x"), note))
    profiles = set()
    for _ in range(2):
        process(files.upload("a.txt", samples.docx()), PDF)
        profile, *others = note.read_text().splitlines()
        assert profile.startswith("-env:UserInstallation=file:///")
        assert others[:-2] == [
            *("--headless", "--norestore", "--nolockcheck", "--nodefault"),
            *("--convert-to", "pdf", "--outdir"),
        ]
        assert others[-1].endswith("/document.docx")
        assert not Path(others[-1]).exists()
        profiles.add(profile)
    assert len(profiles) == 2


def test_libreoffice_is_ended_with_all_that_it_started(
    tmp_path: Path,
    files: Files,
    process: Process,
    allow: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    wait_until: WaitUntil,
) -> None:
    pids = tmp_path / "pids"
    script = f"#!/bin/sh\nsleep 600 &\necho $$ $! > {pids}\nwait\n"
    stand_in(tmp_path / "bin", monkeypatch, script)
    allow(FILE_TIMEOUT=12.0)  # so that it has surely begun by then
    with pytest.raises(ToolTimeout, match="within FILE_TIMEOUT, 12 s"):
        process(files.upload("a", samples.docx()), PDF)
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 2
    wait_until(lambda: not any(is_running(pid) for pid in started))
    assert files.written == []


def test_a_document_that_libreoffice_makes_nothing_of_is_refused(
    tmp_path: Path, files: Files, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path / "bin", monkeypatch, "#!/bin/sh\nexit 0\n")
    with pytest.raises(FileRefused, match="makes no PDF"):
        process(files.upload("a", samples.docx()), PDF)


def test_a_machine_without_libreoffice_says_so(
    tmp_path: Path, files: Files, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="LibreOffice, soffice on PATH"):
        process(files.upload("a", samples.docx()), PDF)


class Elsewhere(BaseRequestHandler):
    """Where a document's picture is; nobody is to ask."""

    def handle(self) -> None:
        ASKED.append(self.request.recv(1000))


ASKED: list[bytes] = []


@pytest.fixture
def elsewhere() -> Iterator[str]:
    ASKED.clear()
    with TCPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/picture.png"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("operation", [HTML, PDF], ids=["html", "pdf"])
def test_a_document_fetches_nothing(
    operation: dict[str, str],
    office: str,
    elsewhere: str,
    files: Files,
    process: Process,
) -> None:
    process(files.upload("a", samples.docx(picture_at=elsewhere)), operation)
    assert ASKED == []


def test_a_document_shows_no_file_of_the_machine(
    office: str, tmp_path: Path, files: Files, process: Process
) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(samples.encoded(samples.picture(), "PNG"))
    content = samples.docx(picture_at=secret.as_uri())
    (file,) = process(files.upload("a", content), HTML, PDF)["files"]
    html, pdf = (files.read(output["path"]) for output in file["outputs"])
    assert b"data:image" not in html
    with pypdfium2.PdfDocument(pdf) as document:
        image = pypdfium2.raw.FPDF_PAGEOBJ_IMAGE
        assert [found for found in document[0].get_objects() if found.type == image] == []


def test_a_docx_becomes_html_without_scripts(files: Files, process: Process) -> None:
    links = {"javascript:alert(1)": False, "data:text/html,x": False, "https://example.com/": True}
    for link, stays in links.items():
        path = files.upload("a", samples.docx(link=link))
        text = files.read(only_output(process(path, HTML))["path"]).decode()
        assert "<p>Hello from a document</p>" in text
        assert "a link" in text
        assert (link in text) is stays


def test_a_pdf_becomes_text(files: Files, process: Process) -> None:
    path = files.upload("a", samples.pdf("First page", "Second page", "Third page"))
    (file,) = process(path, TEXT, {**TEXT, "first_page": 2, "last_page": 2})["files"]
    assert (file["pages"], file["width"], file["height"]) == (3, 300, 100)
    every, second = (files.read(each["path"]).decode() for each in file["outputs"])
    assert every.split("\n\f\n") == ["First page", "Second page", "Third page"]
    assert second == "Second page"


def test_a_pdf_becomes_pictures_of_its_pages(files: Files, process: Process) -> None:
    path = files.upload("a", samples.pdf("First", "Second", "Third"))
    operation = {"operation": "convert", "format": "png", "dpi": 72, "first_page": 2}
    (file,) = process(path, operation)["files"]
    assert [(each["page"], each["width"]) for each in file["outputs"]] == [(2, 300), (3, 300)]
    assert [opened(files, each).size for each in file["outputs"]] == [(300, 100)] * 2


def test_pages_that_are_not_there_or_too_many_are_refused(
    files: Files, process: Process, allow: Callable[..., None]
) -> None:
    allow(FILE_PAGES=2)
    path = files.upload("a", samples.pdf("1", "2", "3"))
    with pytest.raises(FileRefused, match="no page 4: the document has 3"):
        process(path, {**TEXT, "first_page": 4})
    with pytest.raises(FileRefused, match="more than 2 pages at once"):
        process(path, TEXT)


def test_a_picture_of_a_page_is_limited(
    files: Files, process: Process, allow: Callable[..., None]
) -> None:
    allow(FILE_PIXELS=20_000)
    with pytest.raises(FileRefused, match="page 1 has more than 20000 pixels at 150 dpi"):
        process(files.upload("a", samples.pdf("1")), {"operation": "convert", "format": "png"})


@pytest.mark.parametrize("padding", [600_000_000, 60_000_000])
def test_a_zip_bomb_is_refused_before_it_is_opened(
    padding: int, files: Files, process: Process
) -> None:
    bomb = files.upload("a.docx", samples.docx(padding=padding))
    with pytest.raises(FileRefused, match="a zip that unpacks to more than"):
        process(bomb, HTML)


def test_a_document_may_unpack_to_so_much(
    files: Files, process: Process, allow: Callable[..., None]
) -> None:
    path = files.upload("a.docx", samples.docx(padding=100_000))
    assert process(path, HTML)["done"] == 1
    allow(FILE_UNPACKED_LIMIT=100_000)
    with pytest.raises(FileRefused, match="unpacks to more than 100000 bytes"):
        process(path, HTML)


def test_a_zip_of_very_many_files_is_refused(files: Files, process: Process) -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(10_001):
            archive.writestr(f"word/{number}", b"")
    with pytest.raises(FileRefused, match="more than 10000 files"):
        process(files.upload("a.docx", buffer.getvalue()), HTML)


@pytest.mark.parametrize(
    "content", [b"%PDF-1.7 nothing more", samples.docx()[:200], b"PK\x03\x04 nothing more"]
)
def test_half_a_document_is_refused(content: bytes, files: Files, process: Process) -> None:
    with pytest.raises(FileRefused, match=r"can't be decoded|damaged"):
        process(files.upload("a", content), TEXT)
