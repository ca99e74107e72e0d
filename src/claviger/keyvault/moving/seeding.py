"""Applies a seed: makes what is missing, leaves what is there. Run at each start, before the first request.

Tenants, applications, vaults and rights are made in one change, so that a refusal leaves everything as it was; secrets
follow, and nothing about them can be refused any more. A secret that is there stays as it is, unless its entry says
`keep: false`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from claviger.audit.trail import about, telling, withhold
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Refusal
from claviger.core.ids import new_uuid
from claviger.keyvault.directory import operations as directory
from claviger.keyvault.directory import records as directory_records
from claviger.keyvault.directory.records import Application, Tenant
from claviger.keyvault.moving import records
from claviger.keyvault.moving.arrival import Right, draft_of, give_right, tenant_for
from claviger.keyvault.moving.document import fault, with_place
from claviger.keyvault.moving.importing import BATCH_BYTES, BATCH_VERSIONS, Imports
from claviger.keyvault.moving.reading import Part, Reading
from claviger.keyvault.moving.seed import Seed, SeedApplication, SeedVault, TenantDocument, raise_for
from claviger.keyvault.moving.wire import ArchivedEnd, ArchivedVersion, Entry
from claviger.keyvault.secrets import records as secret_records
from claviger.keyvault.secrets.operations import Secrets, binding
from claviger.keyvault.secrets.rules import secret_id
from claviger.keyvault.secrets.wire import AttributesIn, SetSecret
from claviger.keyvault.vaults import records as vault_records
from claviger.keyvault.vaults.operations import add_vault
from claviger.keyvault.vaults.records import Vault
from claviger.keyvault.vaults.rules import check_uuid
from claviger.lifecycle.retention import is_final
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx

DEFAULT_TENANT = ("Default", "default.localhost")

log = logging.getLogger(__name__)
T = TypeVar("T")


class Seeded(msgspec.Struct):
    """What a seed has made; the numbers are of things that were not there."""

    tenants: int = 0
    applications: int = 0
    credentials: int = 0
    vaults: int = 0
    secrets: int = 0
    changed: int = 0
    left_deleted: int = 0

    def words(self) -> str:
        """For the log."""
        made = [f"{count} {name.replace('_', ' ')}" for name, count in msgspec.structs.asdict(self).items() if count]
        return ", ".join(made) or "nothing: all of it is there"


class Seeding:
    """Applies seeds to one store."""

    def __init__(self, store: Store, keyring: Keyring, clock: Clock) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock

    async def apply(self, seed: Seed) -> Seeded:
        """Makes sure of everything in a seed. Raises Misconfigured("Seed") where it cannot be, with nothing changed."""
        try:
            await self._check_credentials(seed)
            now = int(self._clock.now())
            done, vaults = await self._store.write(lambda tx: _made(tx, now, seed))
        except Refusal as refusal:
            raise_for(seed.path, refusal)
        for vault, told in vaults:
            await self._add_secrets(vault, told, done)
            await self._enforce(vault, told, done)
        if done.left_deleted:
            log.warning("seed: %d vaults are deleted and stay so; recover or purge them", done.left_deleted)
        log.info("the seed %s made %s", seed.path, done.words())
        return done

    async def _check_credentials(self, seed: Seed) -> None:
        """A client secret tells applications apart, so no two may have the same."""
        owners: dict[bytes, str] = {}
        for each in seed.applications:
            if each.secret is None:
                continue
            sha256 = directory.fingerprint(each.secret)
            found = await directory_records.application_by_credential(self._store, sha256)
            owner = owners.setdefault(sha256, found.name.lower() if found else each.told.name.lower())
            if owner != each.told.name.lower():
                raise fault(f"{each.at}.client_secret", f"the application {owner} has it", "give each its own")

    async def _add_secrets(self, vault: Vault, told: SeedVault, done: Seeded) -> None:
        now = self._clock.now()
        absent = [
            name_key
            for name_key in told.document.names
            if (found := await records.count_versions(self._store, vault.id, name_key)) is None
            or is_final(found[0].purge_at, now)
        ]
        imports = Imports(self._store, self._keyring, self._clock)
        batch: list[Part] = []
        for part in Reading(_Only(told, absent)).parts():
            if is_final(part.secret.purge_at, now):
                continue
            batch.append(part)
            if sum(each.size for each in batch) >= BATCH_BYTES or len(batch) >= BATCH_VERSIONS:
                await imports.store(vault, batch, now)
                batch = []
            done.secrets += 1
        if batch:
            await imports.store(vault, batch, now)

    async def _enforce(self, vault: Vault, told: SeedVault, done: Seeded) -> None:
        """Gives the secrets with `keep: false` the value of the seed, in a new version, if they have another one."""
        secrets = Secrets(self._store, self._keyring, self._clock)
        for name_key in sorted(told.enforced):
            secret, _, (wanted,) = told.document.secret(name_key)
            found = await records.count_versions(self._store, vault.id, name_key)
            if found is not None and found[0].deleted:
                about("secret", secret_id(vault.name, secret.name), secret.name, vault.name)
                await secrets.recover(vault, secret.name)
                done.changed += 1
            if not await self._has(vault, name_key, wanted):
                asked = SetSecret(
                    wanted.value.decode(),
                    wanted.content_type,
                    None if wanted.tags is None else msgspec.json.decode(wanted.tags, type=dict[str, str]),
                    AttributesIn(wanted.enabled, wanted.not_before, wanted.expires_at),
                )
                about("secret", secret_id(vault.name, secret.name), secret.name, vault.name)
                await secrets.set(vault, secret.name, asked)
                done.changed += 1

    async def _has(self, vault: Vault, name_key: str, wanted: ArchivedVersion) -> bool:
        """Whether the latest version of a secret is the wanted one but for its id and dates."""

        async def attempt() -> bool:
            latest = await secret_records.latest(self._store, vault.id, name_key)
            if latest is None:
                return False
            kept = latest.version
            bound_to = binding(vault.id, name_key, kept.version)
            value = await self._keyring.open(kept.data_key_id, latest.sealed, bound_to)
            same = (kept.enabled, kept.not_before, kept.expires_at, kept.content_type, kept.tags)
            wanted_rest = (wanted.enabled, wanted.not_before, wanted.expires_at, wanted.content_type, wanted.tags)
            return value == wanted.value and same == wanted_rest

        return await self._keyring.again_if_retired(attempt)


class _Only:
    """Some secrets of a seed's document, as a source."""

    def __init__(self, told: SeedVault, names: list[str]) -> None:
        self._told = told
        self._names = names

    def entries(self) -> Iterator[Entry]:
        document = self._told.document
        yield document.vault
        versions = 0
        for name_key in self._names:
            secret, _, every = document.secret(name_key)
            versions += len(every)
            yield secret
            yield from every
        yield ArchivedEnd(len(self._names), versions)


