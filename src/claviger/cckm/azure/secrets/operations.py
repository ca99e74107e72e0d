"""What operators do to secrets: decide on the record, commit the intent, have it done, show the record.

Every changing operation goes through `Operations._run` and an `Execution`; a server that ends anywhere in it leaves an
intent, which the finisher takes up with `finish` (docs/decisions/0007-durable-operations.md).
"""

from __future__ import annotations

import asyncio
import secrets as chance
from collections.abc import Callable, Sequence

import msgspec

from claviger.audit.trail import BEGUN, DONE, Kept, about, current_trail, following, staged
from claviger.cckm.approvals.guarding import Guard
from claviger.cckm.azure.connections import records as connections
from claviger.cckm.azure.connections.cloud import AzureClouds
from claviger.cckm.azure.secrets import conclusions, effects, guarded, records
from claviger.cckm.azure.secrets.cloud import VaultSecrets, vault_secrets
from claviger.cckm.azure.secrets.execution import POLL_S, Execution, Ground, steady
from claviger.cckm.azure.secrets.listing import SecretLists
from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.secrets.rules import Operation, Status, decide
from claviger.cckm.azure.secrets.showing import KIND as SECRET
from claviger.cckm.azure.secrets.showing import shown
from claviger.cckm.azure.secrets.wire import SecretRecord
from claviger.cckm.azure.secrets.work import CREATE, Material, Work
from claviger.cckm.azure.vaults import records as vaults
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.calls import Query
from claviger.cckm.execution import ACT_LIMIT_S, ASK_LIMIT_S, SPARE_S, done_or_let_go, write_given_up
from claviger.cckm.listing import Page
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.planning.draft import foresee
from claviger.cckm.sealed import Item, Safe
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, NotFound, Refusal, Unavailable
from claviger.core.sensitive import Sensitive
from claviger.jobs.intents import Intents
from claviger.jobs.records import Intent
from claviger.store.contract import Store, Tx
from claviger.switches.board import Switches

KIND = "azure-secret-"


def subject_of(vault_id: str, name: str) -> str:
    """What an intent on a secret is about: Azure compares names in any case."""
    return f"azure/{vault_id}/secrets/{name.lower()}"


