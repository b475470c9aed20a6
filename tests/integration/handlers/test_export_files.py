"""Exported files, opened again and compared cell by cell with what the database holds."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pypdf
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q
from pytest_django import Settings

from django_resilient_queue.handlers.business.export import pages
from django_resilient_queue.handlers.business.export.formats import workbook
from tests.integration.handlers.exports import (
    clerk,
    export,
    hostile_parcels,
    many_parcels,
    path_of,
    spool,
)
from tests.postoffice.export_datasets import COLUMNS
from tests.postoffice.models import Parcel

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("folders", "redis_server"),
]
GUARDED = ("=", "+", "-", "@", "\t", "\r", "\n")


@pytest.fixture
def ann() -> User:
    return clerk()


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE", 4)


def rows_of_csv(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def as_csv(value: Any) -> str:
    """What a cell of csv is to be, said in another way than the code says it."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat()
        case dict():
            return json.dumps(value, ensure_ascii=False)
        case str():
            return "'" + value if value.lstrip(" ").startswith(GUARDED) else value
    return str(value)


def test_each_cell_of_csv_is_what_the_database_holds(ann: User) -> None:
    hostile_parcels()
    made = export(ann)
    head, *rows = rows_of_csv(path_of(made))
    assert head == list(COLUMNS)
    assert rows == [
        [as_csv(value) for value in row] for row in Parcel.objects.values_list(*COLUMNS)
    ]
    assert (made.rows, made.size) == (15, path_of(made).stat().st_size)


def test_no_text_in_csv_is_a_formula_and_numbers_stay_numbers(ann: User) -> None:
    hostile_parcels()
    rows = rows_of_csv(path_of(export(ann)))
    notes = [row[1] for row in rows[1:]]
    assert not [note for note in notes if note.lstrip(" ").startswith(GUARDED)]
    assert notes[:3] == ["'=1+1", "'+49 30 1234", "'-5"]
    assert rows[1][2:5] == ["-12.5000", "-3", "-0.5"]


def test_the_head_of_a_column_is_no_formula_either(ann: User) -> None:
    assert rows_of_csv(path_of(export(ann, dataset="labels"))) == [["Label", "'=Owner"]]


def test_each_cell_of_json_is_what_the_database_holds(ann: User) -> None:
    hostile_parcels()
    found = json.loads(path_of(export(ann, file_format="json")).read_text("utf-8"))
    values = list(Parcel.objects.values(*COLUMNS))
    for row in values:
        row["weight"] = None if row["weight"] is None else str(row["weight"])
        row["posted_on"] = row["posted_on"] and row["posted_on"].isoformat()
        row["seen_at"] = row["seen_at"] and row["seen_at"].isoformat()
        row["stamps"] = row["stamps"] and json.dumps(row["stamps"], ensure_ascii=False)
    assert found == values


@pytest.mark.parametrize("file_format", ["csv", "json"])
def test_no_rows_are_a_file_as_well(ann: User, file_format: str) -> None:
    made = export(ann, file_format=file_format)
    text = path_of(made).read_text()
    assert made.rows == 0
    assert (json.loads(text) == []) if file_format == "json" else (text.count("\n") == 1)


def test_each_cell_of_xlsx_is_what_the_database_holds(ann: User) -> None:
    hostile_parcels()
    sheet = openpyxl.load_workbook(path_of(export(ann, file_format="xlsx"))).active
    head, *rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert head == list(COLUMNS)
    for row, parcel in zip(rows, Parcel.objects.all(), strict=True):
        note = parcel.note if len(parcel.note) < 32_767 else parcel.note[:32_763] + " […]"
        assert re.sub(r"_x00(..)_", lambda x: chr(int(x[1], 16)), row[1] or "") == note
        assert row[0] == parcel.code
    first, second = rows[:2]
    assert first[2:6] == [-12.5, -3, -0.5, True]
    assert first[6:8] == [datetime(2030, 1, 2), datetime(2030, 1, 2, 3, 4, 5, 678000)]  # noqa: DTZ001
    assert json.loads(first[8]) == {"a": [1, None], "=b": "ü"}
    # A text where Excel would drop digits; SQLite itself keeps fifteen.
    assert Decimal(second[2]) == Parcel.objects.get(code="p01").weight
    assert second[3] == str(2**62)
    assert second[6] == "1850-06-07"


