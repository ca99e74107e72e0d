"""What is stored of secrets, and the SQL for it. A `Version` row carries the sealed value, never the plain one."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from claviger.keyvault.secrets.rules import State, state_of
from claviger.store.contract import Row, Store, Tx

_VERSION_COLUMNS = (
    "v.id, v.version, v.enabled, v.not_before, v.expires_at, v.created_at, v.updated_at, v.content_type, v.tags, "
    "v.data_key_id"
)
_SECRET_COLUMNS = "s.id, s.name, s.latest_id, s.deleted, s.deleted_at, s.purge_at, s.settles_at"
_LATEST = "kv_secrets s JOIN kv_secret_versions v ON v.id = s.latest_id"
_LIVE = "s.deleted = 0 AND (s.settles_at IS NULL OR s.settles_at <= ?)"
_SAVEABLE = "s.deleted = 1 AND (s.settles_at IS NULL OR s.settles_at <= ?) AND s.purge_at > ?"

_GET_LATEST = (
    f"SELECT {_VERSION_COLUMNS}, v.sealed, s.name, s.settles_at FROM {_LATEST} "
    "WHERE s.vault_id = ? AND s.name_key = ? AND s.deleted = 0"
)
_GET_VERSION = (
    f"SELECT {_VERSION_COLUMNS}, v.sealed, s.name, s.settles_at "
    "FROM kv_secrets s JOIN kv_secret_versions v ON v.secret_id = s.id AND v.version = ? "
    "WHERE s.vault_id = ? AND s.name_key = ? AND s.deleted = 0"
)


class Version(msgspec.Struct, frozen=True):
    """One version of a secret without its value. Times are epoch seconds; `tags` is JSON, as it was sent."""

    id: int
    version: str
    enabled: bool
    not_before: int | None
    expires_at: int | None
    created_at: int
    updated_at: int
    content_type: str | None
    tags: str | None
    data_key_id: int


class SealedVersion(msgspec.Struct, frozen=True):
    """A version with its sealed value, the name as first supplied, and the end of a recovery window, if one is open."""

    version: Version
    sealed: bytes
    name: str
    settles_at: int | None


class Secret(msgspec.Struct, frozen=True):
    """A name in a vault and where it stands. `id` 0 means that nothing is stored under it."""

    id: int
    name: str
    latest_id: int
    state: State
    deleted_at: int | None = None
    purge_at: int | None = None


class Listed(msgspec.Struct, frozen=True):
    """A line of a listing: the secret's name and deletion dates beside one version."""

    name: str
    version: Version
    deleted_at: int | None = None
    purge_at: int | None = None


def _version(row: Row) -> Version:
    return Version(row[0], row[1], row[2] != 0, *row[3:10])


def _sealed(row: Row | None) -> SealedVersion | None:
    return None if row is None else SealedVersion(_version(row), bytes(row[10]), row[11], row[12])


async def latest(store: Store, vault_id: int, name_key: str) -> SealedVersion | None:
    """The latest version of a secret that is not deleted. The one read of the hot path."""
    return _sealed(await store.read_one(_GET_LATEST, vault_id, name_key))


async def by_version(store: Store, vault_id: int, name_key: str, version: str) -> SealedVersion | None:
    """One version of a secret that is not deleted."""
    return _sealed(await store.read_one(_GET_VERSION, version, vault_id, name_key))


def sealed_now(store: Store, vault_id: int, name_key: str, version: str | None) -> SealedVersion | None:
    """A version, or the latest, of a secret that is not deleted; None also where the store cannot tell at once."""
    if version is None:
        rows = store.read_now(_GET_LATEST, vault_id, name_key)
    else:
        rows = store.read_now(_GET_VERSION, version.lower(), vault_id, name_key)
    return _sealed(rows[0]) if rows else None


async def deleted(store: Store, vault_id: int, name_key: str, now: float) -> Listed | None:
    """The latest version of a secret that is deleted and can still be saved."""
    row = await store.read_one(
        f"SELECT {_VERSION_COLUMNS}, s.name, s.deleted_at, s.purge_at FROM {_LATEST} "
        f"WHERE s.vault_id = ? AND s.name_key = ? AND {_SAVEABLE}",
        vault_id,
        name_key,
        int(now),
        int(now),
    )
    return None if row is None else Listed(row[10], _version(row), row[11], row[12])


async def page_live(store: Store, vault_id: int, after: str, count: int, now: float) -> list[Listed]:
    """Up to `count` secrets whose compared name is past `after`, by name."""
    rows = await store.read(
        f"SELECT {_VERSION_COLUMNS}, s.name FROM {_LATEST} "
        f"WHERE s.vault_id = ? AND s.name_key > ? AND {_LIVE} ORDER BY s.name_key LIMIT ?",
        vault_id,
        after,
        int(now),
        count,
    )
    return [Listed(row[10], _version(row)) for row in rows]


