"""What operators do to secrets: decide on the record, commit the intent, do it in the cloud, commit the outcome.

Every changing operation goes through `Operations._run`; a server that ends anywhere in it leaves an intent, which the
finisher takes up with `finish` (docs/decisions/0007-durable-operations.md).
"""

from __future__ import annotations

import asyncio
import logging
import secrets as chance
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from claviger.cckm.azure.connections import records as connections
from claviger.cckm.azure.connections.cloud import AzureClouds
from claviger.cckm.azure.secrets import conclusions, records
from claviger.cckm.azure.secrets.cloud import VaultSecrets, vault_secrets
from claviger.cckm.azure.secrets.listing import SecretLists
from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.secrets.rules import Operation, Status, decide
from claviger.cckm.azure.secrets.showing import shown
from claviger.cckm.azure.secrets.wire import SecretRecord
from claviger.cckm.azure.secrets.work import ACTS, ASKS, CREATE, RESTORE_ELSEWHERE, Material, Outcome, Work
from claviger.cckm.azure.vaults import records as vaults
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.calls import Query
from claviger.cckm.listing import Page
from claviger.cckm.sealed import Item, Safe
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, NotFound, Refusal, Unavailable
from claviger.core.sensitive import Sensitive
from claviger.jobs.intents import Intents
from claviger.jobs.records import Intent
from claviger.store.contract import Store, Tx
from claviger.switches.board import Switches

T = TypeVar("T")

KIND = "azure-secret-"
ACT_LIMIT_S = 120.0
ASK_LIMIT_S = 30.0
SPARE_S = 30.0
POLL_S = 1.0
_UNDECIDED = "CloudUndecided"

log = logging.getLogger("claviger.cckm")


def subject_of(vault_id: str, name: str) -> str:
    """What an intent on a secret is about: Azure compares names in any case."""
    return f"azure/{vault_id}/secrets/{name.lower()}"


