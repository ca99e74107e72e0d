"""The operations on secrets, one function each: seal or open outside, then decide and change inside one transaction.

A change is decided on the rows that it changes, in the transaction that changes them; nothing is remembered between
calls. Times written are whole seconds (Key Vault contract §1).
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

import msgspec

from claviger.audit.trail import also_about, telling, withhold
from claviger.core.clock import Clock
from claviger.core.errors import NotFound
from claviger.core.ids import new_version
from claviger.core.sensitive import Sensitive
from claviger.crypto.envelope import associated_data
from claviger.keyvault.secrets import records, rules
from claviger.keyvault.secrets.records import Listed, SealedVersion, Secret, Version
from claviger.keyvault.secrets.rules import TRANSITIONS, Operation
from claviger.keyvault.secrets.wire import AttributesIn, SetSecret, UpdateSecret
from claviger.keyvault.vaults.records import Vault
from claviger.lifecycle.retention import purge_at
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx


class Delays(Protocol):
    """How long a delete and a recover take to settle, in seconds; the real service needs some, we need none."""

    delete_settle_s: int
    recover_settle_s: int


class NoDelays:
    """Everything settles at once."""

    delete_settle_s = 0
    recover_settle_s = 0


class Shown(msgspec.Struct, frozen=True):
    """A version to be answered: under which name, with which deletion dates, with or without its value."""

    name: str
    version: Version
    value: Sensitive | None = None
    deleted_at: int | None = None
    purge_at: int | None = None


def binding(vault_id: int, name_key: str, version: str) -> bytes:
    """What a sealed value is bound to: moved to another vault, name or version it no longer opens."""
    return associated_data("keyvault-secret", vault_id, name_key, version)


def scope_of(vault_id: int) -> str:
    """The scope of a vault's data keys."""
    return f"keyvault:{vault_id}"


