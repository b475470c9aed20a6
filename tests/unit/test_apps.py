"""Promises of the hook into django-rq."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks.registry import registry
from django.test import override_settings

import django_resilient_queue
from django_resilient_queue.api.checks import check_scope
from django_resilient_queue.apps import QUEUE_CLASS, WORKER_CLASS, fill_rq_settings
from django_resilient_queue.checks import TAG, check_settings
from django_resilient_queue.handlers.business.export.checks import check_exports
from django_resilient_queue.handlers.business.notification.checks import check_notifications
from django_resilient_queue.handlers.maintenance.cache_warm.checks import check_cache_loaders

OURS = {"QUEUE_CLASS": QUEUE_CLASS, "WORKER_CLASS": WORKER_CLASS}


def filled() -> object:
    """Fill the settings and return them."""
    fill_rq_settings()
    return getattr(django_settings, "RQ")  # noqa: B009 - unknown to the type checker


@override_settings()
def test_a_project_without_rq_settings_gets_our_classes() -> None:
    """Two entries in INSTALLED_APPS are enough."""
    if hasattr(django_settings, "RQ"):
        del django_settings.RQ
    assert filled() == OURS


@pytest.mark.parametrize("nothing", [None, {}])
def test_a_project_with_empty_rq_settings_gets_our_classes(nothing: object) -> None:
    """Empty is unset."""
    with override_settings(RQ=nothing):
        assert filled() == OURS


@pytest.mark.parametrize("key", ["QUEUE_CLASS", "WORKER_CLASS"])
def test_a_class_that_the_project_chose_is_kept(key: str) -> None:
    """A system check says what is then not covered."""
    with override_settings(RQ={key: "shop.Chosen"}):
        assert filled() == {**OURS, key: "shop.Chosen"}


def test_other_rq_settings_are_kept() -> None:
    """Only what is unset is filled."""
    with override_settings(RQ={"COMMIT_MODE": "auto"}):
        assert filled() == {**OURS, "COMMIT_MODE": "auto"}


def test_the_dict_of_the_project_itself_is_not_changed() -> None:
    """It may be shared with other settings."""
    shared: dict[str, Any] = {}
    with override_settings(RQ=shared):
        fill_rq_settings()
    assert shared == {}


def test_the_app_has_filled_the_settings_when_the_project_starts() -> None:
    """Nothing has to be called."""
    with override_settings(RQ={}):
        apps.get_app_config("django_resilient_queue").ready()
        assert getattr(django_settings, "RQ") == OURS  # noqa: B009 - unknown to the type checker


def test_the_checks_run_with_manage_py_check_under_their_own_tag() -> None:
    """`manage.py check --tag resilient_queue` runs them alone."""
    # Django keeps them in a set.
    tagged: set[object] = {check for check in registry.get_checks() if TAG in check.tags}
    ours = {check_settings, check_scope}
    assert tagged == {*ours, check_exports, check_notifications, check_cache_loaders}


@pytest.mark.parametrize("name", ["enqueue", "get_job", "get_queue"])
def test_the_public_functions_are_those_of_the_front_door(name: str) -> None:
    """They are imported at their first use."""
    from django_resilient_queue import queues, submission

    home = queues if hasattr(queues, name) else submission
    assert getattr(django_resilient_queue, name) is getattr(home, name)
    assert name in dir(django_resilient_queue)


def test_a_name_that_does_not_exist_is_reported_as_for_any_module() -> None:
    """`hasattr` and `import` rely on it."""
    with pytest.raises(AttributeError, match=r"'django_resilient_queue' has no attribute 'enqueu'"):
        getattr(django_resilient_queue, "enqueu")  # noqa: B009 - unknown to the type checker
