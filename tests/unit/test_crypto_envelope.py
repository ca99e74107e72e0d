"""Sealing: what is sealed opens, and nothing else does."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claviger.core.errors import Damaged
from claviger.crypto.envelope import OVERHEAD, SealingKey, associated_data, new_key

PLACE = ("keyvault-secret", 7, "db-password", "00112233445566778899aabbccddeeff")
FIELDS = st.lists(st.one_of(st.text(), st.binary(), st.integers(-(2**63), 2**63 - 1)), max_size=5)


@given(st.binary(max_size=2000), FIELDS)
def test_what_is_sealed_opens(plaintext: bytes, fields: list[str | bytes | int]) -> None:
    key = SealingKey(new_key())
    sealed = key.seal(plaintext, associated_data(*fields))
    assert len(sealed) == len(plaintext) + OVERHEAD
    assert key.open(sealed, associated_data(*fields)) == plaintext


def test_the_same_value_is_never_sealed_the_same_way() -> None:
    key = SealingKey(new_key())
    assert len({key.seal(b"value", b"") for _ in range(100)}) == 100


def test_every_changed_bit_is_noticed() -> None:
    key = SealingKey(new_key())
    sealed = key.seal(b"value", associated_data(*PLACE))
    for at in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[at // 8] ^= 1 << at % 8
        _does_not_open(key, bytes(changed), associated_data(*PLACE))


def test_every_shorter_or_longer_form_is_noticed() -> None:
    key = SealingKey(new_key())
    sealed = key.seal(b"value", b"")
    for length in range(len(sealed)):
        _does_not_open(key, sealed[:length], b"")
    _does_not_open(key, sealed + b"\0", b"")


@pytest.mark.parametrize(
    "elsewhere",
    [
        ("keyvault-note", *PLACE[1:]),
        ("keyvault-secret", 8, *PLACE[2:]),
        ("keyvault-secret", "7", *PLACE[2:]),
        ("keyvault-secret", 7, "db-passwor", "d" + PLACE[3]),
        (*PLACE[:3], "f" * 32),
        PLACE[:3],
        (*PLACE, ""),
    ],
)
def test_a_value_moved_elsewhere_does_not_open(elsewhere: tuple[str | int, ...]) -> None:
    key = SealingKey(new_key())
    _does_not_open(key, key.seal(b"value", associated_data(*PLACE)), associated_data(*elsewhere))


def test_another_key_does_not_open() -> None:
    _does_not_open(SealingKey(new_key()), SealingKey(new_key()).seal(b"value", b""), b"")


def _does_not_open(key: SealingKey, sealed: bytes, bound_to: bytes) -> None:
    with pytest.raises(Damaged) as broken:
        key.open(sealed, bound_to)
    assert (broken.value.reason, broken.value.facts) == ("SealBroken", {})
    assert broken.value.__cause__ is None


@given(FIELDS, FIELDS)
def test_different_fields_never_give_the_same_bytes(
    one: list[str | bytes | int], other: list[str | bytes | int]
) -> None:
    typed = [(type(field), field) for field in one], [(type(field), field) for field in other]
    assert (associated_data(*one) == associated_data(*other)) == (typed[0] == typed[1])


@given(st.text(min_size=1), st.text(min_size=1))
def test_where_one_field_ends_is_part_of_it(one: str, other: str) -> None:
    assert associated_data(one, other) != associated_data(one + other)
    assert associated_data(one + other[:1], other[1:]) != associated_data(one, other)
    assert associated_data(one) != associated_data(one.encode())


def test_a_key_does_not_show() -> None:
    raw = b"0123456789abcdef0123456789abcdef"
    key = SealingKey(raw)
    assert raw.decode() not in repr(key) + str(key) + f"{key}"
    with pytest.raises(TypeError):
        pickle.dumps(key)
    with pytest.raises(ValueError, match="32 bytes"):
        SealingKey(raw[:31])
