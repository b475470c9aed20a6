"""Django templates of mails: ``NAME.html``, ``NAME.txt`` and ``NAME.subject.txt``, in the folder
MAIL_TEMPLATES of the project's templates and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.template import Context, Engine, Template, TemplateDoesNotExist, TemplateSyntaxError

from ....conf import settings
from .errors import MailRefused

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(/[A-Za-z0-9_][A-Za-z0-9_-]*)*")
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a template makes of the variables; empty where it has no such part."""

    subject: str
    text: str
    html: str


def problem(name: str) -> str:
    """Say what is wrong with a template's name, empty for nothing."""
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        return "Letters, digits, _ and -, with single slashes between."
    if not (has_part(name, "html") or has_part(name, "txt")):
        return f"No such template in the folder {settings.MAIL_TEMPLATES!r}, .html or .txt."
    return ""


def has_part(name: str, part: str) -> bool:
    """Tell whether a template has a part: html, txt or subject.txt. One with an error counts."""
    try:
        return _template(name, part) is not None
    except TemplateSyntaxError:
        return True


def render(name: str, variables: Mapping[str, Any]) -> Rendered:
    """Render all parts that there are. Raises MailRefused for a template with an error."""
    try:
        subject, text, html = (_render(name, part, variables) for part in _PARTS)
    except (TemplateSyntaxError, TemplateDoesNotExist) as error:
        # Its own words would quote the template, or what was put in it.
        raise MailRefused(f"the mail template {name!r}: {type(error).__name__}") from None
    return Rendered(" ".join(subject.split()), text, html)


_PARTS = ("subject.txt", "txt", "html")


def _render(name: str, part: str, variables: Mapping[str, Any]) -> str:
    template = _template(name, part)
    if template is None:
        return ""
    # Whatever the engine's own choice is: HTML is escaped, and text is not HTML.
    return str(template.render(Context(dict(variables), autoescape=part == "html")))


def _template(name: str, part: str) -> Template | None:
    try:
        folder = settings.MAIL_TEMPLATES.strip("/")
        return Engine.get_default().get_template(f"{folder}/{name}.{part}")
    except TemplateDoesNotExist:  # not one that it extends: that is missed at rendering
        return None