def test_no_text_in_xlsx_is_a_formula_or_a_link(ann: User) -> None:
    hostile_parcels()
    path = path_of(export(ann, file_format="xlsx"))
    sheet = openpyxl.load_workbook(path).active
    notes = [row[1] for row in sheet.iter_rows(min_row=2)]
    assert {cell.data_type for cell in notes if cell.value is not None} <= {"s", "inlineStr"}
    assert [cell.quotePrefix for cell in notes[:4]] == [True] * 4
    with zipfile.ZipFile(path) as archive:
        xml = archive.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in xml
    assert "hyperlink" not in xml


def test_rows_that_no_sheet_holds_go_to_the_next(
    ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_parcels(10)
    monkeypatch.setattr(workbook, "_ROWS_OF_A_SHEET", 5)
    book = openpyxl.load_workbook(path_of(export(ann, file_format="xlsx", columns=["pieces"])))
    found = [[cell.value for cell in row] for sheet in book for row in sheet.iter_rows()]
    head = ["pieces"]
    assert found == [head, [0], [1], [2], [3], head, [4], [5], [6], [7], head, [8], [9]]


def text_of_pdf(path: Path) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def test_each_row_of_a_pdf_can_be_read(ann: User) -> None:
    hostile_parcels()
    text = text_of_pdf(path_of(export(ann, file_format="pdf")))
    for cell in ("p00", "p14", "-12.5000", "=1+1", "Ünïcödé", "<b>&amp;</b>", "2030-01-02"):
        assert cell in text.replace("\n", "")
    assert "15 rows." in text


def test_a_pdf_says_that_rows_are_missing(ann: User, settings: Settings) -> None:
    settings.RESILIENT_QUEUE = {**settings.RESILIENT_QUEUE, "EXPORT_PDF_ROWS": 6}
    many_parcels(10)
    made = export(ann, file_format="pdf", columns=["code"])
    text = text_of_pdf(path_of(made))
    assert made.rows == 6
    assert "Only the first 6 of 10 rows are shown." in text
    assert re.findall(r"p0000\d\d", text) == [f"p{n:06}" for n in range(6)]


def test_a_long_pdf_has_its_head_on_each_page(ann: User) -> None:
    many_parcels(200)
    pdf = pypdf.PdfReader(path_of(export(ann, file_format="pdf", columns=["code", "pieces"])))
    assert len(pdf.pages) > 2
    assert all("pieces" in page.extract_text() for page in pdf.pages)


def test_filters_and_columns_choose(ann: User) -> None:
    hostile_parcels()
    made = export(ann, filters={"fragile": True}, columns=["pieces", "code"])
    assert rows_of_csv(path_of(made)) == [["pieces", "code"], ["-3", "p00"]]


def test_a_user_gets_all_that_datasets_hold_about_them(ann: User) -> None:
    bob = User.objects.create_user("bob", "bob@example.com", "pw")
    hostile_parcels(owner=bob)
    Parcel.objects.create(code="another's", owner=ann)
    made = export(bob, subject=str(bob.pk), file_format="json")
    with zipfile.ZipFile(path_of(made)) as archive:
        found = {name: json.loads(archive.read(name)) for name in archive.namelist()}
    assert set(found) == {"parcels.json", "labels.json", "manifest.json"}
    assert [row["code"] for row in found["parcels.json"]] == [f"p{n:02}" for n in range(15)]
    assert {row["=Owner"] for row in found["labels.json"]} == {"bob"}
    assert (found["manifest.json"]["subject"], made.rows) == (str(bob.pk), 30)


def test_nothing_is_left_in_the_spool(ann: User) -> None:
    many_parcels(10)
    for file_format in ("csv", "json", "xlsx", "pdf"):
        export(ann, file_format=file_format)
    assert spool() == []


def test_a_key_that_is_not_unique_is_refused(ann: User) -> None:
    with pytest.raises(ImproperlyConfigured, match="unique and never null; 'note'"):
        pages.Pages(Parcel.objects.all(), {"code": "code"}, "note")


def test_a_queryset_that_can_not_be_filtered_is_refused(ann: User) -> None:
    """At its first page, not when there is a second."""
    for rows in (Parcel.objects.all()[:9], Parcel.objects.all().union(Parcel.objects.all())):
        with pytest.raises(ImproperlyConfigured, match="neither slice nor combine"):
            pages.Pages(rows, {"code": "code"}, "code")


def test_a_join_to_many_rows_is_refused_and_not_cut(ann: User) -> None:
    hostile_parcels(owner=ann)
    rows = User.objects.filter(Q(parcel__pieces=1))
    with pytest.raises(ImproperlyConfigured, match="several rows of one pk"):
        list(pages.Pages(rows, {"name": "username"}, "pk").after())
