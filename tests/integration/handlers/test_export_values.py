"""Values and keys that a file must take, and what it may cost to write it."""

from __future__ import annotations

import csv
import tracemalloc
from datetime import UTC, date, datetime, timedelta

import openpyxl
import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from django_resilient_queue.handlers.business.export import pages, production
from django_resilient_queue.handlers.business.export.cells import guarded, is_formula_like
from django_resilient_queue.models import Export
from tests.integration.handlers.exports import clerk, export, job_of, path_of, payload
from tests.postoffice.models import Parcel, Round

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("folders", "redis_server"),
]
FORMATS = ["csv", "json", "xlsx", "pdf"]


@pytest.fixture
def ann() -> User:
    return clerk()


def rows_of(made: Export) -> list[list[str]]:
    with path_of(made).open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.one_database
@pytest.mark.parametrize("sign", list("=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\t\r\n"))
@pytest.mark.parametrize("before", ["", " ", "\xa0", "\u3000", "\u200b", "\ufeff", "\0", "\x0b "])
def test_no_blank_hides_a_formula(before: str, sign: str) -> None:
    words = f"{before}{sign}1"
    assert is_formula_like(words)
    assert guarded(words) == f"'{words}"


@pytest.mark.one_database
@pytest.mark.parametrize("words", ["", "a=1", "1-2", "'=1", " a", "(-1)", "é+"])
def test_what_is_no_formula_stays_as_it_is(words: str) -> None:
    assert guarded(words) == words


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize(
    ("moment", "zone"),
    [
        (datetime.max.replace(tzinfo=UTC), "Asia/Tokyo"),
        (datetime(1, 1, 1, tzinfo=UTC), "America/New_York"),
    ],
)
def test_a_moment_at_an_end_of_the_calendar_is_no_trouble(
    ann: User, settings: Settings, file_format: str, moment: datetime, zone: str
) -> None:
    Parcel.objects.create(code="a", seen_at=moment)
    settings.TIME_ZONE = zone
    made = export(ann, file_format=file_format, columns=["code", "seen_at"])
    assert made.state == "ready"
    if file_format == "csv":
        assert rows_of(made)[1][1] == moment.isoformat()


@pytest.mark.parametrize("file_format", FORMATS)
def test_half_a_character_is_no_trouble(
    ann: User, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    """Text of JSON may hold it, and no file."""
    Parcel.objects.create(code="a")
    half = pages.Page([({"a": "\ud800"},)], "1")  # PostgreSQL keeps no such value
    monkeypatch.setattr(pages.Pages, "after", lambda self, last: iter([half]))
    made = export(ann, dataset="parcels", columns=["stamps"], file_format=file_format)
    assert made.state == "ready"
    if file_format == "xlsx":
        assert openpyxl.load_workbook(path_of(made)).active["A2"].value == '{"a": "?"}'


def test_a_key_of_several_columns_is_gone_on_with(
    ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE", 4)
    days = [date(2030, 1, 1) + timedelta(days=n) for n in range(5)]
    Round.objects.bulk_create(Round(postman=f"p,{n}", day=day) for n in range(3) for day in days)
    job = job_of(payload(ann, dataset="rounds"))
    told: list[int] = []

    def progress(done: int, total: int) -> None:
        told.append(done)
        if done == 8:
            raise ConnectionError("on purpose")

    with monkeypatch.context() as patched:
        patched.setattr(production, "progress", progress)
        with pytest.raises(ConnectionError):
            job.perform()
        patched.setattr(production, "progress", lambda done, total: told.append(done))
        made = Export.objects.get(pk=job.perform()["data"]["export"])
    assert told == [0, 4, 8, 8, 12, 15]
    expected = [[f"p,{n}", day.isoformat()] for n in range(3) for day in days]
    assert rows_of(made) == [["postman", "day"], *expected]


def parcels(count: int, letter: str) -> None:
    made = (Parcel(code=f"{letter}{n:06}", note="x" * 100) for n in range(count))
    Parcel.objects.bulk_create(made, batch_size=1000)


@pytest.mark.parametrize("file_format", ["csv", "json", "xlsx"])
def test_memory_does_not_grow_with_the_rows(ann: User, file_format: str) -> None:
    def peak() -> int:
        tracemalloc.start()
        try:
            assert export(ann, file_format=file_format).rows == Parcel.objects.count()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    parcels(1000, "p")
    peak()  # what is imported and remembered once
    few = peak()
    parcels(6_000, "q")
    assert peak() < 1.5 * few + 500_000
