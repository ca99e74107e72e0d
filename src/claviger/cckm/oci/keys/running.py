"""How an operation on a key, or on one of its versions, is begun, done, and finished after a crash.

Whoever decides on one calls `Durable.run` with a function of the transaction that decides on the rows and says what is
to be done (`Work`). One key has at most one operation under way (docs/decisions/0007-durable-operations.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from claviger.audit.trail import BEGUN, DONE, Kept, about, current_trail, following, staged
from claviger.cckm.execution import ACT_LIMIT_S, ASK_LIMIT_S, SPARE_S, done_or_let_go, write_given_up
from claviger.cckm.oci.connections import records as connections
from claviger.cckm.oci.connections.cloud import OciClouds
from claviger.cckm.oci.keys import conclusions
from claviger.cckm.oci.keys.cloud import VaultKeys, vault_keys
from claviger.cckm.oci.keys.execution import Execution, Ground
from claviger.cckm.oci.keys.work import KIND, Material, Trade, Work
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.sealed import Item
from claviger.core.errors import NotFound, Unavailable
from claviger.core.sensitive import Sensitive
from claviger.jobs.intents import Intents
from claviger.jobs.records import Intent
from claviger.store.contract import Store, Tx

LEASE_S = ACT_LIMIT_S + 3 * ASK_LIMIT_S + SPARE_S


def subject_of(vault_id: str, ocid_or_name: str) -> str:
    """What an intent on a key is about; one that is to be made is known by its name."""
    return f"oci/{vault_id}/keys/{ocid_or_name}"


async def keys_of(store: Store, clouds: OciClouds, vault: OciVault) -> VaultKeys:
    """The way to the keys of a vault. Raises Conflict("ConnectionMissing"), and what the cloud does."""
    connection = await connections.of_vault(store, vault)
    return await vault_keys(clouds, connection, vault.management_endpoint, vault.region)


class Durable:
    """Runs and finishes operations. `trades` are all that there are, by the names that `Work.operation` has."""

    def __init__(self, ground: Ground, trades: Mapping[str, Trade]) -> None:
        self.ground = ground
        self._trades = dict(trades)

    @property
    def kinds(self) -> list[str]:
        """The kinds of intents that `finish` is for."""
        return [KIND + operation for operation in self._trades]

    async def run(
        self, vault: OciVault, name: str, decided: Callable[[Tx], Work], material: Material | None = None
    ) -> str:
        """Commits the intent, does it, saves the outcome; the record's id.

        `decided` reads the rows, decides, and says what is to be done; token, time and trail are filled in here. Raises
        what it raises, Conflict("OperationUnderWay"), NotFound where the vault is no longer managed, Conflict
        ("CloudDiffers"), the cloud's refusals; Unavailable("CloudUndecided") for what stays open.
        """
        ground = self.ground
        cloud = await keys_of(ground.store, ground.clouds, vault)
        ident = Intents.new_id()
        begun_at = ground.clock.now()
        trail = current_trail()
        kept = Kept() if trail is None else trail.kept()

        def begin(tx: Tx) -> tuple[Intent, Work]:
            if vaults.load(tx, vault.domain_id, vault.id) is None:
                raise NotFound("NotFound", message="the vault is no longer managed")
            final = msgspec.structs.replace(decided(tx), token=ident, begun_at=begun_at, trail=kept)
            about(*final.record, final.name, vault.name)
            staged(BEGUN)
            subject = subject_of(vault.id, final.ocid or final.name)
            kind = KIND + final.operation
            return ground.intents.begin(tx, ident, kind, subject, final, lease_s=LEASE_S), final

        given = material or Material()
        intent, work = await ground.safe.write(_sealed(ident, given), begin)
        execution = Execution(ground, self._trades[work.operation], cloud, vault, intent, work, given)
        return await done_or_let_go(execution.do(), ground.intents, intent)

    async def finish(self, intent: Intent) -> None:
        """Finishes an intent that was left open; a `jobs.intents.Finish`."""
        work = msgspec.json.decode(intent.payload, type=Work)
        trail = work.trail.resumed(self.ground.clock, "finisher")
        trail.stage = DONE
        trail.about(*work.record, work.name)
        with following(trail):
            await self._finish(intent, work)

    async def _finish(self, intent: Intent, work: Work) -> None:
        ground = self.ground
        vault = await vaults.by_id(ground.store, work.domain_id, work.vault_id)
        if vault is None:
            gone = NotFound("VaultGone", message="the vault is no longer managed")
            await write_given_up(ground.store, lambda tx: ground.give_up(tx, intent), gone)
            return
        about(*work.record, work.name, vault.name)
        material = await self._material(intent)
        cloud = await keys_of(ground.store, ground.clouds, vault)
        execution = Execution(ground, self._trades[work.operation], cloud, vault, intent, work, material)
        try:
            await execution.finish()
        except Unavailable as refusal:
            await ground.intents.let_go(intent, refusal, sent=execution.was_sent)
            raise

    async def _material(self, intent: Intent) -> Material:
        sealed = await self.ground.safe.open(conclusions.MATERIAL, intent.id)
        if sealed is None:
            return Material()
        algorithm, _, wrapped = sealed.reveal().partition(b"\n")
        return Material(Sensitive(wrapped), algorithm.decode())


def _sealed(ident: str, material: Material) -> list[Item]:
    if material.wrapped is None:
        return []
    both = material.algorithm.encode() + b"\n" + material.wrapped.reveal()
    return [(conclusions.MATERIAL, ident, Sensitive(both))]
