"""Rows of tenants, applications, their secrets and certificates and the signing keys, and the SQL for them.

Whatever changes who may call, or what they may do, calls `bump_revision` in the same transaction: that is how every
process learns that its snapshot is stale.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from claviger.store.contract import Row, Store, Tx
from claviger.store.revisions import Revision

Kind = Literal["application", "managed-identity"]


class Tenant(msgspec.Struct, frozen=True):
    """A directory of applications. `domain` is in lower case and names it as well as its id does."""

    id: str
    name: str
    domain: str
    created_at: int


class Application(msgspec.Struct, frozen=True):
    """A program that may sign in: `app_id` is its client id, `object_id` the principal that rights are given to."""

    id: int
    tenant_id: str
    app_id: str
    object_id: str
    name: str
    kind: Kind
    created_at: int


class Credential(msgspec.Struct, frozen=True):
    """One of an application's secrets, of which only the SHA-256 is kept."""

    id: int
    application_id: int
    sha256: bytes
    created_at: int
    expires_at: int | None


class ApplicationCertificate(msgspec.Struct, frozen=True):
    """A certificate that an application signs in with; `sha1` and `sha256` are thumbprints of `der`, times epoch s."""

    id: int
    application_id: int
    sha1: bytes
    sha256: bytes
    der: bytes
    not_before: int
    not_after: int
    created_at: int


class StoredSigningKey(msgspec.Struct, frozen=True):
    """A signing key as stored; the private key is sealed."""

    kid: str
    state: Literal["current", "previous"]
    data_key_id: int
    sealed: bytes
    created_at: int
    lapses_at: int | None


_SELECT_TENANTS = "SELECT id, name, domain, created_at FROM kv_tenants"
_SELECT_APPLICATIONS = "SELECT id, tenant_id, app_id, object_id, name, kind, created_at FROM kv_applications"
_SELECT_CREDENTIALS = "SELECT id, application_id, sha256, created_at, expires_at FROM kv_application_credentials"
_SELECT_CERTIFICATES = (
    "SELECT id, application_id, sha1, sha256, der, not_before, not_after, created_at FROM kv_application_certificates"
)
_SELECT_KEYS = "SELECT kid, state, data_key_id, sealed, created_at, lapses_at FROM kv_signing_keys"

_REVISION = Revision("directory_revision", "DirectoryRevisionMissing")
revision, revision_now, bump_revision = _REVISION.read, _REVISION.now, _REVISION.bump


async def all_tenants(store: Store) -> list[Tenant]:
    """Every tenant, oldest first."""
    return [Tenant(*row) for row in await store.read(f"{_SELECT_TENANTS} ORDER BY created_at, id")]


def tenants(tx: Tx) -> list[Tenant]:
    """Every tenant, oldest first, inside a change."""
    return [Tenant(*row) for row in tx.fetch(f"{_SELECT_TENANTS} ORDER BY created_at, id")]


def find_tenant(tx: Tx, id_domain_or_name: str) -> Tenant | None:
    """The tenant of this id, domain or name, in any case."""
    word = id_domain_or_name.lower()
    row = tx.fetch_one(f"{_SELECT_TENANTS} WHERE id = ? OR domain = ? OR lower(name) = ?", word, word, word)
    return None if row is None else Tenant(*row)


def put_tenant(tx: Tx, tenant: Tenant) -> None:
    """Stores a tenant, or its new name and domain."""
    tx.execute(
        "INSERT INTO kv_tenants (id, name, domain, created_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET name = excluded.name, domain = excluded.domain",
        tenant.id,
        tenant.name,
        tenant.domain,
        tenant.created_at,
    )


async def all_applications(store: Store) -> list[Application]:
    """Every application, by name."""
    return [Application(*row) for row in await store.read(f"{_SELECT_APPLICATIONS} ORDER BY lower(name)")]


