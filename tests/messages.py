"""The words of the package that people read, and their translations.

`python -m tests.messages` brings the catalogues up to date with the sources: new words are added
without a translation, words that are gone are taken out, and the .mo files are written. It finds
what gettext's own tools miss, such as functions that are imported under other names.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polib

import django_resilient_queue

PACKAGE = Path(django_resilient_queue.__file__).parent
LOCALE = PACKAGE / "locale"
_MODULE = "django.utils.translation"
_COUNTED = {"ngettext", "ngettext_lazy"}
_PLAIN = {"gettext", "gettext_lazy", "gettext_noop"}
_AS_ARGUMENT = re.compile(r"""\b_\((["'])(.+?)\1\)""")  # of a filter in a template


class Words(NamedTuple):
    """What is looked up in a catalogue; `plural` is empty where nothing is counted."""

    singular: str
    plural: str = ""


def catalogues() -> Iterator[Path]:
    """Return the source of each translation."""
    return LOCALE.glob("*/LC_MESSAGES/django.po")


def words() -> dict[Words, str]:
    """Return all words of the sources, each with the file that has it first."""
    found: dict[Words, str] = {}
    for path, each in [*_of_code(), *_of_templates()]:
        found.setdefault(each, path.relative_to(PACKAGE.parent).as_posix())
    return found


def update(path: Path) -> polib.POFile:
    """Bring a catalogue up to date, and write its .mo; returns it."""
    known = polib.pofile(str(path), wrapwidth=100)
    old = {Words(entry.msgid, entry.msgid_plural): entry for entry in known}
    known.clear()
    for each, place in words().items():
        known.append(_entry(each, place, old.get(each)))
    known.save()
    known.save_as_mofile(str(path.with_suffix(".mo")))
    return known


def _entry(each: Words, place: str, old: polib.POEntry | None) -> polib.POEntry:
    entry = polib.POEntry(msgid=each.singular, occurrences=[(place, "")])
    if each.plural:
        entry.msgid_plural = each.plural
        entry.msgstr_plural = old.msgstr_plural if old else {0: "", 1: ""}
    else:
        entry.msgstr = old.msgstr if old else ""
    if "%(" in each.singular or "%s" in each.singular or "%d" in each.singular:
        entry.flags.append("python-format")
    return entry


# ---- code ---------------------------------------------------------------------------------------


def _of_code() -> Iterator[tuple[Path, Words]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        names = dict(_imported(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                for each in _called(names.get(node.func.id, ""), node):
                    yield path, each


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Return the names that functions of gettext have in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == _MODULE:
            yield from ((each.asname or each.name, each.name) for each in node.names)


def _called(function: str, call: ast.Call) -> Iterator[Words]:
    if function in _PLAIN:
        yield Words(_text(call.args[0]))
    elif function in _COUNTED:
        yield Words(_text(call.args[0]), _text(call.args[1]))


def _text(argument: ast.expr) -> str:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    raise ValueError(f"line {argument.lineno}: words that are made up can't be translated")


# ---- templates ----------------------------------------------------------------------------------


def _of_templates() -> Iterator[tuple[Path, Words]]:
    from django.template import engines
    from django.templatetags.i18n import BlockTranslateNode, TranslateNode

    engine: Any = engines["django"]
    for path in sorted((PACKAGE / "templates").rglob("*.*")):
        text = path.read_text()
        yield from ((path, Words(found[2])) for found in _AS_ARGUMENT.finditer(text))
        nodes = engine.from_string(text).template.nodelist
        for node in nodes.get_nodes_by_type(TranslateNode):
            yield path, Words(node.filter_expression.var.literal)
        for node in nodes.get_nodes_by_type(BlockTranslateNode):
            plural = node.render_token_list(node.plural)[0] if node.plural else ""
            yield path, Words(node.render_token_list(node.singular)[0], plural)


def main() -> int:
    """Update all catalogues; returns how many words lack a translation."""
    lacking = 0
    for path in catalogues():
        for entry in update(path).untranslated_entries():
            lacking += 1
            print(f"{path.relative_to(PACKAGE.parent)}: {entry.msgid!r} has no translation")
    return lacking


if __name__ == "__main__":
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    sys.exit(main() > 0)
