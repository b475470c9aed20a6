"""The wheel holds what the code needs at run time, and its version is the package's."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest

import django_resilient_queue

ROOT = Path(__file__).parent.parent
PACKAGE = Path(django_resilient_queue.__file__).parent
NEVER_SHIPPED = ("tests/", "example_project/", "benchmarks/")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """Built without a network: hatchling comes with the test extra."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=90)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def test_every_file_of_the_package_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    files = {
        str(path.relative_to(PACKAGE.parent))
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert files <= set(wheel.namelist())


@pytest.mark.parametrize(
    "kind",
    [
        "py.typed",
        "stores/lua/*.lua",
        "migrations/0*.py",
        "locale/de/LC_MESSAGES/django.po",
        "locale/de/LC_MESSAGES/django.mo",
        "templates/admin/django_resilient_queue/*.html",
        "static/django_resilient_queue/*.css",
    ],
    ids=["types", "lua", "migrations", "translations", "compiled", "templates", "styles"],
)
def test_what_is_not_plain_code_is_in_the_wheel(wheel: zipfile.ZipFile, kind: str) -> None:
    assert [name for name in wheel.namelist() if Path(name).match(f"django_resilient_queue/{kind}")]


def test_nothing_else_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    assert not [name for name in wheel.namelist() if name.startswith(NEVER_SHIPPED)]


def test_the_versions_agree(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = message_from_bytes(wheel.read(name))
    assert metadata["Name"] == "django-resilient-queue"
    assert metadata["Version"] == django_resilient_queue.__version__