async def application_by_client_id(store: Store, app_id: str) -> Application | None:
    """The application that signs in under this client id, whatever a client may call itself."""
    if "\0" in app_id:  # PostgreSQL takes none in a text
        return None
    row = await store.read_one(f"{_SELECT_APPLICATIONS} WHERE app_id = ?", app_id.lower())
    return None if row is None else Application(*row)


async def application_by_credential(store: Store, sha256: bytes) -> Application | None:
    """The application that has a credential of this hash."""
    row = await store.read_one(
        f"{_SELECT_APPLICATIONS} WHERE id = (SELECT application_id FROM kv_application_credentials WHERE sha256 = ?)",
        sha256,
    )
    return None if row is None else Application(*row)


async def managed_identities(store: Store, most: int) -> list[Application]:
    """Up to `most` managed identities, oldest first."""
    rows = await store.read(
        f"{_SELECT_APPLICATIONS} WHERE kind = 'managed-identity' ORDER BY created_at, id LIMIT ?", most
    )
    return [Application(*row) for row in rows]


def find_application(tx: Tx, name_or_id: str) -> Application | None:
    """The application of this name, client id or object id, in any case; ids come first."""
    word = name_or_id.lower()
    row = tx.fetch_one(f"{_SELECT_APPLICATIONS} WHERE app_id = ? OR object_id = ?", word, word)
    row = row or tx.fetch_one(f"{_SELECT_APPLICATIONS} WHERE lower(name) = ?", word)
    return None if row is None else Application(*row)


def add_application(tx: Tx, application: Application) -> Application:
    """Stores a new application; the same with the id that it got."""
    application_id = tx.insert(
        "INSERT INTO kv_applications (tenant_id, app_id, object_id, name, kind, created_at) VALUES (?, ?, ?, ?, ?, ?) "
        "RETURNING id",
        application.tenant_id,
        application.app_id,
        application.object_id,
        application.name,
        application.kind,
        application.created_at,
    )
    return msgspec.structs.replace(application, id=application_id)


def remove_application(tx: Tx, application_id: int) -> None:
    """Removes an application with its credentials."""
    tx.execute("DELETE FROM kv_applications WHERE id = ?", application_id)


async def credentials_of(store: Store, application_id: int) -> list[Credential]:
    """The credentials of an application, oldest first."""
    rows = await store.read(f"{_SELECT_CREDENTIALS} WHERE application_id = ? ORDER BY id", application_id)
    return [_credential(row) for row in rows]


def credentials_in(tx: Tx, application_id: int) -> list[Credential]:
    """The same, inside a change."""
    return [_credential(row) for row in tx.fetch(f"{_SELECT_CREDENTIALS} WHERE application_id = ?", application_id)]


def add_credential(tx: Tx, application_id: int, sha256: bytes, created_at: int, expires_at: int | None) -> int:
    """Stores the hash of a new credential; its id."""
    return tx.insert(
        "INSERT INTO kv_application_credentials (application_id, sha256, created_at, expires_at) VALUES (?, ?, ?, ?) "
        "RETURNING id",
        application_id,
        sha256,
        created_at,
        expires_at,
    )


def is_credential_taken(tx: Tx, sha256: bytes) -> bool:
    """Whether any application has a credential of this hash."""
    return tx.fetch_one("SELECT 1 FROM kv_application_credentials WHERE sha256 = ?", sha256) is not None


def remove_credential(tx: Tx, application_id: int, credential_id: int) -> int:
    """Removes one credential; how many there were."""
    return tx.execute(
        "DELETE FROM kv_application_credentials WHERE application_id = ? AND id = ?", application_id, credential_id
    )


async def certificates_of(store: Store, application_id: int) -> list[ApplicationCertificate]:
    """The certificates of an application, oldest first."""
    rows = await store.read(f"{_SELECT_CERTIFICATES} WHERE application_id = ? ORDER BY id", application_id)
    return [_certificate(row) for row in rows]


def certificates_in(tx: Tx, application_id: int) -> list[ApplicationCertificate]:
    """The same, inside a change."""
    rows = tx.fetch(f"{_SELECT_CERTIFICATES} WHERE application_id = ? ORDER BY id", application_id)
    return [_certificate(row) for row in rows]


