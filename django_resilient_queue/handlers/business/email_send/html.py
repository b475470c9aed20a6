"""HTML of mails: its style written into its elements, and the text in it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

# The parser's serialiser is recursive: some ten thousand elements in each other end the process.
MOST_ELEMENTS = 5000
MOST_CHARACTERS = 1024 * 1024
_START = re.compile(r"<[A-Za-z]")
_BLANK = re.compile(r"[ \t\r\f\v\n]+")
_SILENT = {"head", "script", "style", "template", "title"}
_BLOCKS = {
    *("address", "article", "aside", "blockquote", "dd", "div", "dl", "dt", "fieldset", "figure"),
    *("footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav"),
    *("ol", "p", "pre", "section", "table", "tr", "ul"),
}
_APART = {"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul"}


def problem(html: str) -> str:
    """Say why HTML can't be worked on, empty for nothing."""
    if len(html) > MOST_CHARACTERS:
        return f"At most {MOST_CHARACTERS} characters."
    # All of them, for any may be inside of the one before it.
    if sum(1 for _ in _START.finditer(html)) > MOST_ELEMENTS:
        return f"At most {MOST_ELEMENTS} elements."
    return ""


def inlined(html: str, *, styles: bool = True) -> str:
    """Return a whole document with what its style sheets say in its elements' ``style``; media
    queries stay. Loads nothing. Without *styles* the document is made whole and no more."""
    from css_inline import CSSInliner

    inliner = CSSInliner(
        inline_style_tags=styles,
        keep_style_tags=not styles,
        keep_at_rules=True,
        load_remote_stylesheets=False,
    )
    return str(inliner.inline(html))


def text_of(html: str) -> str:
    """Return the text of a document that `inlined` has made, with the addresses of its links."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = [""]
        self._links: list[tuple[str, str]] = []
        self._silent = 0

    def text(self) -> str:
        lines = [_BLANK.sub(" ", line).strip() for line in self._lines]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag in _SILENT:
            self._silent += 1
        elif tag == "br":
            self._lines.append("")
        elif tag in _BLOCKS:
            self._break(apart=tag in _APART)
            self._lines[-1] += {"li": "- ", "hr": "-----"}.get(tag, "")
        elif tag in ("td", "th"):
            self._lines[-1] += " "
        elif tag == "img" and known.get("alt"):
            self.handle_data(str(known["alt"]))
        elif tag == "a":
            self._links.append((str(known.get("href") or ""), self._lines[-1]))

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in _BLOCKS:
            self._break(apart=tag in _APART)
        elif tag == "a" and self._links:
            href, before = self._links.pop()
            shown = self._lines[-1].removeprefix(before).strip()
            if href.startswith(("http://", "https://")) and href != shown:
                self._lines[-1] += f" ({href})"

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._lines[-1] += _BLANK.sub(" ", data)

    def _break(self, *, apart: bool) -> None:
        if self._lines[-1].strip():
            self._lines.append("")
        if apart and len(self._lines) > 1 and self._lines[-2].strip():
            self._lines.append("")
