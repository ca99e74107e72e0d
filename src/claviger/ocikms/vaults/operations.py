"""Every operation on vaults but their backups (OCI contract §3), and what keys and secrets need to know of theirs.

A change decides on the row that it changes, in its transaction: first whether the caller may see the vault, then the
retry token, the etag, the state, the values. A vault that the caller may not see, or of another region than the host
that was asked, is as if there were none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from claviger.audit.trail import about, telling
from claviger.core.errors import Invalid, NotFound
from claviger.ocikms import states
from claviger.ocikms.calls import Answer, Call, Verb
from claviger.ocikms.changing import Change, Standing, check_etag, once
from claviger.ocikms.errors import absent, wrong
from claviger.ocikms.keys import records as keys
from claviger.ocikms.listing import listed, page_of
from claviger.ocikms.ocids import new_prefix, new_regional_ocid
from claviger.ocikms.placing import check_place, check_right
from claviger.ocikms.texts import check_tags, display_name, read_body, read_time, written
from claviger.ocikms.vaults import records, rules, wire
from claviger.ocikms.vaults.records import Vault
from claviger.ocikms.vaults.rules import Operation
from claviger.ocikms.vaults.shown import answered, answered_bare, shown_summary
from claviger.store.contract import Store, Tx

Act = Callable[[Tx, Vault], tuple[Vault, str]]
"""Makes of a vault the changed one, and says which state the answer shows ("" for the one it is in)."""


async def vault_at(store: Store, call: Call) -> Vault:
    """The vault of the host that was asked. Raises NotFound unless it is of the caller's tenancy and not deleted."""
    prefix = call.place.prefix
    if prefix is None:  # a path of keys at the regional host
        raise NotFound("Absent")
    vault = await records.by_prefix(store, prefix)
    if vault is None or not _is_near(call, vault) or vault.shown_at(call.now) == states.DELETED:
        raise absent("Vault")
    return vault


def writable(tx: Tx, vault_num: int, now: float) -> Vault:
    """The vault, if what is in it may be changed now. Raises Conflict("WrongState")."""
    vault = records.in_tx(tx, vault_num)
    rules.decide(Operation.FILL, vault.shown_at(now), vault.id)
    return vault


async def visible(store: Store, call: Call, vault_id: str, verb: Verb) -> Vault:
    """The vault of an OCID, as far as the caller may do `verb` where it lies. Raises NotFound."""
    return _seen(call, await records.find(store, vault_id), verb)


def visible_in(tx: Tx, call: Call, vault_id: str, verb: Verb) -> Vault:
    """The same inside a change."""
    return _seen(call, records.by_id_in(tx, vault_id), verb)


def _seen(call: Call, vault: Vault | None, verb: Verb) -> Vault:
    if vault is None or not _is_near(call, vault):
        raise absent("Vault")
    call.require(verb, vault.compartment_id, "Vault")
    about("vault", vault.id, vault.display_name, vault.compartment_id)
    return vault


def _is_near(call: Call, vault: Vault) -> bool:
    return vault.tenancy_num == call.caller.tenancy_num and vault.region == call.place.region


def standing_at(now: float) -> Standing:
    """Where a vault is that a retry token was used for; deleted is gone."""

    def standing(tx: Tx, vault_id: str) -> str | None:
        vault = records.by_id_in(tx, vault_id)
        return None if vault is None or vault.shown_at(now) == states.DELETED else vault.compartment_id

    return standing


def changed(store_change: Act, call: Call, operation: Operation, verb: Verb, *, bare: bool = False) -> Change:
    """The change of one vault that is there already, with all that comes before the change itself.

    For backups too. Raises NotFound, Conflict("RetryToken", "Etag", "WrongState") and what the act raises.
    """
    vault_id = call.path["vaultId"]

    def change(tx: Tx) -> Answer:
        vault = visible_in(tx, call, vault_id, verb)

        def acted(tx: Tx) -> Answer:
            check_etag(call, vault.etag_at(call.now))
            rules.decide(operation, vault.shown_at(call.now), vault.id)
            after, showing = store_change(tx, vault)
            if after is not vault:
                after = msgspec.structs.replace(after, revision=vault.revision + 1, updated_at=call.now)
                records.replace(tx, after)
            return answered_bare(call, after) if bare else answered(call, after, showing)

        return once(call, acted, standing_at(call.now))(tx)

    return change