def add_certificate(tx: Tx, certificate: ApplicationCertificate) -> ApplicationCertificate:
    """Stores a certificate of an application; the same with the id that it got."""
    certificate_id = tx.insert(
        "INSERT INTO kv_application_certificates "
        "(application_id, sha1, sha256, der, not_before, not_after, created_at) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "RETURNING id",
        certificate.application_id,
        certificate.sha1,
        certificate.sha256,
        certificate.der,
        certificate.not_before,
        certificate.not_after,
        certificate.created_at,
    )
    return msgspec.structs.replace(certificate, id=certificate_id)


def remove_certificate(tx: Tx, certificate_id: int) -> None:
    """Removes one certificate."""
    tx.execute("DELETE FROM kv_application_certificates WHERE id = ?", certificate_id)


async def signing_keys(store: Store) -> list[StoredSigningKey]:
    """Every signing key: the current one, then the others, newest first."""
    rows = await store.read(f"{_SELECT_KEYS} ORDER BY state, created_at DESC, kid")
    return [_signing_key(row) for row in rows]


def current_signing_key(tx: Tx) -> StoredSigningKey | None:
    """The key that new tokens are signed with."""
    row = tx.fetch_one(f"{_SELECT_KEYS} WHERE state = 'current'")
    return None if row is None else _signing_key(row)


def add_signing_key(tx: Tx, kid: str, data_key_id: int, sealed: bytes, created_at: int) -> None:
    """Stores a key as the current one."""
    tx.execute(
        "INSERT INTO kv_signing_keys (kid, state, data_key_id, sealed, created_at) VALUES (?, 'current', ?, ?, ?)",
        kid,
        data_key_id,
        sealed,
        created_at,
    )


def step_down_signing_key(tx: Tx, lapses_at: int) -> None:
    """Makes the current key a previous one, to go on verifying until `lapses_at`."""
    tx.execute("UPDATE kv_signing_keys SET state = 'previous', lapses_at = ? WHERE state = 'current'", lapses_at)


def remove_lapsed_signing_keys(tx: Tx, now: int) -> int:
    """Removes previous keys whose tokens have all expired; how many there were."""
    return tx.execute("DELETE FROM kv_signing_keys WHERE state = 'previous' AND lapses_at <= ?", now)


def signing_keys_under(tx: Tx, data_key_id: int, most: int) -> list[StoredSigningKey]:
    """Up to `most` signing keys sealed under a data key."""
    rows = tx.fetch(f"{_SELECT_KEYS} WHERE data_key_id = ? ORDER BY kid LIMIT ?", data_key_id, most)
    return [_signing_key(row) for row in rows]


def replace_sealed(tx: Tx, kid: str, data_key_id: int, sealed: bytes) -> None:
    """Stores a signing key anew under another data key."""
    tx.execute("UPDATE kv_signing_keys SET data_key_id = ?, sealed = ? WHERE kid = ?", data_key_id, sealed, kid)


def meta(tx: Tx, key: str) -> str | None:
    """A fact about the installation."""
    row = tx.fetch_one("SELECT value FROM meta WHERE key = ?", key)
    return None if row is None else str(row[0])


async def read_meta(store: Store, key: str) -> str | None:
    """The same, outside a change."""
    row = await store.read_one("SELECT value FROM meta WHERE key = ?", key)
    return None if row is None else str(row[0])


def set_meta(tx: Tx, key: str, value: str) -> None:
    """Stores a fact about the installation."""
    tx.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value
    )


def _credential(row: Row) -> Credential:
    return Credential(row[0], row[1], bytes(row[2]), row[3], row[4])


def _certificate(row: Row) -> ApplicationCertificate:
    return ApplicationCertificate(row[0], row[1], bytes(row[2]), bytes(row[3]), bytes(row[4]), row[5], row[6], row[7])


def _signing_key(row: Row) -> StoredSigningKey:
    return StoredSigningKey(row[0], row[1], row[2], bytes(row[3]), row[4], row[5])