def _made(tx: Tx, now: int, seed: Seed) -> tuple[Seeded, list[tuple[Vault, SeedVault]]]:
    """What `_Directory.made` does; no record tells of a start at which everything is there."""
    about("seed", str(seed.path))
    done, vaults = _Directory(tx, now).made(seed)
    told = {name: count for name, count in msgspec.structs.asdict(done).items() if count}
    telling(**told)
    if not told.keys() - {"left_deleted"}:
        withhold()
    return done, vaults


class _Directory:
    """Makes tenants, applications, vaults and rights inside one change."""

    def __init__(self, tx: Tx, now: int) -> None:
        self._tx = tx
        self._now = now
        self._done = Seeded()
        self._tenant: str | None = None

    def made(self, seed: Seed) -> tuple[Seeded, list[tuple[Vault, SeedVault]]]:
        """What was made, and the vaults that are there now. Raises Refusal with its place in the file."""
        for number, tenant in enumerate(seed.tenants):
            with_place(f"$.tenants[{number}]", lambda tenant=tenant: self._add_tenant(tenant))  # type: ignore[misc]
        if len(seed.tenants) == 1:
            self._tenant = seed.tenants[0].domain.lower()
        elif not directory_records.tenants(self._tx):
            self._add_tenant(TenantDocument(*DEFAULT_TENANT))
        for each in seed.applications:
            with_place(each.at, lambda each=each: self._add_application(each))  # type: ignore[misc]
        vaults = []
        for told in seed.vaults:
            vault = with_place(f"{told.at}.vault", lambda told=told: self._add_vault(told))  # type: ignore[misc]
            if vault is not None:
                vaults.append((vault, told))
                self._give_rights(vault, told)
        return self._done, vaults

    def _give_rights(self, vault: Vault, told: SeedVault) -> None:
        for right, at in told.document.rights():

            def give(right: Right = right) -> None:
                give_right(self._tx, vault, right, self._now, replace=False)

            with_place(at, give)

    def _add_tenant(self, told: TenantDocument) -> None:
        wanted_id = check_uuid(told.id, "tenant") if told.id else None
        found = directory_records.find_tenant(self._tx, told.domain)
        if found is None and wanted_id is not None:
            found = directory_records.find_tenant(self._tx, wanted_id)
        if found is None:
            checked = directory.checked_tenant(told.name, told.domain, wanted_id, self._now)
            directory.put_tenant(self._tx, checked)
            self._done.tenants += 1
        elif (found.id, found.domain) != (wanted_id or found.id, told.domain.lower()):
            raise Conflict("TenantTaken", by=f"{found.id}, {found.domain}", fix="name the tenant as it is, or another")

    def _add_application(self, each: SeedApplication) -> None:
        told = each.told
        found = directory_records.find_application(self._tx, told.client_id or told.name)
        wanted = told.tenant if found else told.tenant or self._tenant
        tenant = None if found and wanted is None else directory.tenant_of(self._tx, wanted)
        if found is None:
            taken = directory_records.find_application(self._tx, told.name)
            if taken is not None:
                raise _other_application(taken)
            found = self._new_application(tenant, each)
            self._done.applications += 1
        elif not _is_as_told(found, each, tenant):
            raise _other_application(found)
        if each.secret is None:
            return
        sha256 = directory.fingerprint(each.secret)
        held = directory_records.credentials_in(self._tx, found.id)
        if all(credential.sha256 != sha256 for credential in held):
            if len(held) >= directory.MAX_CREDENTIALS:
                raise Conflict("TooManyCredentials", fix=f"remove old ones: claviger app secret list {found.name}")
            directory_records.add_credential(self._tx, found.id, sha256, self._now, None)
            directory_records.bump_revision(self._tx)
            self._done.credentials += 1

    def _new_application(self, tenant: Tenant | None, each: SeedApplication) -> Application:
        told = each.told
        if tenant is None:
            tenant = directory.tenant_of(self._tx, None)
        app_id = check_uuid(told.client_id, "client_id") if told.client_id else new_uuid()
        object_id = check_uuid(told.object_id, "object_id") if told.object_id else new_uuid()
        for given in (app_id, object_id):
            taken = directory_records.find_application(self._tx, given)
            if taken is not None:
                raise _other_application(taken)
        name = directory.check_display_name(told.name)
        made = Application(0, tenant.id, app_id, object_id, name, told.kind, self._now)
        added = directory_records.add_application(self._tx, made)
        directory_records.bump_revision(self._tx)
        return added

    def _add_vault(self, told: SeedVault) -> Vault | None:
        """The vault, or None where it is there and deleted: that was somebody's wish."""
        settings = told.document.vault.settings
        draft = draft_of(told.name, settings, self._now)
        found = vault_records.find_vault(self._tx, told.name)
        if found is not None and found.deleted_at is not None:
            self._done.left_deleted += 1
            return None
        if found is None:
            tenant_id = tenant_for(self._tx, None, told.document.vault.tenant_id or self._tenant)
            found = add_vault(self._tx, draft, tenant_id)
            self._done.vaults += 1
        if told.has_deleted and not found.soft_delete:
            raise Conflict("NoSoftDelete", fix="leave its deleted secrets out")
        return found


def _is_as_told(found: Application, each: SeedApplication, tenant: Tenant | None) -> bool:
    told = each.told
    ids = (told.client_id or found.app_id, told.object_id or found.object_id)
    return (found.name.lower(), found.kind, found.tenant_id, found.app_id, found.object_id) == (
        told.name.lower(),
        told.kind,
        tenant.id if tenant else found.tenant_id,
        ids[0].lower(),
        ids[1].lower(),
    )


def _other_application(found: Application) -> Conflict:
    return Conflict(
        "ApplicationTaken",
        by=f"{found.name}, client id {found.app_id}, object id {found.object_id}, {found.kind}",
        fix="say what it is like, or delete it: claviger app delete",
    )
