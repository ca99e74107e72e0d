"""docs/formats.md is right: every vector in it, recomputed with the primitives alone, and opened by our code."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from claviger.audit.entry import decoded, encoded
from claviger.audit.signed_note import PublicKey, Signer, checkpoint_of
from claviger.audit.tree import Frontier, leaf_hash
from claviger.core.sensitive import Sensitive
from claviger.crypto.envelope import SealingKey, associated_data
from claviger.crypto.key_file import KeyFile, PassphraseFile
from claviger.crypto.key_objects import AesKey
from claviger.crypto.root_key import root_key_id, root_key_of
from claviger.crypto.stream import StreamReader, StreamWriter
from claviger.keyvault.moving.archive import open_archive
from claviger.keyvault.moving.wire import ArchivedVersion, pack
from claviger.keyvault.secrets.backup import MAGIC
from claviger.keyvault.secrets.operations import binding
from claviger.keyvault.secrets.wire import pack_backup, unpack_backup
from claviger.ocikms.backups import wire as oci_backups
from claviger.ocikms.backups.sealed_file import KEY, head_of
from claviger.ocikms.crypto import wire as oci_ciphertexts
from claviger.ocikms.crypto.operations import bound as oci_bound
from claviger.sealing import wrapping
from claviger.sealing.records import DataKeyRow, RootKeyRow

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
KINDS = {
    "associated-data",
    "sealed",
    "root-key-id",
    "key-file",
    "passphrase-file",
    "check-value",
    "wrapped-data-key",
    "backup",
    "oci-backup",
    "oci-ciphertext",
    "stream",
    "archive",
    "audit-tree",
    "audit-checkpoint",
}


def _vectors() -> list[tuple[str, dict[str, str]]]:
    found = re.findall(r"^```vector (\S+)\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    return [(kind, _fields(body)) for kind, body in found]


def _fields(body: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in body.splitlines():
        if line.startswith("  "):
            fields[name] += line[2:] + "\n"
        elif not line:
            fields[name] += "\n"
        else:
            name, _, value = line.partition(":")
            fields[name] = "" if value.strip() == "|" else value.strip()
    return fields


def _of(kind: str) -> list[dict[str, str]]:
    return [fields for name, fields in _vectors() if name == kind]


def _bound(text: str) -> bytes:
    """Written anew after the document's table, not with the code under test."""
    bound = b"claviger\x01"
    for field in json.loads(text):
        if isinstance(field, dict):
            tag, content = b"b", bytes.fromhex(field["hex"])
        elif isinstance(field, str):
            tag, content = b"s", field.encode()
        else:
            tag, content = b"i", struct.pack(">q", field)
        bound += tag + struct.pack(">I", len(content)) + content
    return bound


def _ours(text: str) -> bytes:
    fields = [bytes.fromhex(f["hex"]) if isinstance(f, dict) else f for f in json.loads(text)]
    return associated_data(*fields)


def _sealed(key: str, nonce: str, plaintext: bytes, bound_to: bytes) -> bytes:
    raw_nonce = bytes.fromhex(nonce)
    return b"\x01" + raw_nonce + AESGCM(bytes.fromhex(key)).encrypt(raw_nonce, plaintext, bound_to)


def test_every_kind_of_vector_is_there() -> None:
    assert {kind for kind, _ in _vectors()} == KINDS


@pytest.mark.parametrize("vector", _of("associated-data"))
def test_associated_data(vector: dict[str, str]) -> None:
    assert _bound(vector["fields"]).hex() == vector["bytes"]
    assert _ours(vector["fields"]).hex() == vector["bytes"]


@pytest.mark.parametrize("vector", _of("sealed"))
def test_sealed(vector: dict[str, str]) -> None:
    plaintext = vector["plaintext"].encode()
    assert _sealed(vector["key"], vector["nonce"], plaintext, _bound(vector["bound_to"])).hex() == vector["bytes"]
    opened = SealingKey(bytes.fromhex(vector["key"])).open(bytes.fromhex(vector["bytes"]), _ours(vector["bound_to"]))
    assert opened == plaintext
    _, *place = json.loads(vector["bound_to"])
    assert binding(*place) == _bound(vector["bound_to"])


@pytest.mark.parametrize("vector", _of("backup"))
def test_backup(vector: dict[str, str]) -> None:
    mark = vector["mark"].encode()
    head = b"claviger-secret-backup-1\0" + bytes([len(mark)]) + mark
    bound_to = b"claviger\x01" + b"s\0\0\0\x0fkeyvault-backup" + b"b" + struct.pack(">I", len(head)) + head
    sealed = _sealed(vector["key"], vector["nonce"], bytes.fromhex(vector["packed"]), bound_to)
    assert (head + sealed).hex() == vector["bytes"]
    assert head.startswith(MAGIC)
    contents = unpack_backup(bytes.fromhex(vector["packed"]))
    assert contents.name == vector["name"]
    assert (contents.versions[0].version, contents.versions[0].value) == (
        vector["version"],
        vector["value"].encode(),
    )
    assert pack_backup(contents).hex() == vector["packed"]


