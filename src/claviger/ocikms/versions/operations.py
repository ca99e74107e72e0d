"""Every operation on key versions (OCI contract §5). What comes before a change is the same as for keys.

A new version is the current one at once: it and the key's `currentKeyVersion` are written in one transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from claviger.audit.trail import about, telling
from claviger.core.errors import Conflict, Invalid, Refusal
from claviger.crypto.material import Material, Shape
from claviger.ocikms import states
from claviger.ocikms.calls import Answer, Call, Verb
from claviger.ocikms.changing import Change, check_etag, once
from claviger.ocikms.errors import absent, wrong
from claviger.ocikms.keys import records as keys
from claviger.ocikms.keys import rules as key_rules
from claviger.ocikms.keys.operations import Unwraps, check_vault, is_seen, visible, visible_in
from claviger.ocikms.keys.records import Key
from claviger.ocikms.listing import listed, page_of
from claviger.ocikms.materials import Materials, binding, scope
from claviger.ocikms.ocids import new_version_ocid
from claviger.ocikms.texts import check_tags, read_body, read_time, written
from claviger.ocikms.vaults.operations import vault_at
from claviger.ocikms.versions import records, rules, wire
from claviger.ocikms.versions.records import Version
from claviger.ocikms.versions.rules import EXTERNAL, INTERNAL, Operation
from claviger.ocikms.versions.shown import answered, shown_summary
from claviger.ocikms.wrapping.wire import WrappedImportKey
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx

WHAT = "Key version"
Make = Callable[[], Awaitable[Material]]


def new_version(key: Key, origin: str, now: float, **more: Any) -> Version:
    """A version that a key is about to get."""
    given: dict[str, Any] = {
        "num": 0,
        "id": new_version_ocid(key.region, key.prefix),
        "key_num": key.num,
        "state": rules.State.ENABLED.value,
        "passing": "",
        "passing_until": 0.0,
        "deletes_at": None,
        "origin": origin,
        "is_auto_rotated": 0,
        "public_key": None,
        "restored_from": None,
        "data_key_id": None,
        "revision": 1,
        "created_at": now,
    }
    return Version(**{**given, **more})


def add_current(tx: Tx, key: Key, version: Version, sealed: bytes, now: float) -> Key:
    """Stores a version and makes it the current one; the key with it. `key` is as the transaction sees it."""
    records.add(tx, version, sealed)
    after = msgspec.structs.replace(key, current_version_id=version.id, revision=key.revision + 1, updated_at=now)
    keys.replace(tx, after)
    return after


def standing(tx: Tx, version_id: str, now: float) -> str | None:
    """Where a version is that a retry token was used for; deleted is gone."""
    found = records.by_id_in(tx, version_id)
    if found is None or found[1].shown_at(now, found[0]) == states.DELETED:
        return None
    return found[0].compartment_id


def seen(call: Call, found: tuple[Key, Version] | None, verb: Verb) -> tuple[Key, Version]:
    """Key and version themselves. Raises NotFound where there is none, or none for this caller at this host."""
    if found is None or not is_seen(call, found[0], verb):
        raise absent(WHAT)
    key, version = found
    about("version", version.id, key.display_name, key.id)
    return found


class Versions:
    """The operations. `settle_s` is how long a transitional state is shown."""

    def __init__(
        self, store: Store, keyring: Keyring, materials: Materials, wrapping: Unwraps, *, settle_s: float = 0.0
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._materials = materials
        self._wrapping = wrapping
        self._settle_s = settle_s

    async def create(self, call: Call) -> Answer:
        """CreateKeyVersion: new material of the key's shape. Raises NotFound, Conflict, Invalid, Throttled."""
        body = read_body(call.body, wire.CreateKeyVersionDetails)
        key = await visible(self._store, call, call.path["keyId"], call.route.verb)

        async def made() -> Material:
            if body.external_key_version_id is not None:
                raise wrong("externalKeyVersionId", "is only for a key with protectionMode EXTERNAL")
            return await self._materials.made(Shape(key.algorithm, key.length, key.curve_id))

        return await self._rotate(call, key, INTERNAL, made)

    async def import_(self, call: Call) -> Answer:
        """ImportKeyVersion: material that somebody wrapped. Raises NotFound, Conflict, Invalid, Throttled."""
        body = read_body(call.body, wire.ImportKeyVersionDetails)
        key = await visible(self._store, call, call.path["keyId"], call.route.verb)

        async def made() -> Material:
            check_tags(body.freeform_tags, body.defined_tags)
            return await self._unwrapped(call, key, body.wrapped_import_key)

        return await self._rotate(call, key, EXTERNAL, made)

    async def _unwrapped(self, call: Call, key: Key, wrapped: WrappedImportKey) -> Material:
        key_rules.check_import(key.algorithm)
        vault = await vault_at(self._store, call)
        return await self._wrapping.unwrapped(vault, wrapped, Shape(key.algorithm, key.length, key.curve_id))

    async def _rotate(self, call: Call, key: Key, origin: str, make: Make) -> Answer:
        try:
            _check_rotates(key, call.now)
            material = await make()
        except (Invalid, Conflict) as refusal:
            return await self._store.write(self._rotating(call, refusal))
        version = new_version(
            key, origin, call.now, public_key=material.public_pem, **self._passing("CREATING", call.now)
        )

        def change(tx: Tx, data_key_id: int, sealed: bytes) -> Answer:
            stored = msgspec.structs.replace(version, data_key_id=data_key_id)
            return self._rotating(call, (stored, sealed))(tx)

        secret, bound_to = material.secret.reveal(), binding(version.id)
        return await self._keyring.write_sealed(scope(key.vault_num), secret, bound_to, change, self._store)

    def _rotating(self, call: Call, ready: tuple[Version, bytes] | Refusal) -> Change:
        """Gives the key its new version. What went wrong while that was made is said after what the row says."""

        def change(tx: Tx) -> Answer:
            key = visible_in(tx, call, call.path["keyId"], call.route.verb)

            def acted(tx: Tx) -> Answer:
                _check_rotates(key, call.now)
                if isinstance(ready, Refusal):
                    raise ready
                version, sealed = ready
                about("version", version.id, key.display_name, key.id)
                after = add_current(tx, key, version, sealed, call.now)
                return answered(after, version, call.now, rules.State.CREATING.value)

            return once(call, acted, lambda tx, ident: standing(tx, ident, call.now))(tx)

        return change

    def _passing(self, state: str, now: float) -> dict[str, Any]:
        if self._settle_s > 0:
            return {"passing": state, "passing_until": now + self._settle_s}
        return {"passing": "", "passing_until": 0.0}

    async def get(self, call: Call) -> Answer:
        """GetKeyVersion. Raises NotFound."""
        found = await records.find(self._store, call.path["keyId"], call.path["keyVersionId"])
        key, version = seen(call, found, Verb.READ)
        return answered(key, version, call.now)

    async def list(self, call: Call) -> Answer:
        """ListKeyVersions, deleted ones too. Raises NotFound, Invalid."""
        key = await visible(self._store, call, call.path["keyId"], Verb.INSPECT)
        page = page_of(call)
        found = await records.page(self._store, key.num, page)
        return listed(
            page,
            found,
            lambda version: records.place_of(page, version),
            lambda version: shown_summary(key, version, call.now),
        )

    async def schedule_deletion(self, call: Call) -> Answer:
        """ScheduleKeyVersionDeletion, of any version but the current one. Raises NotFound, Conflict, Invalid."""
        body = read_body(call.body, wire.ScheduleKeyVersionDeletionDetails)

        def act(key: Key, version: Version) -> Version:
            rules.check_not_current(version.id, key.current_version_id)
            deletes_at = states.deletion_at(read_time("timeOfDeletion", body.time_of_deletion), call.now)
            telling(time_of_deletion=written(deletes_at))
            return msgspec.structs.replace(
                version,
                state=states.PENDING_DELETION,
                deletes_at=deletes_at,
                **self._passing("SCHEDULING_DELETION", call.now),
            )

        return await self._store.write(_changed(act, call, Operation.SCHEDULE_DELETION))

    async def cancel_deletion(self, call: Call) -> Answer:
        """CancelKeyVersionDeletion. Raises NotFound, Conflict."""

        def act(key: Key, version: Version) -> Version:
            return msgspec.structs.replace(
                version,
                state=rules.State.ENABLED.value,
                deletes_at=None,
                **self._passing("CANCELLING_DELETION", call.now),
            )

        return await self._store.write(_changed(act, call, Operation.CANCEL_DELETION))


def _check_rotates(key: Key, now: float) -> None:
    check_vault(key, now)
    key_rules.decide(key_rules.Operation.ROTATE, key.shown_at(now), key.id)


def _changed(act: Callable[[Key, Version], Version], call: Call, operation: Operation) -> Change:
    """The change of one version that is there already, with all that comes before the change itself."""
    now = call.now

    def change(tx: Tx) -> Answer:
        found = records.find_in(tx, call.path["keyId"], call.path["keyVersionId"])
        key, version = seen(call, found, call.route.verb)

        def acted(tx: Tx) -> Answer:
            check_etag(call, version.etag_at(now, key))
            check_vault(key, now)
            key_rules.decide(key_rules.Operation.CHANGE_VERSION, key.shown_at(now), key.id)
            showing = rules.decide(operation, version.shown_at(now, key), version.id)
            after = msgspec.structs.replace(act(key, version), revision=version.revision + 1)
            records.replace(tx, after)
            return answered(key, after, now, showing.value)

        return once(call, acted, lambda tx, ident: standing(tx, ident, now))(tx)

    return change
