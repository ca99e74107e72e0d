"""SQL for walking a whole vault, for looking up what an import meets, and for noting that one is under way."""

from __future__ import annotations

import msgspec

from claviger.keyvault.secrets.records import Version
from claviger.store.contract import Row, Store, Tx

_SECRET_COLUMNS = "s.id, s.name, s.name_key, s.deleted, s.deleted_at, s.purge_at"
_VERSION_COLUMNS = (
    "v.id, v.version, v.enabled, v.not_before, v.expires_at, v.created_at, v.updated_at, v.content_type, v.tags, "
    "v.data_key_id"
)
_NOTE = "keyvault_import:"


class StoredSecret(msgspec.Struct, frozen=True):
    """A secret in whatever state, past its purge date too."""

    id: int
    name: str
    name_key: str
    deleted: bool
    deleted_at: int | None
    purge_at: int | None


class StoredVersion(msgspec.Struct, frozen=True):
    """A version with the secret it belongs to, and its value, sealed."""

    secret: StoredSecret
    version: Version
    sealed: bytes


async def page_all(store: Store, vault_id: int, after: tuple[str, int], count: int) -> list[StoredVersion]:
    """Up to `count` versions of all secrets of a vault, by compared name and then oldest first.

    `after` is the compared name and the version's row id of the last one had. Ids are picked before values are read,
    so a page costs the same in a secret of a hundred thousand versions.
    """
    name_key, version_id = after
    rows = await store.read(
        f"SELECT {_SECRET_COLUMNS}, {_VERSION_COLUMNS}, v.sealed FROM ("
        "SELECT v.id AS picked FROM kv_secrets s JOIN kv_secret_versions v ON v.secret_id = s.id "
        "WHERE s.vault_id = ? AND s.name_key >= ? AND (s.name_key > ? OR v.id > ?) ORDER BY s.name_key, v.id LIMIT ?"
        ") p JOIN kv_secret_versions v ON v.id = p.picked JOIN kv_secrets s ON s.id = v.secret_id "
        "ORDER BY s.name_key, v.id",
        vault_id,
        name_key,
        name_key,
        version_id,
        count,
    )
    return [_stored(row) for row in rows]


async def count_versions(store: Store, vault_id: int, name_key: str) -> tuple[StoredSecret, int] | None:
    """The secret of that name and how many versions it has, or None."""
    row = await store.read_one(
        f"SELECT {_SECRET_COLUMNS}, (SELECT COUNT(*) FROM kv_secret_versions v WHERE v.secret_id = s.id) "
        "FROM kv_secrets s WHERE s.vault_id = ? AND s.name_key = ?",
        vault_id,
        name_key,
    )
    return None if row is None else (_secret(row), int(row[6]))


async def versions_among(store: Store, secret_id: int, versions: list[str]) -> list[tuple[str, int, bytes]]:
    """Those of the named versions that a secret has: (version, data key id, sealed)."""
    marks = ", ".join("?" * len(versions))
    rows = await store.read(
        f"SELECT version, data_key_id, sealed FROM kv_secret_versions WHERE secret_id = ? AND version IN ({marks})",
        secret_id,
        *versions,
    )
    return [(row[0], row[1], bytes(row[2])) for row in rows]


def versions_of(tx: Tx, secret_id: int) -> int:
    """How many versions a secret has."""
    row = tx.fetch_one("SELECT COUNT(*) FROM kv_secret_versions WHERE secret_id = ?", secret_id)
    return 0 if row is None else int(row[0])


def known_versions(tx: Tx, secret_id: int, versions: list[str]) -> set[str]:
    """Those of the named versions that a secret has."""
    marks = ", ".join("?" * len(versions))
    rows = tx.fetch(
        f"SELECT version FROM kv_secret_versions WHERE secret_id = ? AND version IN ({marks})", secret_id, *versions
    )
    return {row[0] for row in rows}


def add_deleted_state(tx: Tx, secret_id: int, deleted_at: int, purge_at: int) -> None:
    """Takes a secret that was just made to the deleted side."""
    tx.execute(
        "UPDATE kv_secrets SET deleted = 1, deleted_at = ?, purge_at = ? WHERE id = ?", deleted_at, purge_at, secret_id
    )


def note_import(tx: Tx, vault_id: int, began_at: int) -> None:
    """Notes that an import into a vault is under way, until `end_import`."""
    tx.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        f"{_NOTE}{vault_id}",
        str(began_at),
    )


def end_import(tx: Tx, vault_id: int) -> None:
    """Forgets the note."""
    tx.execute("DELETE FROM meta WHERE key = ?", f"{_NOTE}{vault_id}")


async def unfinished_imports(store: Store) -> list[tuple[str, int]]:
    """Vaults into which an import began and did not end, with the second in which it began."""
    rows = await store.read(
        "SELECT v.name, m.value FROM meta m JOIN kv_vaults v ON m.key = ? || v.id WHERE v.deleted_at IS NULL "
        "ORDER BY v.name",
        _NOTE,
    )
    return [(row[0], int(row[1])) for row in rows]


def _secret(row: Row) -> StoredSecret:
    return StoredSecret(row[0], row[1], row[2], row[3] != 0, row[4], row[5])


def _stored(row: Row) -> StoredVersion:
    version = Version(row[6], row[7], row[8] != 0, *row[9:16])
    return StoredVersion(_secret(row), version, bytes(row[16]))
