"""Keys at work against published vectors and an independent use of the library; material that must not be imported."""

from __future__ import annotations

import pickle

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from claviger.core.errors import Damaged, Invalid
from claviger.crypto import material
from claviger.crypto.key_objects import HASHES, AesKey, EcdsaKey, RsaKey
from claviger.crypto.material import Shape

# The GCM specification's cases 4, 10 and 16 (McGrew and Viega, appendix B).
NONCE = "cafebabefacedbaddecaf888"
PLAINTEXT = (
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
BOUND_TO = "feedfacedeadbeeffeedfacedeadbeefabaddad2"
KEY = "feffe9928665731c6d6a8f9467308308"
GCM = {
    KEY: "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
    "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47",
    f"{KEY}feffe9928665731c": "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c"
    "7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda27102519498e80f1478f37ba55bd6d27618c",
    f"{KEY}{KEY}": "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
}

# RFC 6979 §A.2.5: P-256, SHA-256, message "sample".
RFC_6979_PRIVATE = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
RFC_6979_R = 0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
RFC_6979_S = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8

RSA_2048 = Shape("RSA", 256)


def pkcs8(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture(scope="module")
def rsa_material() -> material.Material:
    return material.generate(RSA_2048)


@pytest.fixture(scope="module")
def rsa_key(rsa_material: material.Material) -> RsaKey:
    found = material.key_object(rsa_material.secret.reveal(), RSA_2048)
    assert isinstance(found, RsaKey)
    return found


@pytest.mark.parametrize("key", GCM)
def test_aes_opens_the_published_ciphertexts(key: str) -> None:
    opened = material.key_object(bytes.fromhex(key), Shape("AES", len(key) // 2))
    assert isinstance(opened, AesKey)
    encrypted = bytes.fromhex(NONCE + GCM[key])
    assert opened.decrypt(encrypted, bytes.fromhex(BOUND_TO)).hex() == PLAINTEXT
    for damaged in (encrypted[:-1], encrypted[:20], b"", encrypted[:-1] + b"\0"):
        with pytest.raises(Invalid, match="Ciphertext"):
            opened.decrypt(damaged, bytes.fromhex(BOUND_TO))
    with pytest.raises(Invalid, match="Ciphertext"):
        opened.decrypt(encrypted, b"other")


@given(plaintext=st.binary(max_size=4096), bound_to=st.binary(max_size=100), at=st.integers(min_value=0))
def test_what_aes_encrypts_it_decrypts_unless_a_bit_is_changed(plaintext: bytes, bound_to: bytes, at: int) -> None:
    key = AesKey(bytes(32))
    encrypted = key.encrypt(plaintext, bound_to)
    assert key.decrypt(encrypted, bound_to) == plaintext
    assert key.encrypt(plaintext, bound_to) != encrypted
    damaged = bytearray(encrypted)
    damaged[at % len(damaged)] ^= 1 << at % 8
    with pytest.raises(Invalid, match="Ciphertext"):
        key.decrypt(bytes(damaged), bound_to)


def test_ecdsa_verifies_the_published_signature() -> None:
    private = ec.derive_private_key(RFC_6979_PRIVATE, ec.SECP256R1())
    key = material.key_object(pkcs8(private), Shape("ECDSA", 32, "NIST_P256"))
    assert isinstance(key, EcdsaKey)
    signature = encode_dss_signature(RFC_6979_R, RFC_6979_S)
    assert key.verifies(signature, b"sample", "SHA256")
    assert not key.verifies(signature, b"simple", "SHA256")
    assert not key.verifies(signature[:-1], b"sample", "SHA256")


@pytest.mark.parametrize("curve", material.CURVES)
@pytest.mark.parametrize("digest", ["SHA256", "SHA384", "SHA512"])
def test_ecdsa_signs_what_the_published_key_verifies(curve: str, digest: str) -> None:
    shape = Shape("ECDSA", material.CURVES[curve][0], curve)
    made = material.generate(shape)
    key = material.key_object(made.secret.reveal(), shape)
    assert isinstance(key, EcdsaKey)
    public = load_pem_public_key((made.public_pem or "").encode())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(key.sign(b"message", digest), b"message", ec.ECDSA(HASHES[digest]))
    hashed = hashes.Hash(HASHES[digest])
    hashed.update(b"message")
    assert key.verifies(key.sign(hashed.finalize(), digest, is_digest=True), b"message", digest)


@pytest.mark.parametrize("digest", ["SHA224", "SHA256", "SHA384", "SHA512"])
@pytest.mark.parametrize("padded", ["PSS", "PKCS1"])
def test_rsa_signs_what_the_published_key_verifies(
    rsa_material: material.Material, rsa_key: RsaKey, padded: str, digest: str
) -> None:
    public = load_pem_public_key((rsa_material.public_pem or "").encode())
    assert isinstance(public, rsa.RSAPublicKey)
    chosen = HASHES[digest]
    scheme = padding.PSS(padding.MGF1(chosen), chosen.digest_size) if padded == "PSS" else padding.PKCS1v15()
    signature = rsa_key.sign(b"message", digest, padded)
    public.verify(signature, b"message", scheme, chosen)
    hashed = hashes.Hash(chosen)
    hashed.update(b"message")
    content = hashed.finalize()
    assert rsa_key.verifies(rsa_key.sign(content, digest, padded, is_digest=True), b"message", digest, padded)
    assert rsa_key.verifies(signature, content, digest, padded, is_digest=True)
    assert not rsa_key.verifies(signature, b"massage", digest, padded)
    assert not rsa_key.verifies(b"", b"message", digest, padded)
    assert not rsa_key.verifies(signature, b"message", digest, "PKCS1" if padded == "PSS" else "PSS")


@pytest.mark.parametrize("digest", ["SHA1", "SHA256"])
def test_rsa_decrypts_what_the_published_key_encrypts(
    rsa_material: material.Material, rsa_key: RsaKey, digest: str
) -> None:
    public = load_pem_public_key((rsa_material.public_pem or "").encode())
    assert isinstance(public, rsa.RSAPublicKey)
    scheme = padding.OAEP(padding.MGF1(HASHES[digest]), HASHES[digest], None)
    longest = bytes(rsa_key.most_plaintext(digest))
    assert rsa_key.decrypt(public.encrypt(longest, scheme), digest) == longest
    assert rsa_key.decrypt(rsa_key.encrypt(b"", digest), digest) == b""
    with pytest.raises(ValueError, match="Encryption failed"):
        rsa_key.encrypt(longest + b"1", digest)
    for damaged in (b"", b"1" * 256, b"1" * 300, b"\xff" * 256):
        with pytest.raises(Invalid, match="Ciphertext"):
            rsa_key.decrypt(damaged, digest)


@pytest.mark.parametrize("length", [256, 384, 512])
def test_rsa_is_made_and_imported_at_its_length(length: int) -> None:
    made = material.generate(Shape("RSA", length))
    again = material.imported(made.secret.reveal(), Shape("RSA", length))
    assert again == made
    public = load_pem_public_key((made.public_pem or "").encode())
    assert isinstance(public, rsa.RSAPublicKey)
    assert (public.key_size, public.public_numbers().e) == (length * 8, 65537)
    other = 256 if length != 256 else 384
    with pytest.raises(Invalid, match="Material"):
        material.imported(made.secret.reveal(), Shape("RSA", other))


def test_rsa_that_must_not_come_in(rsa_material: material.Material) -> None:
    good = rsa_material.secret.reveal()
    key = rsa.generate_private_key(65537, 2048)
    numbers = key.private_numbers()
    wrong_d = rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d ^ 2, numbers.dmp1, numbers.dmq1, numbers.iqmp, numbers.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)
    wrong_crt = rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d, numbers.dmp1 ^ 2, numbers.dmq1, numbers.iqmp, numbers.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)
    bad = {
        "exponent of 3": pkcs8(rsa.generate_private_key(3, 2048)),
        "d of another key": pkcs8(wrong_d),
        "a wrong part of the remainders": pkcs8(wrong_crt),
        "another curve of things": pkcs8(ec.generate_private_key(ec.SECP521R1())),
        "Ed25519": pkcs8(ed25519.Ed25519PrivateKey.generate()),
        "PKCS #1": key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        "PEM": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "under a passphrase": key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
        "a public key": key.public_key().public_numbers().n.to_bytes(256, "big"),
        "one byte behind it": good + b"\0",
        "cut off": good[:-1],
        "nothing": b"",
    }
    for what, raw in bad.items():
        with pytest.raises(Invalid) as refused:
            material.imported(raw, RSA_2048)
        assert refused.value.facts == material.unusable().facts, what


@pytest.mark.parametrize("length", [16, 24, 32])
def test_aes_comes_in_at_its_length_alone(length: int) -> None:
    raw = bytes(range(length))
    assert material.imported(raw, Shape("AES", length)).secret.reveal() == raw
    assert len(material.generate(Shape("AES", length)).secret) == length
    for other in (raw[:-1], raw + b"\0", b""):
        with pytest.raises(Invalid, match="Material"):
            material.imported(other, Shape("AES", length))


@pytest.mark.parametrize(
    "shape",
    [
        Shape("AES", 64),
        Shape("AES", 32, "NIST_P256"),
        Shape("RSA", 128),
        Shape("ECDSA", 32),
        Shape("ECDSA", 48, "NIST_P256"),
        Shape("DES", 8),
    ],
)
def test_a_shape_that_no_key_has_is_refused(shape: Shape) -> None:
    with pytest.raises(Invalid, match="Shape"):
        material.generate(shape)
    with pytest.raises(Invalid, match="Material"):
        material.imported(bytes(shape.length), shape)


def test_ecdsa_is_not_imported() -> None:
    shape = Shape("ECDSA", 32, "NIST_P256")
    with pytest.raises(Invalid, match="Material"):
        material.imported(material.generate(shape).secret.reveal(), shape)


def test_stored_material_of_another_shape_is_damage(rsa_material: material.Material) -> None:
    for secret, shape in (
        (rsa_material.secret.reveal(), Shape("ECDSA", 32, "NIST_P256")),
        (rsa_material.secret.reveal(), Shape("AES", 32)),
        (bytes(32), RSA_2048),
        (bytes(31), Shape("AES", 32)),
    ):
        with pytest.raises(Damaged, match="Material"):
            material.key_object(secret, shape)


def test_keys_are_neither_shown_nor_pickled(rsa_material: material.Material, rsa_key: RsaKey) -> None:
    assert repr(rsa_key) == "<RsaKey>"
    assert "sensitive" in repr(rsa_material)
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(rsa_key)