class Vaults:
    """The operations. `settle_s` is how long a transitional state is shown; `slots` how many vaults get a port."""

    def __init__(self, store: Store, *, settle_s: float = 0.0, slots: int = 0) -> None:
        self._store = store
        self._settle_s = settle_s
        self._slots = slots

    async def create(self, call: Call) -> Answer:
        """CreateVault. Raises Invalid."""
        body = read_body(call.body, wire.CreateVaultDetails)
        check_right(call, body.compartment_id)

        def change(tx: Tx) -> Answer:
            check_place(tx, call, body.compartment_id)
            vault = records.insert(tx, self._drafted(tx, call, body))
            about("vault", vault.id, vault.display_name, vault.compartment_id)
            return answered(call, vault, "CREATING")

        return await self._store.write(once(call, change, standing_at(call.now)))

    def _drafted(self, tx: Tx, call: Call, body: wire.CreateVaultDetails) -> Vault:
        prefix = new_prefix()
        passing, until = self._passing("CREATING", call)
        check_tags(body.freeform_tags, body.defined_tags)
        return Vault(
            id=new_regional_ocid("vault", call.place.region, prefix),
            tenancy_num=call.caller.tenancy_num,
            region=call.place.region,
            prefix=prefix,
            slot=self.free_slot(tx),
            compartment_id=body.compartment_id,
            display_name=display_name("displayName", body.display_name),
            vault_type=rules.check_type(body.vault_type, body.external_key_manager_metadata is not None),
            passing=passing,
            passing_until=until,
            freeform_tags=_text(body.freeform_tags or {}),
            defined_tags=_text(body.defined_tags or {}),
            wrapping_key_id=new_regional_ocid("key", call.place.region, prefix),
            created_at=call.now,
            updated_at=call.now,
        )

    def free_slot(self, tx: Tx) -> int | None:
        """The number of a port for a new vault; None where there are none (left): it is reached by name."""
        return rules.lowest_free(records.slots_taken(tx), self._slots) if self._slots else None

    def _passing(self, state: str, call: Call) -> tuple[str, float]:
        return (state, call.now + self._settle_s) if self._settle_s > 0 else ("", 0.0)

    async def get(self, call: Call) -> Answer:
        """GetVault. Raises NotFound."""
        return answered(call, await visible(self._store, call, call.path["vaultId"], Verb.READ))

    async def list(self, call: Call) -> Answer:
        """ListVaults: what lies directly in the compartment, deleted ones too. Raises NotFound, Invalid."""
        compartment_id = call.required("compartmentId")
        page = page_of(call)
        if not call.sight.may(Verb.INSPECT, compartment_id):
            raise NotFound("Absent")
        found = await records.page(self._store, compartment_id, call.place.region, page)
        return listed(
            page, found, lambda vault: records.place_of(page, vault), lambda vault: shown_summary(call, vault)
        )

    async def update(self, call: Call) -> Answer:
        """UpdateVault: name and tags. Raises NotFound, Conflict, Invalid."""
        body = read_body(call.body, wire.UpdateVaultDetails)

        def act(tx: Tx, vault: Vault) -> tuple[Vault, str]:
            given: dict[str, Any] = {}
            if body.display_name is not None:
                given["display_name"] = display_name("displayName", body.display_name)
            check_tags(body.freeform_tags, body.defined_tags)
            if body.freeform_tags is not None:
                given["freeform_tags"] = _text(body.freeform_tags)
            if body.defined_tags is not None:
                given["defined_tags"] = _text(body.defined_tags)
            return msgspec.structs.replace(vault, **given), ""

        return await self._store.write(changed(act, call, Operation.UPDATE, Verb.USE))

    async def schedule_deletion(self, call: Call) -> Answer:
        """ScheduleVaultDeletion, with all keys not scheduled yet (§8.4). Raises NotFound, Conflict, Invalid."""
        body = read_body(call.body, wire.ScheduleDeletionDetails)
        passing, until = self._passing("SCHEDULING_DELETION", call)

        def act(tx: Tx, vault: Vault) -> tuple[Vault, str]:
            deletes_at = states.deletion_at(read_time("timeOfDeletion", body.time_of_deletion), call.now)
            rules.check_key_dates(keys.latest_deletion(tx, vault.num), deletes_at)
            count = keys.schedule_with_vault(tx, vault.num, deletes_at, passing, until, call.now)
            telling(time_of_deletion=written(deletes_at), keys=count)
            return msgspec.structs.replace(
                vault,
                state=rules.State.PENDING_DELETION.value,
                deletes_at=deletes_at,
                passing=passing,
                passing_until=until,
            ), "SCHEDULING_DELETION"

        return await self._store.write(changed(act, call, Operation.SCHEDULE_DELETION, Verb.MANAGE))

    async def cancel_deletion(self, call: Call) -> Answer:
        """CancelVaultDeletion: the vault and the keys that went with it (§8.3). Raises NotFound, Conflict.

        The vault is ACTIVE at once, as the real one was recorded; its keys pass through CANCELLING_DELETION.
        """
        read_body(call.body, _Empty)
        passing, until = self._passing("CANCELLING_DELETION", call)

        def act(tx: Tx, vault: Vault) -> tuple[Vault, str]:
            telling(keys=keys.cancel_with_vault(tx, vault.num, passing, until, call.now))
            active = rules.State.ACTIVE.value
            return msgspec.structs.replace(vault, state=active, deletes_at=None, passing="", passing_until=0.0), ""

        return await self._store.write(changed(act, call, Operation.CANCEL_DELETION, Verb.MANAGE))

    async def move(self, call: Call) -> Answer:
        """ChangeVaultCompartment; keys stay where they are. Raises NotFound, Conflict, Invalid."""
        body = read_body(call.body, wire.ChangeCompartmentDetails)
        passing, until = self._passing("UPDATING", call)

        def act(tx: Tx, vault: Vault) -> tuple[Vault, str]:
            check_place(tx, call, body.compartment_id)
            telling(from_compartment=vault.compartment_id, to_compartment=body.compartment_id)
            return msgspec.structs.replace(
                vault, compartment_id=body.compartment_id, passing=passing, passing_until=until
            ), ""

        return await self._store.write(changed(act, call, Operation.MOVE, Verb.MANAGE, bare=True))

    async def usage(self, call: Call) -> Answer:
        """GetVaultUsage. Raises NotFound."""
        vault = await visible(self._store, call, call.path["vaultId"], Verb.READ)
        is_there = vault.shown_at(call.now) != states.DELETED
        found = await keys.usage(self._store, vault.num, call.now) if is_there else keys.Usage()
        return Answer(
            body=wire.VaultUsage(
                key_count=found.keys,
                key_version_count=found.versions,
                software_key_count=found.software_keys,
                software_key_version_count=found.software_versions,
            )
        )

    async def list_replicas(self, call: Call) -> Answer:
        """ListVaultReplicas: there are none. Raises NotFound, Invalid."""
        page = page_of(call)
        vault = await visible(self._store, call, call.path["vaultId"], Verb.READ)
        check_etag(call, vault.etag_at(call.now))
        return Answer(body=[], limit=page.limit, etag=vault.etag_at(call.now))

    async def create_replica(self, call: Call) -> Answer:
        """CreateVaultReplica: nothing for the vault's own region; no other one can have a replica (§3, §7.5).

        Raises NotFound, Conflict, Invalid.
        """
        body = read_body(call.body, wire.ReplicaDetails)

        def act(tx: Tx, vault: Vault) -> tuple[Vault, str]:
            if body.replica_region != vault.region:
                raise wrong("replicaRegion", "cannot be used: this vault is not replicable")
            return vault, ""

        return await self._store.write(changed(act, call, Operation.REPLICATE, Verb.MANAGE, bare=True))

    async def delete_replica(self, call: Call) -> Answer:
        """DeleteVaultReplica: there is none to delete. Raises NotFound, Conflict, Invalid."""
        read_body(call.body, wire.ReplicaDetails)

        def act(tx: Tx, vault: Vault) -> tuple[Vault, str]:
            raise wrong("replicaRegion", "has no replica of this vault")

        return await self._store.write(changed(act, call, Operation.REPLICATE, Verb.MANAGE, bare=True))

    async def update_registered_for_mtls(self, call: Call) -> Answer:
        """UpdateRegisteredVaultForMtls, which is not offered. Raises NotFound, Invalid("NotOffered")."""
        read_body(call.body, wire.UpdateRegisteredVaultForMtlsDetails)
        vault = await visible(self._store, call, call.path["vaultId"], Verb.USE)
        check_etag(call, vault.etag_at(call.now))
        raise Invalid("NotOffered", message="This service has no vaults that are registered for mutual TLS.")


class _Empty(msgspec.Struct):
    """The body of an operation that has none."""


def _text(tags: dict[str, Any]) -> str:
    return msgspec.json.encode(tags).decode()