async def page_deleted(store: Store, vault_id: int, after: str, count: int, now: float) -> list[Listed]:
    """Up to `count` deleted secrets that can still be saved, by name."""
    rows = await store.read(
        f"SELECT {_VERSION_COLUMNS}, s.name, s.deleted_at, s.purge_at FROM {_LATEST} "
        f"WHERE s.vault_id = ? AND s.name_key > ? AND {_SAVEABLE} ORDER BY s.name_key LIMIT ?",
        vault_id,
        after,
        int(now),
        int(now),
        count,
    )
    return [Listed(row[10], _version(row), row[11], row[12]) for row in rows]


async def page_versions(store: Store, vault_id: int, name_key: str, after: str, count: int, now: float) -> list[Listed]:
    """Up to `count` versions of a live secret, by version id as the real service orders them."""
    rows = await store.read(
        f"SELECT {_VERSION_COLUMNS}, s.name FROM kv_secrets s JOIN kv_secret_versions v ON v.secret_id = s.id "
        f"WHERE s.vault_id = ? AND s.name_key = ? AND v.version > ? AND {_LIVE} ORDER BY v.version LIMIT ?",
        vault_id,
        name_key,
        after,
        int(now),
        count,
    )
    return [Listed(row[10], _version(row)) for row in rows]


async def all_versions(store: Store, vault_id: int, name_key: str, most: int, now: float) -> list[SealedVersion]:
    """Up to `most` versions of a live secret with their sealed values, oldest first."""
    rows = await store.read(
        f"SELECT {_VERSION_COLUMNS}, v.sealed, s.name, s.settles_at "
        "FROM kv_secrets s JOIN kv_secret_versions v ON v.secret_id = s.id "
        f"WHERE s.vault_id = ? AND s.name_key = ? AND {_LIVE} ORDER BY v.id LIMIT ?",
        vault_id,
        name_key,
        int(now),
        most,
    )
    return [SealedVersion(_version(row), bytes(row[10]), row[11], row[12]) for row in rows]


def find(tx: Tx, vault_id: int, name: str, name_key: str, now: float) -> Secret:
    """The secret of that name for a change to decide on. One whose retention has ended is purged on the way."""
    row = tx.fetch_one(
        f"SELECT {_SECRET_COLUMNS} FROM kv_secrets s WHERE s.vault_id = ? AND s.name_key = ?",
        vault_id,
        name_key,
    )
    if row is None:
        return Secret(0, name, 0, State.ABSENT)
    state = state_of(row[3] != 0, row[6], row[5], now)
    if state is State.ABSENT:
        remove(tx, row[0])
        return Secret(0, name, 0, State.ABSENT)
    return Secret(row[0], row[1], row[2], state, row[4], row[5])


def add_secret(tx: Tx, vault_id: int, name: str, name_key: str) -> int:
    """A new secret without a version yet; its id."""
    return tx.insert(
        "INSERT INTO kv_secrets (vault_id, name_key, name) VALUES (?, ?, ?) RETURNING id",
        vault_id,
        name_key,
        name,
    )


def add_version(tx: Tx, secret_id: int, version: Version, sealed: bytes) -> int:
    """Stores a version; its id. Does not make it the latest."""
    return tx.insert(
        "INSERT INTO kv_secret_versions (secret_id, version, enabled, not_before, expires_at, created_at, updated_at, "
        "content_type, tags, data_key_id, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        secret_id,
        version.version,
        int(version.enabled),
        version.not_before,
        version.expires_at,
        version.created_at,
        version.updated_at,
        version.content_type,
        version.tags,
        version.data_key_id,
        sealed,
    )


def set_latest(tx: Tx, secret_id: int, version_id: int) -> None:
    """Makes a version the one that an unversioned get answers."""
    tx.execute("UPDATE kv_secrets SET latest_id = ? WHERE id = ?", version_id, secret_id)


def version_for_change(tx: Tx, secret: Secret, version: str | None) -> Version | None:
    """The named version of a secret, or its latest."""
    if version is None:
        row = tx.fetch_one(f"SELECT {_VERSION_COLUMNS} FROM kv_secret_versions v WHERE v.id = ?", secret.latest_id)
    else:
        row = tx.fetch_one(
            f"SELECT {_VERSION_COLUMNS} FROM kv_secret_versions v WHERE v.secret_id = ? AND v.version = ?",
            secret.id,
            version,
        )
    return None if row is None else _version(row)


