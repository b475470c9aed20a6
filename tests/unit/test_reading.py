"""What serialised bytes say is read without importing or calling anything that they name."""

from __future__ import annotations

import json
import os
import pickle
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from django_resilient_queue import reading
from django_resilient_queue.reading import LARGEST, Unreadable, as_json, read

NUMBER = uuid.UUID(int=7)


class Order:
    """A class of a project."""

    def __init__(self) -> None:
        self.card = "4111-1111"


class Exploit:
    """Pickled, it is a call."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        self.call = (call, args)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def shown(value: Any, *, protocol: int = pickle.HIGHEST_PROTOCOL) -> Any:
    return as_json(read(pickle.dumps(value, protocol)))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2.5, None, True, "ü"]}, {"a": [1, 2.5, None, True, "ü"]}),
        ((1, (2,)), [1, [2]]),
        ({1: "one", None: 2}, {"1": "one", "None": 2}),
        ({(1, 2): 3}, {"tuple": 3}),
        ({7}, [7]),
        (frozenset((7,)), [7]),
        (OrderedDict(a=1), {"a": 1}),
        (datetime(2030, 1, 2, 3, 4, tzinfo=UTC), "2030-01-02T03:04:00+00:00"),
        (date(2030, 1, 2), "2030-01-02"),
        (timedelta(hours=2), "2:00:00"),
        (Decimal("12.50"), "12.50"),
        (NUMBER, str(NUMBER)),
        (b"12345", "<5 bytes>"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (2**64, "<number of 65 bits>"),
        ("\ud800", "?"),
    ],
)
def test_plain_values_come_out_as_such(value: Any, expected: Any, protocol: int) -> None:
    found = shown(value, protocol=protocol)
    assert found == expected
    json.dumps(found, allow_nan=False)


def test_values_of_other_classes_are_named_and_not_shown() -> None:
    found = shown({"order": Order(), "class": Order, "function": os.getcwd})
    assert found == {
        "order": f"<{Order.__module__}.Order>",
        "class": f"<{Order.__module__}.Order>",
        "function": "<posix.getcwd>",
    }
    zoned = datetime(2030, 1, 2, tzinfo=ZoneInfo("Europe/Berlin"))
    assert shown([zoned, 1]) == ["<datetime.datetime>", 1]


def test_a_class_that_is_gone_hides_only_its_own_values() -> None:
    gone = pickle.dumps((Order(), 5), 2).replace(b"Order", b"0rder")
    assert as_json(read(gone)) == [f"<{Order.__module__}.0rder>", 5]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_that_the_bytes_name_is_called(protocol: int, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    attacks = [
        Exploit(os.unlink, str(victim)),
        Exploit(eval, f"__import__('os').unlink({str(victim)!r})"),
        Exploit(getattr, Path(victim), "unlink"),
    ]
    for attack in attacks:
        assert json.dumps(shown([attack, 1], protocol=protocol)).endswith(", 1]")
    assert victim.exists()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense",
        b"\x80",
        b"\x80\x04",
        b"\x80\x04K\x01",
        b"\x80\x02\x82\x01.",  # an extension code
        b"\x80\x02P1\n.",
        zlib.compress(b"\x80" + b"x" * (2 * LARGEST)),
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_read_is_said(raw: bytes) -> None:
    with pytest.raises(Unreadable) as raised:
        read(raw)
    assert len(str(raised.value)) < 100


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zlib.compress(b"\0" * (200 * 1024 * 1024), 9)
    assert len(reading._decompressed(bomb)) == LARGEST + 1
    with pytest.raises(Unreadable, match=f"longer than {LARGEST} bytes"):
        read(bomb)


def test_a_claim_of_much_memory_is_not_believed() -> None:
    with pytest.raises(Unreadable):
        read(b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"x.")
    assert read(b"\x80\x02K\x01r\xff\xff\xff\x7f.") == 1  # kept as the 2,147,483,647th value


def test_what_is_long_deep_or_many_is_cut_short() -> None:
    assert shown("x" * 3000) == f"{'x' * 2000}… (3000 characters)"
    assert len(shown(list(range(5000)))) == 999
    same: Any = ["leaf"]
    for _ in range(60):
        same = [same, same]  # 2 to the 60th leaves
    assert len(json.dumps(shown(same))) < 20_000


def test_json_is_read_too_compressed_or_not() -> None:
    data = json.dumps(["tests.f", None, [1], {"a": {"b": 2}}]).encode()
    assert read(data) == read(zlib.compress(data)) == ["tests.f", None, [1], {"a": {"b": 2}}]
