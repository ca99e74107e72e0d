"""Backups: a secret with all its versions as one sealed blob that leaves the server, for any of its vaults.

A blob is `claviger-secret-backup-1` NUL, a length byte and the mark of the key that sealed it, then the sealed
contents, bound to that head. The key is kept for good, since nobody knows how long a blob will be (docs/formats.md).
"""

from __future__ import annotations

import base64
import binascii

from claviger.audit.trail import about, silently, telling
from claviger.core.clock import Clock
from claviger.core.errors import Damaged, Invalid
from claviger.core.ids import new_uuid
from claviger.crypto.envelope import associated_data
from claviger.keyvault.secrets import records, rules
from claviger.keyvault.secrets.operations import Shown, binding, missing, scope_of
from claviger.keyvault.secrets.records import SealedVersion, Version
from claviger.keyvault.secrets.rules import TRANSITIONS, Operation
from claviger.keyvault.secrets.wire import BackedUpSecret, BackedUpVersion, pack_backup, unpack_backup
from claviger.keyvault.vaults.records import Vault
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx

MAGIC = b"claviger-secret-backup-1\0"
BACKUP_SCOPE = "keyvault-backups"


class Backups:
    """Backing secrets up, and restoring them."""

    def __init__(self, store: Store, keyring: Keyring, clock: Clock) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock

    async def backup(self, vault: Vault, name: str) -> str:
        """The blob in unpadded base64url. Raises Invalid("TooManyVersions") past 500 versions."""
        name_key = rules.check_name(name)
        saved = await self._keyring.again_if_retired(lambda: self._saved(vault, name, name_key))
        data_key_id = await self._keyring.ensure_data_key(BACKUP_SCOPE)
        head = _head(await mark_of(self._store, self._clock, data_key_id))
        await self._keyring.loaded(data_key_id)
        blob = head + self._keyring.seal(data_key_id, pack_backup(saved), associated_data("keyvault-backup", head))
        return base64.urlsafe_b64encode(blob).rstrip(b"=").decode()

    async def restore(self, vault: Vault, blob: str) -> Shown:
        """Restores all versions with ids and dates. Raises Invalid("BackupBlob" | "ForeignBackup"), or Conflict."""
        saved = await self._unsealed(_decoded(blob))
        name_key = rules.check_name(saved.name)
        now = self._clock.now()
        if not saved.versions:
            raise Invalid("BackupBlob")
        newest = saved.versions[-1].version

        async def attempt(data_key_id: int) -> Shown:
            prepared = [self._prepared(vault, name_key, each, data_key_id) for each in saved.versions]

            def change(tx: Tx) -> Shown:
                secret = records.find(tx, vault.id, saved.name, name_key, now)
                TRANSITIONS.decide(Operation.RESTORE, secret.state, name=saved.name, version=newest)
                secret_id = records.add_secret(tx, vault.id, saved.name, name_key)
                added = [records.add_version(tx, secret_id, version, sealed) for version, sealed in prepared]
                records.set_latest(tx, secret_id, added[-1])
                about("secret", rules.secret_id(vault.name, saved.name), saved.name, vault.name)
                telling(versions=len(added))
                return Shown(saved.name, prepared[-1][0])

            return await self._store.write(change)

        return await self._keyring.with_data_key(scope_of(vault.id), attempt)

    async def _saved(self, vault: Vault, name: str, name_key: str) -> BackedUpSecret:
        most = rules.MAX_BACKUP_VERSIONS
        kept = await records.all_versions(self._store, vault.id, name_key, most + 1, self._clock.now())
        if not kept:
            raise missing(name, None)
        if len(kept) > most:
            raise Invalid("TooManyVersions", name=name, most=most)
        return BackedUpSecret(kept[0].name, [await self._opened(vault, name_key, each) for each in kept])

    async def _opened(self, vault: Vault, name_key: str, kept: SealedVersion) -> BackedUpVersion:
        version = kept.version
        bound_to = binding(vault.id, name_key, version.version)
        value = await self._keyring.open(version.data_key_id, kept.sealed, bound_to)
        return BackedUpVersion(
            version.version,
            value,
            version.enabled,
            version.not_before,
            version.expires_at,
            version.created_at,
            version.updated_at,
            version.content_type,
            version.tags,
        )

    def _prepared(self, vault: Vault, name_key: str, saved: BackedUpVersion, data_key_id: int) -> tuple[Version, bytes]:
        bound_to = binding(vault.id, name_key, saved.version)
        version = Version(
            0,
            saved.version,
            saved.enabled,
            saved.not_before,
            saved.expires_at,
            saved.created_at,
            saved.updated_at,
            saved.content_type,
            saved.tags,
            data_key_id,
        )
        return version, self._keyring.seal(data_key_id, saved.value, bound_to)

    async def _unsealed(self, raw: bytes) -> BackedUpSecret:
        mark_at = len(MAGIC) + 1
        if not raw.startswith(MAGIC) or len(raw) <= mark_at:
            raise Invalid("BackupBlob")
        sealed_at = mark_at + raw[len(MAGIC)]
        try:
            mark = raw[mark_at:sealed_at].decode("ascii")
        except UnicodeDecodeError:
            raise Invalid("BackupBlob") from None
        data_key_id = None if "\0" in mark else await records.backup_key(self._store, mark)
        if data_key_id is None:
            raise Invalid("ForeignBackup")
        try:
            packed = await self._keyring.open(
                data_key_id, raw[sealed_at:], associated_data("keyvault-backup", raw[:sealed_at])
            )
        except Damaged:
            raise Invalid("BackupBlob") from None
        return unpack_backup(packed)


async def mark_of(store: Store, clock: Clock, data_key_id: int) -> str:
    """The mark by which blobs and archives name a data key, which is kept for good from then on."""
    mark = await records.backup_key_uid(store, data_key_id)
    if mark is not None:
        return mark
    fresh, now = new_uuid(), clock.now()
    with silently():
        return await store.write(lambda tx: records.add_backup_key(tx, fresh, data_key_id, now))


def _head(mark: str) -> bytes:
    return MAGIC + bytes([len(mark)]) + mark.encode("ascii")


def _decoded(blob: str) -> bytes:
    """Takes base64url with or without padding, as clients send both."""
    try:
        bare = blob.rstrip("=").encode("ascii")
        return base64.b64decode(bare + b"=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (UnicodeError, binascii.Error):
        raise Invalid("BackupBlob") from None