@pytest.mark.parametrize("vector", _of("oci-backup"))
def test_oci_backup(vector: dict[str, str]) -> None:
    mark = vector["mark"].encode()
    head = b"claviger-oci-backup-1\0K" + bytes([len(mark)]) + mark
    bound_to = _bound(json.dumps(["oci-backup", {"hex": head.hex()}]))
    sealed = _sealed(vector["key"], vector["nonce"], bytes.fromhex(vector["packed"]), bound_to)
    assert (head + sealed).hex() == vector["bytes"]
    assert head == head_of(KEY, vector["mark"])
    contents = oci_backups.unpack(bytes.fromhex(vector["packed"]))
    assert contents is not None
    assert contents.keys[0].versions[0].material == vector["material"].encode()
    assert oci_backups.pack(contents).hex() == vector["packed"]


@pytest.mark.parametrize("vector", _of("oci-ciphertext"))
def test_oci_ciphertext(vector: dict[str, str]) -> None:
    key_id, version_id, data = vector["key_id"], vector["version_id"], json.loads(vector["data"])
    bound_to = _bound(json.dumps(["oci-ciphertext", key_id, version_id, "a", data["a"], "b", data["b"]]))
    nonce, key = bytes.fromhex(vector["nonce"]), bytes.fromhex(vector["key"])
    encrypted = nonce + AESGCM(key).encrypt(nonce, vector["plaintext"].encode(), bound_to)
    whole = bytes([1, len(version_id)]) + version_id.encode() + encrypted
    assert whole.hex() == vector["bytes"]
    assert oci_ciphertexts.unpacked(whole) == (version_id, encrypted)
    assert oci_ciphertexts.packed(version_id, encrypted) == whole
    assert AesKey(key).decrypt(encrypted, oci_bound(key_id, version_id, data)) == vector["plaintext"].encode()


def _stream(key: bytes, content: bytes, bound_to: bytes) -> bytes:
    """Written anew after the document."""
    chunks = [content[at : at + 65_536] for at in range(0, len(content), 65_536)] or [b""]
    nonces = [at.to_bytes(11, "big") + bytes([at == len(chunks) - 1]) for at in range(len(chunks))]
    return b"".join(AESGCM(key).encrypt(nonce, chunk, bound_to) for nonce, chunk in zip(nonces, chunks, strict=True))


@pytest.mark.parametrize("vector", _of("stream"))
def test_stream(vector: dict[str, str]) -> None:
    key, content = bytes.fromhex(vector["key"]), vector["plaintext"].encode() * int(vector["times"])
    sealed = _stream(key, content, _bound(vector["bound_to"]))
    if "bytes" in vector:
        assert sealed.hex() == vector["bytes"]
    else:
        assert (len(sealed), hashlib.sha256(sealed).hexdigest()) == (int(vector["length"]), vector["sha256"])
    ours = io.BytesIO()
    writer = StreamWriter(key, _ours(vector["bound_to"]), ours)
    writer.write(content)
    writer.close()
    assert ours.getvalue() == sealed
    assert StreamReader(key, _ours(vector["bound_to"]), io.BytesIO(sealed)).read(len(content) + 1) == content


@pytest.mark.parametrize("vector", _of("archive"))
async def test_archive(vector: dict[str, str]) -> None:
    key, salt = bytes.fromhex(vector["key"]), bytes.fromhex(vector["salt"])
    bare = b"claviger-vault-archive-1\0P\x0f\x08\x03" + salt
    from_passphrase = Scrypt(salt=salt, length=32, n=1 << 15, r=8, p=3).derive(vector["passphrase"].encode())
    nonce = bytes.fromhex(vector["nonce"])
    bound_to = _bound(json.dumps(["keyvault-archive-key", {"hex": bare.hex()}]))
    head = bare + b"\x01" + nonce + AESGCM(from_passphrase).encrypt(nonce, key, bound_to)
    stream_bound_to = _bound(json.dumps(["keyvault-archive", {"hex": head.hex()}]))
    whole = head + _stream(key, bytes.fromhex(vector["entries"]), stream_bound_to)
    assert whole.hex() == vector["bytes"]

    async def no_key(*_: object) -> bytes | None:
        return None

    archive = await open_archive(
        io.BytesIO(whole),
        passphrase=lambda: Sensitive(vector["passphrase"]),
        server_key=no_key,
    )
    entries = list(archive.entries())
    assert b"".join(struct.pack(">I", len(pack(each))) + pack(each) for each in entries).hex() == vector["entries"]
    assert [each.value.decode() for each in entries if isinstance(each, ArchivedVersion)] == [vector["value"]]


