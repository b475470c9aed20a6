"""What comes from a table is believed only when its seal is whole."""

from __future__ import annotations

import pytest
from django.test import override_settings
from pytest_django import Settings

from django_resilient_queue.exceptions import UndecodableSnapshot
from django_resilient_queue.seal import seal, unseal

BODY = b"\x00\xff a body that is no text"


def test_sealed_bytes_come_back_as_they_were() -> None:
    assert unseal(seal(BODY, purpose="job"), purpose="job") == BODY


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_what_a_database_driver_returns_for_bytes_is_read_once_made_bytes(
    kind: type[bytearray] | type[memoryview],
) -> None:
    assert unseal(bytes(kind(seal(BODY, purpose="job"))), purpose="job") == BODY


def test_a_seal_for_one_purpose_does_not_hold_for_another() -> None:
    with pytest.raises(UndecodableSnapshot, match="signature"):
        unseal(seal(BODY, purpose="settlement"), purpose="job")


def test_each_changed_byte_breaks_the_seal() -> None:
    sealed = seal(BODY, purpose="job")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(UndecodableSnapshot):
            unseal(bytes(changed), purpose="job")


@pytest.mark.parametrize("cut", range(40))
def test_cut_bytes_are_refused(cut: int) -> None:
    with pytest.raises(UndecodableSnapshot):
        unseal(seal(BODY, purpose="job")[:cut], purpose="job")


def test_a_pickle_without_a_seal_is_refused() -> None:
    with pytest.raises(UndecodableSnapshot, match="format"):
        unseal(b"\x80\x04" + b"c" * 60, purpose="job")


def test_another_secret_key_breaks_the_seal() -> None:
    with override_settings(SECRET_KEY="an older one"):
        sealed = seal(BODY, purpose="job")
    with pytest.raises(UndecodableSnapshot, match="signature"):
        unseal(sealed, purpose="job")


@pytest.mark.parametrize("fallbacks", [["an older one"], ["oldest", "an older one"]])
def test_a_rotated_secret_key_is_honoured_while_it_is_a_fallback(
    settings: Settings, fallbacks: list[str]
) -> None:
    with override_settings(SECRET_KEY="an older one"):
        sealed = seal(BODY, purpose="job")
    settings.SECRET_KEY_FALLBACKS = fallbacks
    assert unseal(sealed, purpose="job") == BODY


def test_a_fallback_key_reads_but_never_writes(settings: Settings) -> None:
    settings.SECRET_KEY_FALLBACKS = ["an older one"]
    sealed = seal(BODY, purpose="job")
    settings.SECRET_KEY_FALLBACKS = []
    assert unseal(sealed, purpose="job") == BODY


def test_keys_may_be_bytes() -> None:
    with override_settings(SECRET_KEY=b"bytes", SECRET_KEY_FALLBACKS=[b"older"]):
        assert unseal(seal(BODY, purpose="job"), purpose="job") == BODY
