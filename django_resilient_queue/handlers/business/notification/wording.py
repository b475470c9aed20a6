"""Title and message in the user's language, from a template or from the payload.

Templates: ``notifications/NAME/title.txt``, ``message.txt`` and, for mails, ``message.html``; each
may have a form for a channel, a language or both: ``message.sms.txt``, ``message.sms.de.txt``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.template import TemplateDoesNotExist
from django.template.loader import select_template
from django.utils import translation
from django.utils.safestring import mark_safe

LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True)
class Words:
    """What is told; ``html`` is empty where there is none."""

    title: str
    message: str
    html: str = ""


def words_in(language: str, payload: Mapping[str, Any], channel: str) -> Words:
    """Return a payload's words in a language, for a channel."""
    with translation.override(language):
        found = _written(language, payload)
        if payload["template"]:
            found = _rendered(language, payload, channel, found.title)
    return Words(_line(found.title), found.message.strip(), found.html)


def template_exists(name: str) -> bool:
    """Tell whether there is such a template's message."""
    try:
        select_template([f"notifications/{name}/message.txt"])
    except TemplateDoesNotExist:
        return False
    return True


def html_exists(name: str) -> bool:
    """Tell whether a template has HTML for mails in any language."""
    try:
        select_template(
            [f"notifications/{name}/message.email.html", f"notifications/{name}/message.html"]
        )
    except TemplateDoesNotExist:
        return False
    return True


def shortened(text: str, most: int) -> str:
    """Return a text of so many characters at most, an ellipsis at the end of a longer one."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _written(language: str, payload: Mapping[str, Any]) -> Words:
    for code in (language, language.partition("-")[0]):
        if own := payload["translations"].get(code):
            return Words(own.get("title", payload["title"]), own["message"])
    return Words(_translated(payload["title"]), _translated(payload["message"]))


def _translated(text: str) -> str:
    return translation.gettext(text) if text else ""  # of nothing, it is the catalogue's head


def _rendered(language: str, payload: Mapping[str, Any], channel: str, title: str) -> Words:
    name, variables = payload["template"], payload["variables"]
    plain = _plain(variables)
    return Words(
        _part(name, "title", "txt", channel, language, plain) or title,
        _part(name, "message", "txt", channel, language, plain),
        _part(name, "message", "html", channel, language, variables) if channel == "email" else "",
    )


def _part(
    name: str, part: str, kind: str, channel: str, language: str, variables: Mapping[str, Any]
) -> str:
    names = [f"notifications/{name}/{each}" for each in _forms(part, kind, channel, language)]
    try:
        template = select_template(names)
    except TemplateDoesNotExist:
        return ""
    return str(template.render(dict(variables)))


def _forms(part: str, kind: str, channel: str, language: str) -> Iterator[str]:
    for code in dict.fromkeys((language, language.partition("-")[0])):
        yield f"{part}.{channel}.{code}.{kind}"
        yield f"{part}.{code}.{kind}"
    yield f"{part}.{channel}.{kind}"
    yield f"{part}.{kind}"


def _plain(value: Any) -> Any:
    """Keep an engine from escaping for HTML what goes into a text."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return mark_safe(value) if isinstance(value, str) else value  # noqa: S308 - no HTML is made


def _line(text: str) -> str:
    return shortened(" ".join(text.split()), LONGEST_TITLE)