def update_metadata(tx: Tx, version: Version) -> None:
    """Writes everything of a version that an update may change."""
    tx.execute(
        "UPDATE kv_secret_versions SET enabled = ?, not_before = ?, expires_at = ?, updated_at = ?, content_type = ?, "
        "tags = ? WHERE id = ?",
        int(version.enabled),
        version.not_before,
        version.expires_at,
        version.updated_at,
        version.content_type,
        version.tags,
        version.id,
    )


def mark_deleted(tx: Tx, secret_id: int, deleted_at: int, purge_at: int, settles_at: int | None) -> None:
    """Takes a secret to the deleted side, to be purged at `purge_at`."""
    tx.execute(
        "UPDATE kv_secrets SET deleted = 1, deleted_at = ?, purge_at = ?, settles_at = ? WHERE id = ?",
        deleted_at,
        purge_at,
        settles_at,
        secret_id,
    )


def mark_recovered(tx: Tx, secret_id: int, settles_at: int | None) -> None:
    """Brings a deleted secret back as it was."""
    tx.execute(
        "UPDATE kv_secrets SET deleted = 0, deleted_at = NULL, purge_at = NULL, settles_at = ? WHERE id = ?",
        settles_at,
        secret_id,
    )


def remove(tx: Tx, secret_id: int) -> None:
    """Removes a secret and all its versions for good."""
    tx.execute("DELETE FROM kv_secrets WHERE id = ?", secret_id)


def remove_some(tx: Tx, vault_id: int, most: int) -> int:
    """Removes up to `most` secrets of a vault with all their versions; how many."""
    return tx.execute(
        "DELETE FROM kv_secrets WHERE id IN (SELECT id FROM kv_secrets WHERE vault_id = ? LIMIT ?)", vault_id, most
    )


class Due(NamedTuple):
    """A secret whose retention has ended."""

    id: int
    name: str
    vault: str


def due(tx: Tx, now: float, most: int) -> list[Due]:
    """Up to `most` secrets whose retention has ended, longest due first."""
    rows = tx.fetch(
        "SELECT s.id, s.name, v.name FROM kv_secrets s JOIN kv_vaults v ON v.id = s.vault_id "
        "WHERE s.purge_at IS NOT NULL AND s.purge_at <= ? ORDER BY s.purge_at LIMIT ?",
        int(now),
        most,
    )
    return [Due(*row) for row in rows]


async def next_due(store: Store) -> int | None:
    """When the next retention ends; None where nothing is deleted."""
    row = await store.read_one("SELECT MIN(purge_at) FROM kv_secrets WHERE purge_at IS NOT NULL")
    return None if row is None else row[0]


async def backup_key(store: Store, uid: str) -> int | None:
    """The data key that sealed backups of that mark."""
    row = await store.read_one("SELECT data_key_id FROM kv_backup_keys WHERE uid = ?", uid)
    return None if row is None else row[0]


async def backup_key_uid(store: Store, data_key_id: int) -> str | None:
    """The mark under which backups name a data key."""
    row = await store.read_one("SELECT uid FROM kv_backup_keys WHERE data_key_id = ?", data_key_id)
    return None if row is None else row[0]


def add_backup_key(tx: Tx, uid: str, data_key_id: int, now: float) -> str:
    """Notes a data key as one that seals backups, and so keeps it for good; its mark, the older one if there is one."""
    row = tx.fetch_one("SELECT uid FROM kv_backup_keys WHERE data_key_id = ?", data_key_id)
    if row is not None:
        return str(row[0])
    tx.execute(
        "INSERT INTO kv_backup_keys (uid, data_key_id, created_at) VALUES (?, ?, ?)",
        uid,
        data_key_id,
        int(now),
    )
    return uid


def sealed_under(tx: Tx, data_key_id: int, most: int) -> list[tuple[int, int, str, str, bytes]]:
    """Up to `most` versions sealed under a data key: (id, vault id, compared name, version, sealed)."""
    rows = tx.fetch(
        "SELECT v.id, s.vault_id, s.name_key, v.version, v.sealed FROM kv_secret_versions v "
        "JOIN kv_secrets s ON s.id = v.secret_id WHERE v.data_key_id = ? ORDER BY v.id LIMIT ?",
        data_key_id,
        most,
    )
    return [(row[0], row[1], row[2], row[3], bytes(row[4])) for row in rows]


def replace_sealed(tx: Tx, version_id: int, data_key_id: int, sealed: bytes) -> None:
    """Stores a value anew under another data key."""
    tx.execute(
        "UPDATE kv_secret_versions SET data_key_id = ?, sealed = ? WHERE id = ?",
        data_key_id,
        sealed,
        version_id,
    )
