"""The README says what the code does."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission

from django_resilient_queue import __version__
from django_resilient_queue.admin.paginator import MOST
from django_resilient_queue.conf import Settings
from django_resilient_queue.metrics import FAMILIES
from tests.docs import LOGS, README, events_table, part, settings_table


def test_the_settings_table_is_made_from_the_settings() -> None:
    assert part(README.read_text(), "settings") == settings_table(), "run: python -m tests.docs"


def test_the_table_of_events_is_made_from_the_events() -> None:
    assert part(LOGS.read_text(), "events") == events_table(), "run: python -m tests.docs"


def test_every_setting_that_the_readme_names_exists() -> None:
    text = README.read_text()
    named = set(re.findall(r"`([A-Z]{2,}(?:_[A-Z]+)+)`", text))
    foreign = {"COMMIT_MODE", "RQ_QUEUES", "DEMO_ONCE", "INSTALLED_APPS", "RESILIENT_QUEUE"}
    rest = {"REST_FRAMEWORK", "DEFAULT_THROTTLE_RATES"}
    django = {"ATOMIC_REQUESTS", "SECRET_KEY", "SECRET_KEY_FALLBACKS"}
    assert named - foreign - django - rest <= set(Settings.table())


def test_the_changelog_speaks_of_this_version_or_of_what_is_unreleased() -> None:
    changelog = (README.parent / "CHANGELOG.md").read_text()
    assert f"## [{__version__}]" in changelog or "## [Unreleased]" in changelog


def test_the_readme_names_every_metric() -> None:
    text = README.read_text()
    section = text[text.index("\n## Metrics\n") :].split("\n## ")[1]
    named = set(re.findall(r"`([a-z_]+)`", section.partition("| --- |")[2]))
    assert {f"drq_{name}" for name in named if name != "other"} == {
        family.shown_name for family in FAMILIES.values()
    }


@pytest.mark.django_db
def test_the_readme_names_the_permission_of_each_operation_of_the_admin() -> None:
    text = README.read_text()
    section = text[text.index("\n## The admin\n") :].split("\n## ")[1]
    table = "\n".join(line for line in section.splitlines() if line.startswith("| `"))
    named = set(re.findall(r"`([a-z_]+)`", table))
    asked = {
        operation.permission
        for pages in admin.site._registry.values()
        for operation in getattr(pages, "operations", ())
    }
    assert named == asked
    assert Permission.objects.filter(codename__in=named).count() == len(named)
    assert f"{MOST:,}" in section