class Operations:
    """All that changes secrets. `echo` keeps values to show them again (CCKM contract, Azure §5.3)."""

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
    ) -> None:
        self._store = store
        self._lists = SecretLists(store)
        self._safe = safe
        self._intents = intents
        self._clouds = clouds
        self._clock = clock
        self._switches = switches
        self.echo = echo

    async def found(self, domain_id: str, ident: str) -> tuple[SecretRow, VaultRow]:
        """A record of the domain with its vault. Raises NotFound."""
        row = await records.by_id(self._store, domain_id, ident)
        vault = None if row is None else await vaults.by_num(self._store, domain_id, row.vault_num)
        if row is None or vault is None:
            raise NotFound("NotFound", message="there is no such secret")
        return row, vault

    async def vault(self, domain_id: str, id_or_name: str) -> VaultRow:
        """A vault of the domain, by any of its names. Raises NotFound; Invalid where a name stands for several."""
        vault = await vaults.find(self._store, domain_id, id_or_name)
        if vault is None:
            raise NotFound("NotFound", message="there is no such key vault under management")
        return vault

    async def page(self, domain_id: str, query: Query, containers: frozenset[str] | None) -> Page:
        """One page of the domain's secrets. Raises Invalid."""
        return await self._lists.page(domain_id, query, containers)

    async def shown(self, domain_id: str, ident: str) -> SecretRecord:
        """A record as it is answered, with its value where values are echoed. Raises NotFound."""
        view = await records.view(self._store, domain_id, ident)
        if view is None:
            raise NotFound("NotFound", message="there is no such secret")
        value = await self._safe.open(conclusions.VALUE, ident) if self.echo else None
        return shown(view, value)

    async def create(self, vault: VaultRow, work: Work, value: Sensitive, wait_s: int) -> str:
        """Sets a secret in the cloud, which makes a version, and records it with a backup; the record's id."""

        def decided(tx: Tx) -> Work:
            return msgspec.structs.replace(work, backup=records.live_backup(tx, vault.num, work.name))

        return await self._run(CREATE, vault, work, Material(value=value), wait_s, decided)

    async def change(self, operation: Operation, row: SecretRow, vault: VaultRow, work: Work, wait_s: int) -> str:
        """Any other operation on the secret that `row` is of; the record's id.

        Raises Invalid("StateForbids") by the state at the moment of the intent, and the cloud's refusals.
        """
        material = Material()
        if operation is Operation.RESTORE:
            material = Material(backup=await self._backup(row))

        def decided(tx: Tx) -> Work:
            current = records.load(tx, row.num)
            if current is None:
                raise NotFound("NotFound", message="there is no such secret")
            decide(operation, current.status)
            return msgspec.structs.replace(
                work,
                version=current.version,
                backup=None if work.operation == RESTORE_ELSEWHERE else current.backup,
                source=current.backup,
                deleted_at=current.told.deleted_at,
            )

        return await self._run(work.operation, vault, work, material, wait_s, decided)

    async def remove(self, row: SecretRow, vault: VaultRow) -> None:
        """Takes a DELETED secret out of CCKM with all its versions and its backup. Raises Invalid("StateForbids")."""

        def change(tx: Tx) -> None:
            current = records.load(tx, row.num)
            if current is None:
                raise NotFound("NotFound", message="there is no such secret")
            decide(Operation.REMOVE, current.status)
            intent = self._begin(tx, Intents.new_id(), "remove", vault, current.name, None)
            conclusions.forget(tx, current)
            self._intents.end(tx, intent)

        await self._store.write(change)

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
        lease_s = ACT_LIMIT_S + ASK_LIMIT_S + SPARE_S + wait_s
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
        begun_at = self._clock.now()

        def begin(tx: Tx) -> tuple[Intent, Work]:
            final = msgspec.structs.replace(decided(tx), begun_at=begun_at)
            return self._begin(tx, ident, kind, vault, work.name, final, wait_s), final

        sealed: list[Item] = []
        if material.value is not None:
            sealed.append((conclusions.INTENT, ident, material.value))
        intent, work = await self._safe.write(sealed, begin)
        await self._reach(kind, "intended", work.name)
        outcome = await self._acted(kind, cloud, intent, work, material, wait_s)
        await self._reach(kind, "acted", work.name)
        record_id = await self._conclude(intent, work, vault, material, outcome)
        await self._reach(kind, "concluded", work.name)
        return record_id

    async def _cloud(self, vault: VaultRow) -> VaultSecrets:
        connection = await connections.find(self._store, vault.domain_id, vault.connection_id)
        if connection is None:
            raise Conflict(
                "ConnectionMissing",
                message=f"the vault's connection {vault.connection_name} was deleted; give the vault another one",
            )
        return await vault_secrets(self._clouds, connection, vault.azure_name, vault.vault_uri)

    async def _acted(
        self, kind: str, cloud: VaultSecrets, intent: Intent, work: Work, material: Material, wait_s: int
    ) -> Outcome:
        """Does it, and where the answer leaves in doubt what happened, asks. Whatever is certain ends the intent."""
        try:
            async with asyncio.timeout(ACT_LIMIT_S + wait_s):
                return await self._patiently(lambda: ACTS[kind](cloud, work, material), wait_s)
        except TimeoutError:
            doubt: Refusal = Unavailable(_UNDECIDED, message="Azure did not answer in time")
        except NotFound as refusal:
            doubt = refusal  # it may have been done behind our back, and then the record has to learn of it
        except Refusal as refusal:
            if refusal.reason != _UNDECIDED:
                await self._store.write(lambda tx: self._give_up(tx, intent))
                raise
            doubt = refusal
        outcome = await self._asked(kind, cloud, intent, work, material, doubt)
        if outcome is None:
            await self._store.write(lambda tx: self._give_up(tx, intent))
            raise doubt
        return outcome

    async def _asked(
        self, kind: str, cloud: VaultSecrets, intent: Intent, work: Work, material: Material, doubt: Refusal
    ) -> Outcome | None:
        """What happened; None where the cloud's own answer and the state agree that nothing did.

        Raises `doubt`, leaving the intent to the finisher, where the request may still be on its way.
        """
        try:
            async with asyncio.timeout(ASK_LIMIT_S):
                work = await self._with_known(work)
                outcome = await ASKS[kind](cloud, work, material, self._clock.now())
        except (Refusal, TimeoutError):
            outcome = None
        else:
            if outcome is not None or "status" in doubt.facts:
                return outcome
        message = f"{doubt.facts.get('message', '')}; the operation stays open and is finished as soon as Azure answers"
        await self._intents.let_go(intent, doubt)
        raise Unavailable(_UNDECIDED, message=message)

    async def _patiently(self, act: Callable[[], Awaitable[T]], wait_s: int) -> T:
        """Tries again for up to `wait_s` while Azure is still changing the secret's state (409)."""
        give_up_at = _steady() + wait_s
        while True:
            try:
                return await act()
            except Conflict as refusal:
                if refusal.reason != "CloudConflict" or _steady() + POLL_S > give_up_at:
                    raise
            await asyncio.sleep(POLL_S)

    async def _with_known(self, work: Work) -> Work:
        if work.operation != CREATE:
            return work
        known = await records.versions_of(self._store, work.vault_id, work.name)
        return msgspec.structs.replace(work, known_versions=tuple(known))

    def _give_up(self, tx: Tx, intent: Intent) -> None:
        self._intents.end(tx, intent)
        Safe.remove(tx, conclusions.INTENT, intent.id)

    async def _conclude(self, intent: Intent, work: Work, vault: VaultRow, material: Material, outcome: Outcome) -> str:
        """Saves the outcome and ends the intent, in one transaction.

        Raises Conflict("CloudDiffers") where the cloud has something else than was wanted: the record says so then.
        """
        slot = work.backup or chance.token_hex(32)
        makes_record = work.operation in (CREATE, RESTORE_ELSEWHERE)
        record_id = Intents.new_id() if makes_record else work.secret_id
        sealed: list[Item] = []
        if outcome.backup is not None:
            sealed.append((conclusions.BACKUP, slot, outcome.backup))
        if self.echo and work.operation == CREATE and material.value is not None:
            sealed.append((conclusions.VALUE, record_id, material.value))
        now = self._clock.now()

        def change(tx: Tx) -> bool:
            self._give_up(tx, intent)
            backup = slot if outcome.backup is not None else work.backup
            return conclusions.save(tx, vault, work, outcome, record_id, backup, now)

        as_wanted = await self._safe.write(sealed, change)
        if not as_wanted:
            status = "no longer there" if outcome.status is None else outcome.status.value
            raise Conflict(
                "CloudDiffers",
                message=f"the secret was changed in Azure and is {status} there; the record says so now",
            )
        return record_id

    async def finish(self, intent: Intent) -> None:
        """Finishes an intent that was left open: asks the cloud first, and acts only if nothing happened.

        Raises the refusal that stands in the way; what is refused for good ends the intent instead.
        """
        work = msgspec.json.decode(intent.payload, type=Work)
        kind = intent.kind.removeprefix(KIND)
        vault = await vaults.by_id(self._store, work.domain_id, work.vault_id)
        if vault is None:
            await self._store.write(lambda tx: self._give_up(tx, intent))
            return
        material = await self._material(intent, work)
        cloud = await self._cloud(vault)
        work = await self._with_known(work)
        async with asyncio.timeout(ASK_LIMIT_S):
            outcome = await ASKS[kind](cloud, work, material, self._clock.now())
        if outcome is None:
            try:
                async with asyncio.timeout(ACT_LIMIT_S):
                    outcome = await ACTS[kind](cloud, work, material)
            except Unavailable:
                raise
            except Refusal as refusal:
                if refusal.reason == "CloudThrottled":
                    raise
                log.warning("%s was refused when it was finished: %s", intent.kind, refusal.reason)
                await self._store.write(lambda tx: self._give_up(tx, intent))
                return
        try:
            await self._conclude(intent, work, vault, material, outcome)
        except Conflict as refusal:
            if refusal.reason != "CloudDiffers":
                raise

    async def _material(self, intent: Intent, work: Work) -> Material:
        value = await self._safe.open(conclusions.INTENT, intent.id)
        backup = None if work.source is None else await self._safe.open(conclusions.BACKUP, work.source)
        return Material(value, backup)

    async def _reach(self, kind: str, point: str, name: str) -> None:
        """The points at which a test may end the process."""
        if self._switches is not None:
            await self._switches.meet("cckm", f"{kind}:{point}", name)

    async def settled(self, vault: VaultRow, name: str, status: Status, wait_s: int) -> None:
        """Waits up to `wait_s` until the cloud shows what it has accepted; simply ends where that takes longer."""
        if wait_s <= 0:
            return
        cloud = await self._cloud(vault)
        give_up_at = _steady() + wait_s
        while not await _shows(cloud, name, status):
            if _steady() + POLL_S > give_up_at:
                return
            await asyncio.sleep(POLL_S)


def _steady() -> float:
    """The machine's steady time: waits are real, whatever the product's clock is moved to."""
    return asyncio.get_running_loop().time()


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