class Operations:
    """All that changes secrets, and what shows them."""

    def __init__(
        self,
        store: Store,
        safe: Safe,
        intents: Intents,
        clouds: AzureClouds,
        clock: Clock,
        switches: Switches | None = None,
        *,
        echo: bool = False,
        notices: Notices | None = None,
    ) -> None:
        self._store = store
        self._safe = safe
        self._intents = intents
        self._lists = SecretLists(store, clock)
        self._ground = Ground(store, safe, intents, clouds, clock, switches, echo, notices)

    @property
    def echoes(self) -> bool:
        """Whether records are shown with their values."""
        return self._ground.echo

    async def found(self, domain_id: str, ident: str) -> tuple[SecretRow, VaultRow]:
        """A record of the domain with its vault. Raises NotFound."""
        row = await records.by_id(self._store, domain_id, ident)
        vault = None if row is None else await vaults.by_num(self._store, domain_id, row.vault_num)
        if row is None or vault is None:
            raise _missing()
        return row, vault

    async def vault(self, domain_id: str, id_or_name: str) -> VaultRow:
        """A vault of the domain, by any of its names. Raises NotFound; Invalid where a name stands for several."""
        vault = await vaults.find(self._store, domain_id, id_or_name)
        if vault is None:
            raise NotFound("NotFound")
        return vault

    async def page(self, domain_id: str, query: Query, containers: frozenset[str] | None) -> Page:
        """One page of the domain's secrets. Raises Invalid."""
        return await self._lists.page(domain_id, query, containers)

    async def shown(self, domain_id: str, ident: str) -> SecretRecord:
        """A record as it is answered, with its value where values are echoed. Raises NotFound."""
        view = await records.view(self._store, domain_id, ident)
        if view is None:
            raise _missing()
        value = await self._safe.open(conclusions.VALUE, ident) if self._ground.echo else None
        return shown(view, value)

    async def create(self, vault: VaultRow, work: Work, value: Sensitive, wait_s: int) -> str:
        """Sets a secret in the cloud, which makes a version, and records it with a backup; the record's id."""

        def decided(tx: Tx) -> Work:
            rows = records.of_name(tx, vault.num, work.name)
            foresee(lambda: effects.created(vault, work, rows))
            return _placed(work, rows)

        return await self._run(CREATE, vault, work, Material(value=value), wait_s, decided)

    async def change(
        self,
        operation: Operation,
        row: SecretRow,
        vault: VaultRow,
        work: Work,
        wait_s: int,
        guard: Guard | None = None,
    ) -> str:
        """Any other operation on the secret that `row` is of; the record's id.

        `vault` is where it is done: another one than the row's for a restore elsewhere. Raises Invalid("StateForbids")
        by the state at the moment of the intent, Wanted where more people have to agree, and the cloud's refusals.
        """
        decide(operation, row.status, is_gone=row.gone)
        material = Material()
        if operation is Operation.RESTORE:
            material = Material(backup=await self._backup(row))

        def decided(tx: Tx) -> Work:
            current = records.load(tx, row.num)
            if current is None:
                raise _missing()
            decide(operation, current.status, is_gone=current.gone)
            if operation is Operation.RESTORE and (current.backup, current.backup_at) != (row.backup, row.backup_at):
                raise Conflict("RecordChanged", message="the secret was changed meanwhile; try again")
            guarded.require(tx, guard, operation, current, vault)
            known = msgspec.structs.replace(
                work,
                version=current.version,
                source=current.backup if operation is Operation.RESTORE else None,
                deleted_at=current.told.deleted_at,
                updated_at=current.told.updated_at,
                gone=current.gone,
            )
            of_name = records.of_name(tx, current.vault_num, current.name)
            now = self._ground.clock.now()
            foresee(lambda: effects.of(operation, current, of_name, vault, known, now))
            return _placed(known, records.of_name(tx, vault.num, work.name))

        return await self._run(work.operation, vault, work, material, wait_s, decided)

    async def remove(self, row: SecretRow, vault: VaultRow, guard: Guard | None = None) -> None:
        """Takes a secret that is DELETED or gone out of CCKM with all its versions and its backup.

        Raises Invalid("StateForbids"), and Wanted where more people have to agree.
        """

        def change(tx: Tx) -> None:
            current = records.load(tx, row.num)
            if current is None:
                raise _missing()
            decide(Operation.REMOVE, current.status, is_gone=current.gone)
            guarded.require(tx, guard, Operation.REMOVE, current, vault)
            of_name = records.of_name(tx, current.vault_num, current.name)
            now = self._ground.clock.now()
            foresee(lambda: effects.of(Operation.REMOVE, current, of_name, vault, None, now))
            about(SECRET, current.id, current.name, vault.name)
            intent = self._begin(tx, Intents.new_id(), "remove", vault, current.name, None)
            conclusions.forget(tx, current)
            self._intents.end(tx, intent)

        await self._ground.reach("remove", "intended", row.name)
        await self._store.write(change)
        await self._ground.reach("remove", "concluded", row.name)

    async def _backup(self, row: SecretRow) -> Sensitive:
        blob = None if row.backup is None else await self._safe.open(conclusions.BACKUP, row.backup)
        if blob is None:
            raise Conflict("NoBackup", message="CCKM holds no backup of this secret, so it cannot be restored")
        return blob

    def _begin(
        self, tx: Tx, ident: str, kind: str, vault: VaultRow, name: str, payload: Work | None, wait_s: int = 0
    ) -> Intent:
        if vaults.load(tx, vault.domain_id, vault.id) is None:
            raise NotFound("NotFound", message="the vault is no longer managed")
        lease_s = ACT_LIMIT_S + 2 * ASK_LIMIT_S + SPARE_S + wait_s
        return self._intents.begin(tx, ident, KIND + kind, subject_of(vault.id, name), payload, lease_s=lease_s)

    async def _run(
        self,
        kind: str,
        vault: VaultRow,
        work: Work,
        material: Material,
        wait_s: int,
        decided: Callable[[Tx], Work],
    ) -> str:
        cloud = await self._cloud(vault)
        ident = Intents.new_id()
        begun_at = self._ground.clock.now()

        trail = current_trail()
        kept = Kept() if trail is None else trail.kept()

        def begin(tx: Tx) -> tuple[Intent, Work]:
            final = msgspec.structs.replace(decided(tx), begun_at=begun_at, trail=kept)
            about(SECRET, final.secret_id, work.name, vault.name)
            staged(BEGUN)
            return self._begin(tx, ident, kind, vault, work.name, final, wait_s), final

        sealed: list[Item] = []
        if material.value is not None:
            sealed.append((conclusions.INTENT, ident, material.value))
        intent, work = await self._safe.write(sealed, begin)
        execution = Execution(self._ground, kind, cloud, vault, intent, work, material)
        return await done_or_let_go(execution.do(wait_s), self._intents, intent)

    async def _cloud(self, vault: VaultRow) -> VaultSecrets:
        connection = await connections.of_vault(self._store, vault)
        return await vault_secrets(self._ground.clouds, connection, vault.azure_name, vault.vault_uri)

    async def finish(self, intent: Intent) -> None:
        """Finishes an intent that was left open; a `jobs.intents.Finish`."""
        work = msgspec.json.decode(intent.payload, type=Work)
        trail = work.trail.resumed(self._ground.clock, "finisher")
        trail.stage = DONE
        trail.about(SECRET, work.secret_id, work.name)
        with following(trail):
            await self._finish(intent, work)

    async def _finish(self, intent: Intent, work: Work) -> None:
        vault = await vaults.by_id(self._store, work.domain_id, work.vault_id)
        if vault is None:
            gone = NotFound("VaultGone", message="the vault is no longer managed")
            await write_given_up(self._store, lambda tx: self._ground.give_up(tx, intent), gone)
            return
        about(SECRET, work.secret_id, work.name, vault.name)
        material = await self._material(intent, work)
        cloud = await self._cloud(vault)
        kind = intent.kind.removeprefix(KIND)
        execution = Execution(self._ground, kind, cloud, vault, intent, work, material)
        try:
            await execution.finish()
        except Unavailable as refusal:
            await self._intents.let_go(intent, refusal, sent=execution.was_sent)
            raise

    async def _material(self, intent: Intent, work: Work) -> Material:
        value = await self._safe.open(conclusions.INTENT, intent.id)
        backup = None if work.source is None else await self._safe.open(conclusions.BACKUP, work.source)
        return Material(value, backup)

    async def settled(self, vault: VaultRow, name: str, status: Status, wait_s: int) -> None:
        """Waits up to `wait_s` until the cloud shows what it has accepted; simply ends where that takes longer."""
        if wait_s <= 0:
            return
        try:
            cloud = await self._cloud(vault)
        except Refusal:  # what was asked for is done all the same
            return
        give_up_at = steady() + wait_s
        while not await _shows(cloud, name, status):
            if steady() + POLL_S > give_up_at:
                return
            await asyncio.sleep(POLL_S)


def _missing() -> NotFound:
    return NotFound("NotFound", message="there is no such secret")


def _placed(work: Work, rows: Sequence[SecretRow]) -> Work:
    """The work with the slot for a fresh backup, and with what is known of the name now.

    The slot is new each time: what is not in the fresh backup needs the one before it.
    """
    others = [row for row in rows if row.status is Status.AVAILABLE and not row.gone and row.id != work.secret_id]
    known_until = max((row.num for row in rows), default=0)
    return msgspec.structs.replace(work, slot=chance.token_hex(32), has_others=bool(others), known_until=known_until)


async def _shows(cloud: VaultSecrets, name: str, status: Status) -> bool:
    try:
        if status is Status.AVAILABLE:
            return bool(await cloud.versions(name, most=1))
        await cloud.deleted(name)
    except NotFound:
        return status is Status.DELETED
    except Refusal:
        return False
    return status is not Status.DELETED
