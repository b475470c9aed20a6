"""Promises of what file:process refuses before anything is written."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from django_resilient_queue import InvalidPayload, enqueue
from django_resilient_queue.checks import check_settings
from django_resilient_queue.handlers.business.file_process import checks, schemas
from django_resilient_queue.handlers.business.file_process.checks import check_files
from django_resilient_queue.handlers.business.file_process.task import Report
from django_resilient_queue.handlers.registry import registry
from tests.integration.handlers.files.conftest import Files


def refused(**payload: Any) -> dict[str, Any]:
    given = {"paths": ["uploads/a.jpg"], "operations": [{"operation": "analyze"}], **payload}
    with pytest.raises(InvalidPayload) as caught:
        registry.get("file:process").payload(given)
    return dict(caught.value.errors)


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        ({"operation": "explode"}, "operation"),
        ({}, "operation"),
        ({"operation": "resize", "colour": "red"}, "colour"),
        ({"operation": "analyze", "width": 10}, "width"),
        ({"operation": "compress", "at": 1}, "at"),
        ({"operation": "resize"}, "width"),
        ({"operation": "resize", "width": 0}, "width"),
        ({"operation": "resize", "width": 10**9}, "width"),
        ({"operation": "resize", "width": 10, "fit": "cover"}, "fit"),
        ({"operation": "resize", "width": 10, "fit": "somehow"}, "fit"),
        ({"operation": "resize", "width": 10, "format": "txt"}, "format"),
        ({"operation": "compress", "quality": 96}, "quality"),
        ({"operation": "convert"}, "format"),
        ({"operation": "convert", "format": "exe"}, "format"),
        ({"operation": "convert", "format": "../png"}, "format"),
        ({"operation": "convert", "format": "txt", "first_page": 3, "last_page": 2}, "last_page"),
        ({"operation": "convert", "format": "png", "dpi": 10_000}, "dpi"),
        ({"operation": "thumbnail", "format": "mp4"}, "format"),
        ({"operation": "thumbnail", "at": -1}, "at"),
        ({"operation": "thumbnail", "at": "nan"}, "at"),
        ({"operation": "thumbnail", "at": "inf"}, "at"),
        ("compress", "non_field_errors"),
    ],
)
def test_an_operation_that_can_not_be_is_a_field_error(
    operation: Any, field: str, files: Files
) -> None:
    errors = refused(operations=[{"operation": "analyze"}, operation])
    assert list(errors["operations"][1]) == [field]


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"paths": []}, "paths"),
        ({"paths": "uploads/a.jpg"}, "paths"),
        ({"paths": ["uploads/a.jpg"] * 101}, "paths"),
        ({"paths": [["uploads/a.jpg"]]}, "paths"),
        ({"operations": []}, "operations"),
        ({"operations": [{"operation": "analyze"}] * 11}, "operations"),
        ({"storage": "other"}, "storage"),
        (
            {"output_storage": "staticfiles", "operations": [{"operation": "compress"}]},
            "output_storage",
        ),
        ({"key": "../../x"}, "key"),
        ({"priority": 1}, "priority"),
    ],
)
def test_a_payload_that_can_not_be_is_a_field_error(
    payload: dict[str, Any], field: str, files: Files
) -> None:
    assert list(refused(**payload)) == [field]


def test_a_payload_keeps_its_key_from_the_start(files: Files) -> None:
    handler = registry.get("file:process")
    payload = handler.payload({"paths": ["uploads/a"], "operations": [{"operation": "analyze"}]})
    assert handler.validated(payload)["key"] == handler.validated(payload)["key"]


def test_a_missing_extra_is_an_error_that_says_how_to_install_it(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(schemas, "find_spec", lambda name: None if name == "av" else find(name))
    errors = refused(operations=[{"operation": "convert", "format": "mp4"}])
    line = 'pip install "django-resilient-queue[video]"'
    assert errors["operations"][0] == {"format": [f"Needs av, which is not installed: {line}"]}


def test_what_is_refused_for_want_of_something_is_told_by_a_check(
    files: Files, allow: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = check_files(None)
    assert {message.id for message in found} == {"django_resilient_queue.I111"}
    needed = ["av", "pypdfium2", "mammoth", "LibreOffice"]
    assert [name for name in needed for each in found if f": {name} is" in each.msg] == needed
    assert found[0].hint == 'pip install "django-resilient-queue[video]"'
    allow(FILE_STORAGES={})
    assert check_files(None) == []
    allow(FILE_STORAGES=1)
    assert check_files(None) == []


@pytest.mark.django_db
def test_a_refused_payload_is_written_nowhere(files: Files) -> None:
    from django_resilient_queue.models import FallbackJob

    with pytest.raises(InvalidPayload):
        enqueue("file:process", {"paths": ["../a"], "operations": [{"operation": "analyze"}]})
    assert not FallbackJob.objects.exists()


def test_a_report_survives_its_way_between_the_processes() -> None:
    report = Report(refused="no")
    assert Report.of(report.as_dict()) == report


def test_the_settings_of_the_tests_are_sound(files: Files) -> None:
    assert [message for message in check_settings(None) if "FILE" in message.msg] == []
