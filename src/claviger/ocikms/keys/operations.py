"""Every operation on keys but their backups (OCI contract §4).

A change decides on the row that it changes, in its transaction: first whether the caller may see the key, then the
retry token, the etag, the states of vault and key, the values. A key of another vault than the host's is as if there
were none. Material is made or unwrapped before the transaction; where that fails, the transaction still speaks first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from claviger.audit.trail import about, telling
from claviger.core.errors import Invalid, NotFound, Refusal
from claviger.crypto.material import Material, Shape
from claviger.ocikms import states
from claviger.ocikms.calls import Answer, Call, Told, Verb
from claviger.ocikms.changing import Change, check_etag, once
from claviger.ocikms.errors import absent, wrong, wrong_state
from claviger.ocikms.keys import records, rules, wire
from claviger.ocikms.keys.records import Key
from claviger.ocikms.keys.rules import Operation
from claviger.ocikms.keys.schedules import Order, ordered
from claviger.ocikms.keys.shown import ShownKeys, answered, answered_bare, shown_summary
from claviger.ocikms.listing import listed, page_of
from claviger.ocikms.materials import Materials, binding, scope
from claviger.ocikms.ocids import new_regional_ocid, new_version_ocid
from claviger.ocikms.placing import check_place, check_right
from claviger.ocikms.texts import check_tags, display_name, read_body, read_time, written
from claviger.ocikms.vaults.operations import vault_at, writable
from claviger.ocikms.vaults.records import Vault
from claviger.ocikms.versions import records as versions
from claviger.ocikms.versions.records import Version
from claviger.ocikms.versions.rules import EXTERNAL, INTERNAL
from claviger.ocikms.wrapping.wire import WrappedImportKey
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx

ACTIVE = "ACTIVE"
Act = Callable[[Tx, Key], Key]
"""Makes of a key the changed one. Raises Invalid for values that cannot be used."""


class Unwraps(Protocol):
    """What opens material that was wrapped to a vault's key (`ocikms.wrapping`)."""

    async def unwrapped(self, vault: Vault, wrapped: WrappedImportKey, shape: Shape) -> Material:
        """The material. Raises Invalid where it is not what it should be."""
        ...


async def visible(store: Store, call: Call, key_id: str, verb: Verb) -> Key:
    """The key of an OCID in the vault of the host, as far as the caller may do `verb` to it. Raises NotFound."""
    return seen(call, await records.find(store, key_id), verb)


def visible_in(tx: Tx, call: Call, key_id: str, verb: Verb) -> Key:
    """The same inside a change."""
    return seen(call, records.by_id_in(tx, key_id), verb)


def is_seen(call: Call, key: Key, verb: Verb) -> bool:
    """Whether a key is in the vault of the host and the caller may do `verb` to it."""
    return key.is_at(call.caller.tenancy_num, call.place) and call.sight.may(verb, key.compartment_id)


def seen(call: Call, key: Key | None, verb: Verb) -> Key:
    """The key itself. Raises NotFound where there is none, or none for this caller at this host."""
    if key is None or not is_seen(call, key, verb):
        raise absent("Key")
    about("key", key.id, key.display_name, key.vault_id)
    return key


def check_vault(key: Key, now: float) -> None:
    """Raises Conflict("WrongState") unless what is in the key's vault may be changed now (§8.4)."""
    state = key.vault_shown_at(now)
    if state != ACTIVE:
        raise wrong_state("Vault", key.vault_id, state)


def standing(tx: Tx, key_id: str, now: float) -> str | None:
    """Where a key is that a retry token was used for; deleted is gone."""
    key = records.by_id_in(tx, key_id)
    return None if key is None or key.shown_at(now) == states.DELETED else key.compartment_id


