"""The catalogues have all words of the package, and each word of a page goes through them."""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import django
import polib
import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import translation
from django.utils.text import capfirst

from django_resilient_queue.admin.letters.bulk_operations import BULK_OPERATIONS
from django_resilient_queue.models import DeadLetter, RunItem
from tests import messages
from tests.rows import make_outage

CATALOGUES = sorted(messages.catalogues())
OF_DJANGO = Path(django.__file__).parent
_PLACES = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w+\}|</?b>")

each_language = pytest.mark.parametrize(
    "path", CATALOGUES, ids=[path.parent.parent.name for path in CATALOGUES]
)


def test_there_is_german() -> None:
    assert [path.parent.parent.name for path in CATALOGUES] == ["de"]


@each_language
def test_every_word_of_the_sources_is_translated_and_no_other(path: Path) -> None:
    """`python -m tests.messages` adds those that are new."""
    catalogue = polib.pofile(str(path))
    known = {messages.Words(each.msgid, each.msgid_plural) for each in catalogue}
    assert known == set(messages.words())
    assert [each.msgid for each in catalogue.untranslated_entries()] == []
    assert [each.msgid for each in catalogue if each.fuzzy] == []


@each_language
def test_a_translation_has_the_places_of_its_words(path: Path) -> None:
    """One that is missing would be an error when it is used, or hide a figure."""
    wrong = [
        (original, text)
        for each in polib.pofile(str(path))
        for original, text in _forms(each)
        if sorted(_PLACES.findall(text)) != sorted(_PLACES.findall(original))
    ]
    assert wrong == []


def _forms(entry: polib.POEntry) -> Iterator[tuple[str, str]]:
    if not entry.msgid_plural:
        yield entry.msgid, entry.msgstr
    for number, text in entry.msgstr_plural.items():
        yield entry.msgid_plural if number else entry.msgid, text


@each_language
def test_what_is_shipped_is_made_from_its_source(path: Path) -> None:
    with path.with_suffix(".mo").open("rb") as file:
        shipped = gettext.GNUTranslations(file)
    for entry in polib.pofile(str(path)):
        if entry.msgid_plural:
            found = [shipped.ngettext(entry.msgid, entry.msgid_plural, n) for n in (1, 2)]
            assert found == list(entry.msgstr_plural.values())
        else:
            assert shipped.gettext(entry.msgid) == entry.msgstr


@each_language
def test_words_that_django_has_as_well_keep_its_translation(path: Path) -> None:
    """A project has one catalogue of a language: ours would change what other pages say."""
    ours = dict(_texts(path))
    others = OF_DJANGO.glob(f"**/{path.relative_to(messages.LOCALE)}")
    differ = [
        (singular, ours[singular], texts)
        for other in others
        for singular, texts in _texts(other)
        if texts != ours.get(singular, texts)
    ]
    assert differ == []


def _texts(path: Path) -> list[tuple[str, list[str]]]:
    return [
        (each.msgid, list(each.msgstr_plural.values()) if each.msgid_plural else [each.msgstr])
        for each in polib.pofile(str(path))
        if not each.msgctxt
    ]


# ---- pages --------------------------------------------------------------------------------------

OPEN, CLOSE = "⟦", "⟧"
_WORD = re.compile(r"[^\W\d_]{2,}")


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put marks around whatever was looked up in a catalogue."""

    def mark(look_up: Callable[..., str]) -> Callable[..., str]:
        def look_up_and_mark(*args: Any) -> str:
            return f"{OPEN}{look_up(*args)}{CLOSE}" if args[0] else look_up(*args)

        return look_up_and_mark

    words: Any = translation._trans  # type: ignore[attr-defined]
    for name in ("gettext", "ngettext", "pgettext", "npgettext"):
        monkeypatch.setattr(words, name, mark(getattr(words, name)))


@pytest.fixture
def root(client: Client, django_user_model: type[User]) -> Iterator[Client]:
    client.force_login(django_user_model.objects.create_superuser("root"))
    with override_settings(ROOT_URLCONF="tests.urls"):
        yield client


class Visible(HTMLParser):
    """What people see of a page, or hear: texts and the attributes that are read out."""

    silent = ("script", "style", "pre", "code", "textarea")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._within: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.silent:
            self._within.append(tag)
        known = dict(attrs)
        names = ["title", "alt", "placeholder", "aria-label"]
        names += ["value"] if known.get("type") == "submit" else []
        self.texts += [known[name] or "" for name in names if name in known]

    def handle_endtag(self, tag: str) -> None:
        if self._within and self._within[-1] == tag:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        if not self._within:
            self.texts.append(data)


def unmarked(html: str) -> set[str]:
    """The words of a page that nobody looked up."""
    left, depth = [], 0
    for sign in "\n".join(Visible(html).texts):
        depth += (sign == OPEN) - (sign == CLOSE)
        left.append(" " if depth else sign)
    return set(_WORD.findall("".join(left)))


def addresses() -> Iterator[str]:
    """Every page of the admin's that there is for a row of each table."""
    from tests.unfold import addresses as of_rows

    yield reverse("admin:django_resilient_queue_overview_changelist")
    yield reverse("admin:django_resilient_queue_deadletter_groups")
    yield from of_rows()
    for operation in BULK_OPERATIONS:
        page = reverse(f"admin:django_resilient_queue_deadletter_{operation.name}_all")
        yield f"{page}?category=other"


def data_of(address: str) -> set[str]:
    """The words that a page has from rows: ids, names, what people and programs wrote."""
    model: Any = apps.get_model("django_resilient_queue", address.split("/")[3])
    models = [model, DeadLetter] if model is RunItem else [model] * model._meta.managed
    values = [
        value
        for each in models
        for field in each._meta.concrete_fields
        if not field.choices
        for value in each._default_manager.values_list(field.name, flat=True)
    ]
    return set(_WORD.findall(str(values)))


def names_of_others() -> set[str]:
    """What stands in the sidebar that is not ours."""
    known: list[Any] = []
    for config in apps.get_app_configs():
        if config.name != "django_resilient_queue":
            models = config.models.values()
            known += [config.verbose_name, *(each._meta.verbose_name_plural for each in models)]
    return set(_WORD.findall(" ".join(capfirst(str(each)) for each in known)))


@pytest.mark.django_db
@pytest.mark.usefixtures("marked")
def test_each_word_of_a_page_can_be_translated(root: Client) -> None:
    """But for names, and what stands in a row."""
    # The admin says of a sign that it means "False".
    names = {
        "Redis",
        "django",
        "rq",
        "SHA",
        "UTC",
        "False",
        "root",
        *settings.RQ_QUEUES,
        *names_of_others(),
    }
    found = {}
    for address in addresses():
        answer = root.get(address)
        assert answer.status_code == 200
        found[address] = unmarked(answer.text) - names - data_of(address)
    assert len(found) > 40
    assert {address: words for address, words in found.items() if words} == {}


@pytest.mark.django_db
def test_a_page_speaks_german(root: Client) -> None:
    make_outage("row-one")
    with translation.override("de"):
        page = root.get(reverse("admin:django_resilient_queue_outage_changelist")).text
        assert "Ausfälle" in page
        assert "Übergeben" in page
