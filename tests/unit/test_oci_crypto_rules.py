"""The crypto plane's tables, its ciphertexts' outside, and the quick reading of bodies."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from claviger.core.errors import Invalid
from claviger.ocikms import texts
from claviger.ocikms.crypto import rules, wire
from claviger.ocikms.crypto.operations import bound
from tests.ocicrypto import raw

RSA_SIGNINGS = {f"SHA_{bits}_RSA_{scheme}" for bits in (224, 256, 384, 512) for scheme in ("PKCS_PSS", "PKCS1_V1_5")}
ECDSA_SIGNINGS = {f"ECDSA_SHA_{bits}" for bits in (256, 384, 512)}
OAEPS = {"RSA_OAEP_SHA_1", "RSA_OAEP_SHA_256"}
KINDS = ("AES", "RSA", "ECDSA")


def goes(call: Any, *args: Any) -> bool:
    try:
        call(*args)
    except Invalid:
        return False
    return True


def test_every_signing_algorithm_with_every_kind_of_key() -> None:
    assert set(rules.SIGNINGS) == RSA_SIGNINGS | ECDSA_SIGNINGS
    for name in {*rules.SIGNINGS, "", "sha_256_rsa_pkcs_pss"}:
        fitting = {"RSA"} if name in RSA_SIGNINGS else {"ECDSA"} if name in ECDSA_SIGNINGS else set()
        assert {kind for kind in KINDS if goes(rules.signing, name, kind)} == fitting, name


def test_every_encryption_algorithm_with_every_kind_of_key() -> None:
    assert set(rules.ENCRYPTIONS) == {"AES_256_GCM", *OAEPS}
    for name in {*rules.ENCRYPTIONS, None, "", "aes_256_gcm"}:
        fitting = {"RSA"} if name in OAEPS else {"AES"} if name in (None, "", "AES_256_GCM") else set()
        assert {kind for kind in KINDS if goes(rules.encryption, name, kind, "version")} == fitting, name
        assert {kind for kind in KINDS if goes(rules.encryption, name, kind, None)} == fitting - {"RSA"}, name


def test_the_length_of_a_digest_is_that_of_its_algorithm() -> None:
    for name, algorithm in rules.SIGNINGS.items():
        bits = int(next(part for part in name.split("_") if part.isdigit() and len(part) == 3))
        for length in (0, 20, 28, 32, 48, 64, 4096):
            fits = goes(rules.check_message, bytes(length), "DIGEST", algorithm)
            assert fits == (length * 8 == bits), (name, length)
    plain = rules.SIGNINGS["ECDSA_SHA_256"]
    assert rules.check_message(bytes(4096), None, plain) is False
    assert rules.check_message(bytes(32), "DIGEST", plain) is True
    assert not goes(rules.check_message, bytes(4097), "RAW", plain)


def test_what_is_exported_and_how() -> None:
    exported = {
        (algorithm, kind, mode)
        for algorithm in ("RSA_OAEP_AES_SHA256", "RSA_OAEP_SHA256", "AES_256_GCM")
        for kind in KINDS
        for mode in ("HSM", "SOFTWARE", "EXTERNAL")
        if goes(rules.check_export, algorithm, kind, mode)
    }
    assert exported == {
        ("RSA_OAEP_AES_SHA256", "AES", "SOFTWARE"),
        ("RSA_OAEP_SHA256", "AES", "SOFTWARE"),
        ("RSA_OAEP_AES_SHA256", "RSA", "SOFTWARE"),
    }


def test_the_checksum_that_was_recorded() -> None:
    assert wire.checksum(raw("MGE4MjdjNTQtMWRiOS00YWJiLTllNjAtZmE0OGE0N2ZlY2Y1")) == "81212494"
    assert wire.checksum(b"") == "0"


@given(st.binary(max_size=300), st.text("abc.1", min_size=1, max_size=255))
def test_a_ciphertext_names_its_version(encrypted: bytes, version_id: str) -> None:
    assert wire.unpacked(wire.packed(version_id, encrypted)) == (version_id, encrypted)


@given(st.binary(max_size=300))
@example(b"\x01")
@example(b"\x01\x00")
@example(b"\x01\x01\x00")
@example(b"\x02\x01a")
def test_anything_may_be_looked_at(content: bytes) -> None:
    found = wire.unpacked(content)
    assert found is None or wire.packed(*found) == content


def test_associated_data_binds_by_its_pairs_and_not_by_their_order() -> None:
    def of(**data: str) -> bytes:
        return bound("key", "version", data)

    assert of(a="1", b="2") == of(b="2", a="1")
    assert bound("key", "version", None) == of()
    told = [of(), of(a="1"), of(a="2"), of(b="1"), of(a="1", b="2"), of(a="1b2"), of(a1=""), of(a="", b="")]
    told += [bound("key", "v", {"a": "1"}), bound("k", "version", {"a": "1"})]
    assert len(set(told)) == len(told)


def test_what_is_asked_does_not_print() -> None:
    asked = texts.read_body(b'{"keyId": "k", "plaintext": "c2VjcmV0"}', wire.EncryptDataDetails)
    assert "c2VjcmV0" not in repr(asked)
    assert "c2VjcmV0" not in repr(wire.DecryptedData("c2VjcmV0", "", "", "", ""))
    assert "c2VjcmV0" not in repr(wire.GeneratedKey("", "c2VjcmV0", ""))


class Body(msgspec.Struct, rename="camel"):
    """One field of each kind that bodies have."""

    name: str
    size: int | None = None
    is_on: bool = False
    tags: dict[str, str] | None = None
    more: dict[str, dict[str, Any]] | None = None
    loose: dict[str, Any] | None = None


KEYS = st.sampled_from(["name", "size", "isOn", "tags", "more", "loose", "other"])
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.sampled_from(["", "a:b", "12", "true", "\0", "x", '"":"'])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(KEYS, inner, max_size=3)), max_leaves=6
)


def both(content: bytes) -> tuple[Any, Any]:
    """What the whole reading says, and the quick one."""
    quick, texts_quickly = texts._quickly(content, Body), texts._quickly
    try:
        texts._quickly = lambda *_: None
        whole: Any = texts.read_body(content, Body)
    except Invalid as refusal:
        whole = refusal
    finally:
        texts._quickly = texts_quickly
    return whole, quick


@example({"name": "a", "loose": {"b": None}}, None)
@given(st.dictionaries(KEYS, VALUES), st.sampled_from([None, (",", ":"), (" , ", " :\n")]))
def test_the_quick_reading_of_a_body_says_what_the_whole_one_does(body: Any, separators: Any) -> None:
    whole, quick = both(json.dumps(body, separators=separators).encode())
    if quick is not None:
        assert quick == whole


@given(st.lists(st.tuples(KEYS, VALUES), max_size=4))
def test_a_name_given_twice_is_never_read_quickly(pairs: list[tuple[str, Any]]) -> None:
    content = ("{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs) + "}").encode()
    whole, quick = both(content)
    if quick is not None:
        assert quick == whole


@pytest.mark.parametrize(
    "content",
    [
        b'{"name": "a", "name": "a"}',
        b'{"name": "a", "tags": {"b": "1", "b": "2"}}',
        b'{"name": "a", "nam\\u0065": "b"}',
        b'{"name": "a", "more": {"b": {"c": 1, "c": 2}}}',
        b'{"name": "a", "other": [{"c": 1, "c": 2}]}',
    ],
)
def test_some_that_give_a_name_twice(content: bytes) -> None:
    whole, quick = both(content)
    assert quick is None
    assert isinstance(whole, Invalid)


def test_the_quick_reading_is_taken() -> None:
    assert texts._quickly(b'{"name": "a", "size": "12", "tags": {"b": "c"}}', Body) == Body("a", 12, tags={"b": "c"})