@pytest.mark.parametrize("vector", _of("root-key-id"))
def test_root_key_id(vector: dict[str, str]) -> None:
    assert root_key_id(bytes.fromhex(vector["key"])) == vector["id"]


@pytest.mark.parametrize("vector", _of("key-file"))
def test_key_file(vector: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / vector["path"]
    path.write_text(vector["bytes"])
    path.chmod(0o600)
    (read,) = KeyFile(path).read()
    _is_the_same_key(read.key, vector["key"])
    KeyFile(path).next_after(read.id, now=1790000001.5)
    lines = path.read_text().split("\n")
    assert "\n".join([*lines[:3], ""]) == vector["bytes"]
    assert re.fullmatch(r"[0-9a-f]{32} 1790000001 [A-Za-z0-9+/]{43}=", lines[3])
    assert lines[4:] == [""]


@pytest.mark.parametrize("vector", _of("passphrase-file"))
def test_passphrase_file(vector: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / vector["path"]
    path.write_text(vector["bytes"])
    source = PassphraseFile(path, Sensitive(vector["passphrase"]))
    (read,) = source.read()
    _is_the_same_key(read.key, vector["key"])
    source.next_after(read.id, now=1790000001.5)
    lines = path.read_text().split("\n")
    assert "\n".join([*lines[:3], ""]) == vector["bytes"]
    assert re.fullmatch(r"[0-9a-f]{32} 1790000001 scrypt 15 8 3 [A-Za-z0-9+/]{22}== [A-Za-z0-9+/]{82}==", lines[3])


def _is_the_same_key(read: SealingKey, key: str) -> None:
    assert read.open(SealingKey(bytes.fromhex(key)).seal(b"x", b""), b"") == b"x"


@pytest.mark.parametrize("vector", _of("check-value"))
def test_check_value(vector: dict[str, str]) -> None:
    root = root_key_of(bytes.fromhex(vector["key"]), 0)
    bound_to = _bound(json.dumps(["root-key-check", root.id]))
    sealed = _sealed(vector["key"], vector["nonce"], b"claviger root key check", bound_to)
    assert sealed.hex() == vector["bytes"]
    assert wrapping.checked(root, RootKeyRow(root.id, "current", sealed)) is root


@pytest.mark.parametrize("vector", _of("wrapped-data-key"))
def test_wrapped_data_key(vector: dict[str, str]) -> None:
    root = root_key_of(bytes.fromhex(vector["root_key"]), 0)
    data_key = bytes.fromhex(vector["data_key"])
    bound_to = _bound(json.dumps(["data-key", int(vector["id"]), vector["scope"], root.id]))
    sealed = _sealed(vector["root_key"], vector["nonce"], data_key, bound_to)
    assert sealed.hex() == vector["bytes"]
    assert len(sealed) == 61
    assert wrapping.unwrapped(DataKeyRow(int(vector["id"]), vector["scope"], root.id, sealed), root) == data_key


@pytest.mark.parametrize("vector", _of("audit-tree"))
def test_audit_tree(vector: dict[str, str]) -> None:
    first, second = vector["first"].encode(), vector["second"].encode()
    leaves = [hashlib.sha256(b"\0" + body).digest() for body in (first, second)]
    root = hashlib.sha256(b"\1" + leaves[0] + leaves[1]).digest()
    assert vector["hashes"] == f"{leaves[0].hex()} {(leaves[1] + root).hex()}"
    frontier = Frontier()
    ours = [frontier.append(leaf_hash(body)).hex() for body in (first, second)]
    assert " ".join(ours) == vector["hashes"]
    for body in (first, second):
        assert encoded(decoded(body)) == body
        fields = json.loads(body)
        assert json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == body


@pytest.mark.parametrize("vector", _of("audit-checkpoint"))
def test_audit_checkpoint(vector: dict[str, str]) -> None:
    seed = bytes.fromhex(vector["seed"])
    key = Ed25519PrivateKey.from_private_bytes(seed)
    name, marked = vector["public"].split("+", 1)
    typed = b"\x01" + key.public_key().public_bytes_raw()
    key_hash = hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4]
    assert marked == f"{key_hash.hex()}+{base64.b64encode(typed).decode()}"
    root = base64.b64encode(bytes.fromhex(vector["root"])).decode()
    text = f"{name}\n2\n{root}\ntime 1790000002\n"
    signature = base64.b64encode(key_hash + key.sign(text.encode())).decode()
    assert vector["bytes"] == f"{text}\n\u2014 {name} {signature}\n"
    signer = Signer(name, Sensitive(seed))
    assert signer.signed(text) == vector["bytes"]
    assert checkpoint_of(PublicKey.parse(vector["public"]).opened(vector["bytes"])).size == 2