class Secrets:
    """All operations on the secrets of all vaults."""

    def __init__(self, store: Store, keyring: Keyring, clock: Clock, delays: Delays | None = None) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._delays: Delays = delays or NoDelays()

    async def set(self, vault: Vault, name: str, asked: SetSecret) -> Shown:
        """Adds a version. Raises Invalid("Name" | "Property") or the refusals of the transition table."""
        name_key = rules.check_name(name)
        value = asked.value.encode()
        rules.check_value(value)
        rules.check_metadata(asked.content_type, asked.tags)
        now = self._clock.now()
        version = _new_version(asked, int(now))

        def change(tx: Tx, data_key_id: int, sealed: bytes) -> Shown:
            secret = records.find(tx, vault.id, name, name_key, now)
            TRANSITIONS.decide(Operation.SET, secret.state, name=secret.name)
            secret_id = secret.id or records.add_secret(tx, vault.id, name, name_key)
            kept = msgspec.structs.replace(version, data_key_id=data_key_id)
            records.set_latest(tx, secret_id, records.add_version(tx, secret_id, kept, sealed))
            telling(version=kept.version)
            return Shown(secret.name, kept, Sensitive(value))

        bound_to = binding(vault.id, name_key, version.version)
        return await self._keyring.write_sealed(scope_of(vault.id), value, bound_to, change, self._store)

    async def get(self, vault: Vault, name: str, version: str | None) -> Shown:
        """A version with its value; the latest where none is named. The hot path: one read, one open."""
        name_key = rules.check_name(name)
        found = self._getable(await self._read(vault, name_key, version), name, version)
        kept = found.version
        value = self._keyring.open_now(kept.data_key_id, found.sealed, binding(vault.id, name_key, kept.version))
        if value is not None:
            return Shown(found.name, kept, Sensitive(value))
        return await self._keyring.again_if_retired(lambda: self._get_waiting(vault, name, version))

    def get_now(self, vault: Vault, name: str, version: str | None) -> Shown | None:
        """What `get` answers, if it can be had without waiting; None otherwise. Raises as `get` does."""
        name_key = rules.check_name(name)
        found = records.sealed_now(self._store, vault.id, name_key, version)
        if found is None:
            return None
        kept = self._getable(found, name, version).version
        value = self._keyring.open_now(kept.data_key_id, found.sealed, binding(vault.id, name_key, kept.version))
        return None if value is None else Shown(found.name, kept, Sensitive(value))

    async def _get_waiting(self, vault: Vault, name: str, version: str | None) -> Shown:
        """The same, where the data key has to be fetched first."""
        name_key = rules.check_name(name)
        found = self._getable(await self._read(vault, name_key, version), name, version)
        bound_to = binding(vault.id, name_key, found.version.version)
        opened = await self._keyring.open(found.version.data_key_id, found.sealed, bound_to)
        return Shown(found.name, found.version, Sensitive(opened))

    def _read(self, vault: Vault, name_key: str, version: str | None) -> Awaitable[SealedVersion | None]:
        if version is None:
            return records.latest(self._store, vault.id, name_key)
        return records.by_version(self._store, vault.id, name_key, version.lower())

    def _getable(self, found: SealedVersion | None, name: str, version: str | None) -> SealedVersion:
        if found is None or (found.settles_at is not None and self._clock.now() < found.settles_at):
            raise missing(name, version)
        rules.check_enabled(found.version.enabled, name)
        return found

    async def update(self, vault: Vault, name: str, version: str | None, asked: UpdateSecret) -> Shown:
        """Changes metadata of one version; what is absent stays."""
        name_key = rules.check_name(name)
        rules.check_metadata(asked.content_type, asked.tags)
        now = self._clock.now()

        def change(tx: Tx) -> Shown:
            secret = records.find(tx, vault.id, name, name_key, now)
            TRANSITIONS.decide(Operation.UPDATE, secret.state, name=secret.name)
            kept = records.version_for_change(tx, secret, version and version.lower())
            if kept is None:
                raise missing(name, version)
            telling(version=kept.version)
            merged = _merged(kept, asked, int(now))
            records.update_metadata(tx, merged)
            return Shown(secret.name, merged)

        return await self._store.write(change)

    async def delete(self, vault: Vault, name: str) -> Shown:
        """Deletes all versions: until the retention ends, or for good where the vault has no soft delete."""
        name_key = rules.check_name(name)
        now = self._clock.now()
        deleted_at = int(now)

        def change(tx: Tx) -> Shown:
            secret = records.find(tx, vault.id, name, name_key, now)
            TRANSITIONS.decide(Operation.DELETE, secret.state, name=secret.name)
            shown = _latest(tx, secret)
            if not vault.soft_delete:
                records.remove(tx, secret.id)
                return shown
            until = purge_at(deleted_at, vault.retention_days)
            records.mark_deleted(tx, secret.id, deleted_at, until, self._settles(now, self._delays.delete_settle_s))
            return msgspec.structs.replace(shown, deleted_at=deleted_at, purge_at=until)

        return await self._store.write(change)

    async def get_deleted(self, vault: Vault, name: str) -> Shown:
        """A deleted secret, without its value. Refused while its latest version is disabled (§4)."""
        name_key = rules.check_name(name)
        found = await records.deleted(self._store, vault.id, name_key, self._clock.now())
        if found is None:
            raise NotFound("DeletedSecretNotFound", name=name)
        rules.check_enabled(found.version.enabled, name)
        return Shown(found.name, found.version, None, found.deleted_at, found.purge_at)

    async def recover(self, vault: Vault, name: str) -> Shown:
        """Brings a deleted secret back with all its versions, ids and dates."""
        name_key = rules.check_name(name)
        now = self._clock.now()

        def change(tx: Tx) -> Shown:
            secret = records.find(tx, vault.id, name, name_key, now)
            TRANSITIONS.decide(Operation.RECOVER, secret.state, name=secret.name)
            records.mark_recovered(tx, secret.id, self._settles(now, self._delays.recover_settle_s))
            return _latest(tx, secret)

        return await self._store.write(change)

    async def purge(self, vault: Vault, name: str) -> None:
        """Removes a deleted secret for good. Raises Forbidden("PurgeProtected") in a protected vault."""
        name_key = rules.check_name(name)
        now = self._clock.now()

        def change(tx: Tx) -> None:
            secret = records.find(tx, vault.id, name, name_key, now)
            TRANSITIONS.decide(Operation.PURGE, secret.state, name=secret.name)
            rules.check_purge(vault.purge_protection, secret.name)
            records.remove(tx, secret.id)

        await self._store.write(change)

    async def list_live(self, vault: Vault, after: str, count: int) -> list[Listed]:
        """Live secrets by name, from the one after the compared name `after`."""
        return await records.page_live(self._store, vault.id, after, count, self._clock.now())

    async def list_versions(self, vault: Vault, name: str, after: str, count: int) -> list[Listed]:
        """Versions of a live secret by version id; nothing for an unknown or deleted name (§4)."""
        name_key = rules.check_name(name)
        return await records.page_versions(self._store, vault.id, name_key, after, count, self._clock.now())

    async def list_deleted(self, vault: Vault, after: str, count: int) -> list[Listed]:
        """Deleted secrets that can still be saved, by name."""
        return await records.page_deleted(self._store, vault.id, after, count, self._clock.now())

    async def purge_due(self, most: int = 200) -> int:
        """Purges up to `most` secrets whose retention has ended, purge protection or not (§4); how many."""
        now = self._clock.now()

        def change(tx: Tx) -> int:
            due = records.due(tx, now, most)
            for each in due:
                also_about("secret", rules.secret_id(each.vault, each.name), each.name, each.vault)
                records.remove(tx, each.id)
            if not due:
                withhold()
            return len(due)

        return await self._store.write(change)

    async def next_due(self) -> int | None:
        """When the next retention ends, in epoch seconds."""
        return await records.next_due(self._store)

    @staticmethod
    def _settles(now: float, delay_s: int) -> int | None:
        return int(now) + delay_s if delay_s else None


