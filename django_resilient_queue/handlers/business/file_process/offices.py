"""Office documents: to PDF by LibreOffice, where it is installed, and docx to HTML by mammoth."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from .desk import Desk, decoding
from .errors import FileRefused, MissingTool
from .formats import DOCX, LIBREOFFICE, OFFICE_EXTENSIONS
from .task import Limits, Operation, Output

# What a document would fetch, link to or run is not wanted: no macros, no links that are followed.
_SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Common/Security/Scripting">
<prop oor:name="MacroSecurityLevel" oor:op="fuse"><value>3</value></prop>
<prop oor:name="DisableMacrosExecution" oor:op="fuse"><value>true</value></prop>
<prop oor:name="BlockUntrustedRefererLinks" oor:op="fuse"><value>true</value></prop>
</item>
<item oor:path="/org.openoffice.Office.Writer/Content/Update">
<prop oor:name="Link" oor:op="fuse"><value>2</value></prop>
</item>
<item oor:path="/org.openoffice.Office.Calc/Content/Update">
<prop oor:name="Link" oor:op="fuse"><value>2</value></prop>
</item>
</oor:items>
"""
_HEAD = '<!doctype html>\n<html><head><meta charset="utf-8"><title></title></head><body>\n'
_FOOT = "\n</body></html>\n"


def inspect(path: Path, content_type: str, limits: Limits) -> dict[str, Any]:
    """Return nothing: what such a file says of its pages is only what its last editor noted."""
    return {}


def perform(path: Path, content_type: str, operation: Operation, desk: Desk) -> list[Output]:
    """Make HTML, PDF, or by way of that text and pictures."""
    if operation["format"] == "html":
        return [_html(path, content_type, operation, desk)]
    pdf = _pdf(path, content_type, desk)
    if operation["operation"] == "convert" and operation["format"] == "pdf":
        return [desk.finished(pdf, operation, "pdf")]
    from . import pdfs

    return pdfs.perform(pdf, "application/pdf", operation, desk)


def _html(path: Path, content_type: str, operation: Operation, desk: Desk) -> Output:
    if content_type != DOCX:
        raise FileRefused("only docx is converted to html")
    import mammoth
    import nh3

    with decoding("the document"), path.open("rb") as file:
        found = mammoth.convert_to_html(file, external_file_access=False).value
    # mammoth keeps whatever links the document has, `javascript:` as well.
    clean = nh3.clean(
        found, url_schemes={"http", "https", "mailto", "data"}, attribute_filter=_attribute
    )
    target = desk.new("html")
    with decoding("the document"):
        target.write_text(_HEAD + clean + _FOOT, encoding="utf-8")
    return desk.finished(target, operation, "html")


def _attribute(element: str, attribute: str, value: str) -> str | None:
    """Pictures stand in the text as data; nothing else may."""
    if not value.lstrip().lower().startswith("data:"):
        return value
    is_picture = element == "img" and attribute == "src" and value.startswith("data:image/")
    return value if is_picture else None


def _pdf(path: Path, content_type: str, desk: Desk) -> Path:
    program = next(filter(None, map(shutil.which, LIBREOFFICE)), None)
    if program is None:
        raise MissingTool("LibreOffice, soffice on PATH, is needed for this, and is not there")
    # A name that says what it is, and a profile of its own: a second LibreOffice would join the
    # first, and die with it.
    source = desk.folder / f"document.{OFFICE_EXTENSIONS[content_type]}"
    source.unlink(missing_ok=True)
    os.link(path, source)
    profile = _profile(desk.folder)
    made = desk.folder / "document.pdf"
    made.unlink(missing_ok=True)
    subprocess.run(  # noqa: S603 - its arguments are our own names
        [
            program,
            f"-env:UserInstallation={profile.as_uri()}",
            "--headless",
            "--norestore",
            "--nolockcheck",
            "--nodefault",
            "--convert-to",
            "pdf",
            "--outdir",
            str(desk.folder),
            str(source),
        ],
        stdin=subprocess.DEVNULL,
        check=False,  # it ends with 0 also when nothing came of it
    )
    if not made.is_file():
        raise FileRefused("LibreOffice makes no PDF of the document")
    return made.rename(desk.new("pdf"))


def _profile(folder: Path) -> Path:
    profile = folder / "profile"
    user = profile / "user"
    user.mkdir(parents=True, exist_ok=True)
    (user / "registrymodifications.xcu").write_text(_SETTINGS)
    return profile
