"""Backups leave the server and come back, whole or not at all (Key Vault contract §4, backup and restore)."""

from __future__ import annotations

import random
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.server import RunningServer
from tests.serving import Estate
from tests.vaults import VaultClient, accepted, from_unpadded, name_of, refused, spare_name, unpadded, version_of

CORRUPT = r"Backup blob contains invalid or corrupt version\."
FOREIGN = r"Cannot decrypt backup blob\."
VALUE = "backed up 4711"


@pytest.fixture
def blob(vault: VaultClient, name: str) -> str:
    """A backup of a secret of three versions that exists no more."""
    vault.put(name, VALUE, contentType="text/plain", tags={"a": "b"})
    vault.put(name, "", tags={})
    vault.put(name, "third", attributes={"enabled": True, "nbf": 1, "exp": 2})
    blob = vault.backup(name)
    vault.delete(name)
    vault.purge(name)
    return blob


def test_a_blob_is_unpadded_base64url_and_shows_nothing(blob: str):
    assert re.fullmatch("[A-Za-z0-9_-]+", blob)
    raw = from_unpadded(blob)
    assert VALUE.encode() not in raw
    assert b"text/plain" not in raw


def test_a_restored_secret_is_the_same_to_the_last_field(vault: VaultClient, name: str):
    vault.put(name, "one", contentType="text/plain", tags={"b": "1", "a": "2"})
    vault.put(name, "two", attributes={"enabled": False})
    vault.put(name, "three", tags={}, attributes={"nbf": 10, "exp": 20})
    before = vault.versions(name), vault.get(name)
    blob = vault.backup(name)
    vault.delete(name)
    vault.purge(name)
    restored = vault.restore(blob)
    assert "value" not in restored
    assert restored["id"] == before[1]["id"]
    assert (vault.versions(name), vault.get(name)) == before


def test_a_backup_restores_into_another_vault_with_its_own_recovery_level(
    estate: Estate, vault: VaultClient, name: str
):
    made = vault.put(name, "moved")
    other = estate.shared_vault("--retention-days", "7")
    restored = other.restore(vault.backup(name))
    assert restored["id"] == made["id"].replace(vault.url, other.url)
    assert restored["attributes"]["recoveryLevel"] == "CustomizedRecoverable+Purgeable"
    assert restored["attributes"]["recoverableDays"] == 7
    assert restored["attributes"]["created"] == made["attributes"]["created"]
    assert other.get(name)["value"] == "moved"
    assert vault.get(name)["value"] == "moved"


def test_a_blob_restores_as_often_as_there_is_room(vault: VaultClient, name: str, blob: str):
    for _ in range(3):
        restored = vault.restore(blob)
        assert len(vault.versions(name)) == 3
        vault.delete(name)
        vault.purge(name)
        assert name_of(restored) == name


def test_a_restore_over_a_name_that_is_taken_changes_nothing(vault: VaultClient, name: str, blob: str):
    present = vault.put(name.upper(), "present")
    newest = rf"There was a conflict restoring the secret '.*{name}/[0-9a-f]{{32}}'\. .*"
    refused(vault.ask("POST", "/secrets/restore", {"value": blob}), 409, "Conflict", newest)
    assert vault.versions(name) == [_as_item(present)]
    gone = vault.delete(name)
    refused(vault.ask("POST", "/secrets/restore", {"value": blob}), 409, "Conflict", newest)
    assert vault.deleted(name) == gone
    vault.recover(name)
    assert vault.get(name)["value"] == "present"


def _as_item(bundle: dict[str, object]) -> dict[str, object]:
    return {field: value for field, value in bundle.items() if field != "value"}


def test_a_blob_with_padding_is_taken_too(vault: VaultClient, name: str, blob: str):
    assert name_of(vault.restore(blob + "=" * (-len(blob) % 4))) == name