class SecretResealer:
    """Takes secrets from a data key that is being retired to the current one; see `sealing.rotation`."""

    scope_prefix = "keyvault:"

    def reseal_batch(self, tx: Tx, scope: str, old_key_id: int, new_key_id: int, keyring: Keyring, limit: int) -> int:
        """Reseals up to `limit` versions; how many. Both data keys must be loaded."""
        kept = records.sealed_under(tx, old_key_id, limit)
        for version_id, vault_id, name_key, version, sealed in kept:
            bound_to = binding(vault_id, name_key, version)
            again = keyring.reseal(old_key_id, new_key_id, sealed, bound_to)
            records.replace_sealed(tx, version_id, new_key_id, again)
        return len(kept)


def _new_version(asked: SetSecret, now_s: int) -> Version:
    given = asked.attributes or AttributesIn()
    return Version(
        id=0,
        version=new_version(),
        enabled=True if given.enabled is None else given.enabled,
        not_before=given.nbf,
        expires_at=given.exp,
        created_at=now_s,
        updated_at=now_s,
        content_type=asked.content_type,
        tags=None if asked.tags is None else msgspec.json.encode(asked.tags).decode(),
        data_key_id=0,
    )


def _merged(kept: Version, asked: UpdateSecret, now_s: int) -> Version:
    given = asked.attributes or AttributesIn()
    return msgspec.structs.replace(
        kept,
        enabled=kept.enabled if given.enabled is None else given.enabled,
        not_before=kept.not_before if given.nbf is None else given.nbf,
        expires_at=kept.expires_at if given.exp is None else given.exp,
        updated_at=now_s,
        content_type=kept.content_type if asked.content_type is None else asked.content_type,
        tags=kept.tags if asked.tags is None else msgspec.json.encode(asked.tags).decode(),
    )


def _latest(tx: Tx, secret: Secret) -> Shown:
    kept = records.version_for_change(tx, secret, None)
    if kept is None:  # a secret always has its latest version: both are written in one transaction
        raise missing(secret.name, None)
    return Shown(secret.name, kept)


def missing(name: str, version: str | None) -> NotFound:
    """The refusal for a secret, or a version of one, that is not there."""
    return NotFound("SecretNotFound", name=name if version is None else f"{name}/{version}")