def changed(act: Act, call: Call, operation: Operation, *, bare: bool = False) -> Change:
    """The change of one key that is there already, with all that comes before the change itself.

    For backups too. Raises NotFound, Conflict("RetryToken", "Etag", "WrongState") and what the act raises.
    """
    now = call.now

    def change(tx: Tx) -> Answer:
        key = visible_in(tx, call, call.path["keyId"], call.route.verb)

        def acted(tx: Tx) -> Answer:
            check_etag(call, key.etag_at(now))
            check_vault(key, now)
            showing = rules.decide(operation, key.shown_at(now), key.id)
            after = msgspec.structs.replace(act(tx, key), revision=key.revision + 1, updated_at=now)
            records.replace(tx, after)
            return answered_bare(after, now) if bare else answered(after, now, showing.value)

        return once(call, acted, lambda tx, ident: standing(tx, ident, now))(tx)

    return change


class Keys:
    """The operations. `settle_s` is how long a transitional state is shown."""

    def __init__(
        self, store: Store, keyring: Keyring, materials: Materials, wrapping: Unwraps, *, settle_s: float = 0.0
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._materials = materials
        self._wrapping = wrapping
        self._settle_s = settle_s
        self._shown = ShownKeys()

    # Keys that are new.

    async def create(self, call: Call) -> Answer:
        """CreateKey. Raises NotFound, Conflict, Invalid, Throttled."""
        return await self._make(call, read_body(call.body, wire.CreateKeyDetails), None)

    async def import_(self, call: Call) -> Answer:
        """ImportKey. Raises NotFound, Conflict, Invalid, Throttled."""
        body = read_body(call.body, wire.ImportKeyDetails)
        return await self._make(call, body, body.wrapped_import_key)

    async def _make(self, call: Call, body: wire.CreateKeyDetails, wrapped: WrappedImportKey | None) -> Answer:
        vault = await vault_at(self._store, call)
        call.require(Verb.USE, vault.compartment_id, "Vault")
        check_right(call, body.compartment_id)
        key = material = None
        refusal: Refusal = wrong_state("Vault", vault.id, vault.shown_at(call.now))
        if vault.shown_at(call.now) == ACTIVE:
            try:
                key = self._drafted(call, vault, body, is_import=wrapped is not None)
                shape = Shape(key.algorithm, key.length, key.curve_id)
                if wrapped is None:
                    material = await self._materials.made(shape)
                else:
                    material = await self._wrapping.unwrapped(vault, wrapped, shape)
            except Invalid as problem:
                refusal = problem
        if key is None or material is None:
            return await self._store.write(self._new(call, vault, _raising(refusal)))
        return await self._stored(call, vault, key, material, INTERNAL if wrapped is None else EXTERNAL)

    async def _stored(self, call: Call, vault: Vault, key: Key, material: Material, origin: str) -> Answer:
        def change(tx: Tx, data_key_id: int, sealed: bytes) -> Answer:
            def added(tx: Tx) -> Answer:
                check_place(tx, call, key.compartment_id)
                about("key", key.id, key.display_name, key.vault_id)
                stored = msgspec.structs.replace(key, num=records.add(tx, key))
                version = first_version(stored, origin, material.public_pem, data_key_id)
                versions.add(tx, version, sealed)
                return answered(stored, call.now, rules.State.CREATING.value)

            return self._new(call, vault, added)(tx)

        secret, bound_to = material.secret.reveal(), binding(key.current_version_id)
        return await self._keyring.write_sealed(scope(vault.num), secret, bound_to, change, self._store)

    def _new(self, call: Call, vault: Vault, add: Change) -> Change:
        """`add` once for its retry token, if the vault may be added to."""

        def change(tx: Tx) -> Answer:
            writable(tx, vault.num, call.now)
            return add(tx)

        return once(call, change, lambda tx, ident: standing(tx, ident, call.now))

    def _drafted(self, call: Call, vault: Vault, body: wire.CreateKeyDetails, *, is_import: bool) -> Key:
        mode = rules.check_protection(body.protection_mode, body.external_key_reference is not None)
        asked = body.key_shape
        algorithm, length, curve_id = rules.check_shape(asked.algorithm, asked.length, asked.curve_id)
        if is_import:
            rules.check_import(algorithm)
        check_tags(body.freeform_tags, body.defined_tags)
        details = body.auto_key_rotation_details
        order = ordered(Order(), body.is_auto_rotation_enabled, details, vault.vault_type, call.now)
        new: dict[str, Any] = {
            "num": 0,
            "id": new_regional_ocid("key", vault.region, vault.prefix),
            "vault_num": vault.num,
            "compartment_id": body.compartment_id,
            "display_name": display_name("displayName", body.display_name),
            "algorithm": algorithm,
            "length": length,
            "curve_id": curve_id,
            "protection_mode": mode,
            "current_version_id": new_version_ocid(vault.region, vault.prefix),
            "state": rules.State.ENABLED.value,
            "previous_state": None,
            "deletes_at": None,
            "by_vault": 0,
            "last_rotation_at": None,
            "last_rotation_status": None,
            "last_rotation_message": None,
            "freeform_tags": text_of(body.freeform_tags or {}),
            "defined_tags": text_of(body.defined_tags or {}),
            "restored_from": None,
            "revision": 1,
            "created_at": call.now,
            "updated_at": call.now,
        }
        return Key(**new, **self._passing("CREATING", call.now), **_columns_of(order), **records.of_vault(vault))

    def _passing(self, state: str, now: float) -> dict[str, Any]:
        if self._settle_s > 0:
            return {"passing": state, "passing_until": now + self._settle_s}
        return {"passing": "", "passing_until": 0.0}

    # Keys that are there.

    async def get(self, call: Call) -> Answer:
        """GetKey. Raises NotFound."""
        return answered(await visible(self._store, call, call.path["keyId"], Verb.READ), call.now)

    def get_now(self, call: Call) -> Told | None:
        """The same without waiting; None where it would have to wait or to refuse. The hot path."""
        row = records.row_now(self._store, call.path["keyId"])
        if row is None:
            return None
        shown = self._shown.of(row)
        return shown.told(call.now) if is_seen(call, shown.key, Verb.READ) else None

    async def list(self, call: Call) -> Answer:
        """ListKeys: the keys of this vault directly in the compartment, deleted ones too. Raises NotFound, Invalid."""
        compartment_id = call.required("compartmentId")
        vault = await vault_at(self._store, call)
        if not call.sight.may(Verb.INSPECT, compartment_id):
            raise NotFound("Absent")
        page, only = page_of(call), _filters(call)
        found = await records.page(self._store, vault, compartment_id, page, only)
        return listed(page, found, lambda key: records.place_of(page, key), lambda key: shown_summary(key, call.now))

    async def update(self, call: Call) -> Answer:
        """UpdateKey: name, tags, rotation by itself. Raises NotFound, Conflict, Invalid."""
        body = read_body(call.body, wire.UpdateKeyDetails)

        def act(tx: Tx, key: Key) -> Key:
            check_tags(body.freeform_tags, body.defined_tags)
            before = Order(
                key.is_auto_rotated != 0, key.rotation_interval_days, key.rotation_start_at, key.next_rotation_at
            )
            asked = body.auto_key_rotation_details
            order = ordered(before, body.is_auto_rotation_enabled, asked, key.vault_type, call.now)
            given = _columns_of(order)
            if body.display_name is not None:
                given["display_name"] = display_name("displayName", body.display_name)
            if body.freeform_tags is not None:
                given["freeform_tags"] = text_of(body.freeform_tags)
            if body.defined_tags is not None:
                given["defined_tags"] = text_of(body.defined_tags)
            return msgspec.structs.replace(key, **given)

        return await self._store.write(changed(act, call, Operation.UPDATE))

    async def enable(self, call: Call) -> Answer:
        """EnableKey. Raises NotFound, Conflict."""
        return await self._switch(call, Operation.ENABLE, rules.State.ENABLING)

    async def disable(self, call: Call) -> Answer:
        """DisableKey. Raises NotFound, Conflict."""
        return await self._switch(call, Operation.DISABLE, rules.State.DISABLING)

    async def _switch(self, call: Call, operation: Operation, passing: rules.State) -> Answer:
        def act(tx: Tx, key: Key) -> Key:
            to = rules.SETTLES[passing].value
            return msgspec.structs.replace(key, state=to, **self._passing(passing.value, call.now))

        return await self._store.write(changed(act, call, operation))

    async def schedule_deletion(self, call: Call) -> Answer:
        """ScheduleKeyDeletion, in 30 days where no time is given (§8.2). Raises NotFound, Conflict, Invalid."""
        body = read_body(call.body, wire.ScheduleKeyDeletionDetails)

        def act(tx: Tx, key: Key) -> Key:
            deletes_at = states.deletion_at(read_time("timeOfDeletion", body.time_of_deletion), call.now)
            telling(time_of_deletion=written(deletes_at))
            return msgspec.structs.replace(
                key,
                state=states.PENDING_DELETION,
                previous_state=key.state,
                deletes_at=deletes_at,
                by_vault=0,
                **self._passing("SCHEDULING_DELETION", call.now),
            )

        return await self._store.write(changed(act, call, Operation.SCHEDULE_DELETION))

    async def cancel_deletion(self, call: Call) -> Answer:
        """CancelKeyDeletion: back to the state before (§8.3). Raises NotFound, Conflict."""

        def act(tx: Tx, key: Key) -> Key:
            return msgspec.structs.replace(
                key,
                state=key.previous_state or rules.State.ENABLED.value,
                previous_state=None,
                deletes_at=None,
                by_vault=0,
                **self._passing("CANCELLING_DELETION", call.now),
            )

        return await self._store.write(changed(act, call, Operation.CANCEL_DELETION))

    async def move(self, call: Call) -> Answer:
        """ChangeKeyCompartment, within the tenancy; the vault stays. Raises NotFound, Conflict, Invalid."""
        body = read_body(call.body, wire.ChangeKeyCompartmentDetails)

        def act(tx: Tx, key: Key) -> Key:
            check_place(tx, call, body.compartment_id)
            telling(from_compartment=key.compartment_id, to_compartment=body.compartment_id)
            passing = self._passing("UPDATING", call.now)
            return msgspec.structs.replace(key, compartment_id=body.compartment_id, **passing)

        return await self._store.write(changed(act, call, Operation.CHANGE_COMPARTMENT, bare=True))

    async def replication_status(self, call: Call) -> Answer:
        """GetReplicationStatus: nothing is replicated here, so there is none (§7.5). Raises NotFound."""
        await vault_at(self._store, call)
        raise absent("Replication")


def first_version(key: Key, origin: str, public_pem: str | None, data_key_id: int) -> Version:
    """The version that a new key begins with; the state that passes is the key's."""
    return Version(
        num=0,
        id=key.current_version_id,
        key_num=key.num,
        state=rules.State.ENABLED.value,
        passing=key.passing,
        passing_until=key.passing_until,
        deletes_at=None,
        origin=origin,
        is_auto_rotated=0,
        public_key=public_pem,
        restored_from=None,
        data_key_id=data_key_id,
        revision=1,
        created_at=key.created_at,
    )


def _raising(refusal: Refusal) -> Change:
    def change(tx: Tx) -> Answer:
        raise refusal

    return change


def _columns_of(order: Order) -> dict[str, Any]:
    return {
        "is_auto_rotated": int(order.is_on),
        "rotation_interval_days": order.interval_days,
        "rotation_start_at": order.start_at,
        "next_rotation_at": order.next_at,
    }


def _filters(call: Call) -> dict[str, str | int]:
    """Column -> value of the filters of ListKeys. Raises Invalid."""
    only: dict[str, str | int] = {}
    for name, column, choices in (
        ("protectionMode", "protection_mode", rules.PROTECTION_MODES),
        ("algorithm", "algorithm", rules.ALGORITHMS),
        ("curveId", "curve_id", tuple(rules.CURVES)),
    ):
        chosen = call.chosen(name, choices, "")
        if chosen:
            only[column] = chosen
    length = call.query.get("length")
    if length:
        if not (length.isascii() and length.isdigit() and len(length) <= 9):
            raise wrong("length", "must be a whole number of bytes")
        only["length"] = int(length)
    return only


def text_of(tags: dict[str, Any]) -> str:
    """Tags as they are stored."""
    return msgspec.json.encode(tags).decode()