def test_a_secret_of_more_than_500_versions_is_not_backed_up(vault: VaultClient, name: str):
    for _ in range(500):
        vault.put(name, "v")
    blob = vault.backup(name)
    vault.put(name, "one too many")
    refused(vault.ask("POST", f"/secrets/{name}/backup"), 400, "BadParameter")
    vault.delete(name)
    vault.purge(name)
    vault.restore(blob)
    assert len(vault.versions(name)) == 500


@pytest.mark.parametrize(
    "text",
    ["", "A", "AAAA", "not base64url!", "ä", "....", "A" * 10_000, "=", "\0", "{}", " "],
    ids=ascii,
)
def test_what_is_no_blob_is_refused(vault: VaultClient, text: str):
    refused(vault.ask("POST", "/secrets/restore", {"value": text}), 400, "Malformed backup blob", CORRUPT)


def test_no_truncated_blob_restores(vault: VaultClient, name: str, blob: str):
    raw = from_unpadded(blob)
    for length in sorted({*range(90), *range(0, len(raw), 7), len(raw) - 1}):
        _refuses(vault, unpadded(raw[:length]))
    assert vault.versions(name) == []
    assert name_of(vault.restore(blob)) == name


def test_no_blob_with_a_flipped_bit_restores(vault: VaultClient, name: str, blob: str, seed: int):
    raw = bytearray(from_unpadded(blob))
    chance = random.Random(seed)
    places = [*range(100), *(chance.randrange(len(raw)) for _ in range(100))]
    for place in places:
        bit = 1 << chance.randrange(8)
        raw[place] ^= bit
        answer = vault.ask("POST", "/secrets/restore", {"value": unpadded(bytes(raw))})
        raw[place] ^= bit
        assert answer.status_code == 400, f"byte {place}, bit {bit}, seed {seed}: {answer.text}"
    assert vault.versions(name) == []


def test_a_blob_with_something_after_it_is_refused(vault: VaultClient, blob: str):
    _refuses(vault, unpadded(from_unpadded(blob) + b"\0"))
    _refuses(vault, blob + "AAAA")


def test_a_blob_of_the_real_service_is_foreign_here(vault: VaultClient):
    marker = b"AzureKeyVaultSecretBackupV1.microsoft.com"
    _refuses(vault, unpadded(bytes([len(marker)]) + marker + b"eyJhbGciOiJSU0EtT0FFUC0yNTYifQ.AAAA.AAAA.AAAA.AAAA"))


def _refuses(vault: VaultClient, blob: str) -> None:
    answer = vault.ask("POST", "/secrets/restore", {"value": blob})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    told = (error["code"], error["message"])
    assert told in [
        ("Malformed backup blob", "Backup blob contains invalid or corrupt version."),
        ("BadParameter", "Cannot decrypt backup blob."),
    ]


def test_the_backup_of_another_server_does_not_open(vault: VaultClient, tmp_path: Path):
    stranger = RunningServer(tmp_path)
    stranger.start()
    try:
        theirs = Estate(stranger).make_vault()
        name = spare_name("foreign")
        theirs.put(name, "theirs")
        blob = theirs.backup(name)
        refused(vault.ask("POST", "/secrets/restore", {"value": blob}), 400, "BadParameter", FOREIGN)
        assert vault.versions(name) == []
    finally:
        stranger.kill()


def test_a_backup_of_the_largest_secret_restores(vault: VaultClient, name: str):
    values = [letter * 25_600 for letter in "abcdefgh"]
    made = [vault.put(name, value, tags={"k" * 512: "\x01" * 512}) for value in values]
    blob = vault.backup(name)
    vault.delete(name)
    vault.purge(name)
    vault.restore(blob)
    for bundle, value in zip(made, values, strict=True):
        shown = accepted(vault.ask("GET", f"/secrets/{name}/{version_of(bundle)}"))
        assert shown["value"] == value


def test_of_many_restores_at_once_one_wins(vault: VaultClient, name: str, blob: str):
    def restore(_: int) -> int:
        return vault.ask("POST", "/secrets/restore", {"value": blob}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(restore, range(8))) == [200] + [409] * 7
    assert len(vault.versions(name)) == 3
