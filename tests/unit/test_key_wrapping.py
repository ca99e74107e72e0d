"""Both ways of wrapping a key, as a client composes them, and everything that must not unwrap."""

from __future__ import annotations

import base64
import os

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap, aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from claviger.core.errors import Invalid
from claviger.crypto import key_wrapping, material
from claviger.crypto.key_wrapping import BY_AES, DIRECT

OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
PRIVATE = rsa.generate_private_key(65537, 2048)
PUBLIC = PRIVATE.public_key()
DER = PRIVATE.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def by_aes(secret: bytes, kek_length: int = 32) -> bytes:
    kek = os.urandom(kek_length)
    return PUBLIC.encrypt(kek, OAEP) + aes_key_wrap_with_padding(kek, secret)


def pem(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@settings(deadline=None, max_examples=30)
@given(secret=st.binary(min_size=1, max_size=2500))
def test_what_a_client_wraps_unwraps(secret: bytes) -> None:
    assert key_wrapping.unwrapped(by_aes(secret), BY_AES, DER) == secret
    if len(secret) <= 190:
        assert key_wrapping.unwrapped(PUBLIC.encrypt(secret, OAEP), DIRECT, DER) == secret


@pytest.mark.parametrize("algorithm", [DIRECT, BY_AES])
def test_what_is_wrapped_here_unwraps(algorithm: str) -> None:
    one = key_wrapping.wrapped(b"k" * 32, algorithm, PUBLIC)
    assert key_wrapping.unwrapped(one, algorithm, DER) == b"k" * 32
    assert key_wrapping.wrapped(b"k" * 32, algorithm, PUBLIC) != one


def test_every_damage_gives_the_same_refusal() -> None:
    direct, long = PUBLIC.encrypt(bytes(32), OAEP), by_aes(bytes(32))
    kek = os.urandom(32)
    bad = [
        (b"", DIRECT),
        (b"", BY_AES),
        (direct, BY_AES),
        (long, DIRECT),
        (direct[:-1], DIRECT),
        (direct[:-1] + bytes([direct[-1] ^ 1]), DIRECT),
        (b"\xff" * 256, DIRECT),
        (long[:-1], BY_AES),
        (long[:-8], BY_AES),
        (long[:-1] + bytes([long[-1] ^ 1]), BY_AES),
        (bytes([long[0] ^ 1]) + long[1:], BY_AES),
        (long + bytes(8), BY_AES),
        (long[:256] + b"1", BY_AES),
        (by_aes(bytes(32), 16), BY_AES),
        (PUBLIC.encrypt(b"short", OAEP) + bytes(24), BY_AES),
        (PUBLIC.encrypt(kek, OAEP) + aes_key_wrap(kek, bytes(32)), BY_AES),
        (PUBLIC.encrypt(bytes(32), padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)), DIRECT),
        (PUBLIC.encrypt(bytes(32), padding.PKCS1v15()), DIRECT),
        (direct, "RSA_OAEP_SHA1"),
    ]
    for number, (wrapped, algorithm) in enumerate(bad):
        with pytest.raises(Invalid) as refused:
            key_wrapping.unwrapped(wrapped, algorithm, DER)
        assert (refused.value.reason, refused.value.facts) == ("Material", material.unusable().facts), number


def test_a_public_key_to_export_to() -> None:
    assert key_wrapping.public_key(pem(PUBLIC)).public_numbers() == PUBLIC.public_numbers()
    cramped = pem(PUBLIC).replace("\n", "\r\n")
    assert key_wrapping.public_key(cramped).key_size == 2048


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PEM",
        "ü",
        pem(PUBLIC) * 20,
        pem(PUBLIC).replace("A", "B", 8),
        pem(ec.generate_private_key(ec.SECP256R1()).public_key()),
        pem(rsa.generate_private_key(65537, 1024).public_key()),
        pem(rsa.RSAPublicNumbers(65537, (1 << 2047) + 2**20 + 1).public_key()).replace("\n-----END", "X\n-----END"),
        DER.hex(),
        PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    ],
)
def test_what_is_no_such_public_key(text: str) -> None:
    with pytest.raises(Invalid, match="PublicKey"):
        key_wrapping.public_key(text)


def test_a_public_key_that_would_break_the_arithmetic_is_refused() -> None:
    """The modulus of an even number of such a length, and an exponent of one: written by hand, for no library will."""
    numbers = PUBLIC.public_numbers()
    for n, e in ((numbers.n - 1, 65537), (numbers.n, 1), (numbers.n, 65536), (numbers.n, 2**33 + 1)):
        with pytest.raises(Invalid, match="PublicKey"):
            key_wrapping.public_key(spki(n, e))


def spki(n: int, e: int) -> str:
    """SubjectPublicKeyInfo by hand."""

    def der(tag: int, content: bytes) -> bytes:
        size = len(content)
        length = bytes([size]) if size < 128 else bytes([0x82]) + size.to_bytes(2, "big")
        return bytes([tag]) + length + content

    def integer(value: int) -> bytes:
        return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))

    algorithm = der(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    key = der(0x30, algorithm + der(3, b"\0" + der(0x30, integer(n) + integer(e))))
    return f"-----BEGIN PUBLIC KEY-----\n{base64.encodebytes(key).decode()}-----END PUBLIC KEY-----\n"


def test_the_hand_written_form_is_right() -> None:
    numbers = PUBLIC.public_numbers()
    assert key_wrapping.public_key(spki(numbers.n, numbers.e)).public_numbers() == numbers
