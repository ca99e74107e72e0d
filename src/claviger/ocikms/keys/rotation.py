"""Keys that rotate themselves get their new version when the day has come, or once as soon after it as the server runs.

A key is paused while it is not ENABLED or its vault not ACTIVE (OCI contract §7.3). What fails is noted on the key and
tried again later. Several servers on one database may each run this: the row says whether the version is still due.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from claviger.audit.trail import about, fail, withhold
from claviger.core.errors import Refusal
from claviger.crypto.material import Shape
from claviger.ocikms.keys import records, rules
from claviger.ocikms.keys.records import Key
from claviger.ocikms.materials import Materials, binding, scope
from claviger.ocikms.versions.operations import add_current, new_version
from claviger.ocikms.versions.records import Version
from claviger.ocikms.versions.rules import INTERNAL
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx

RETRY_S = 3600.0
SUCCESS, FAILED = "SUCCESS", "FAILED"

log = logging.getLogger("claviger.ocikms.rotation")


async def rotate_due(store: Store, keyring: Keyring, materials: Materials, now: float, limit: int) -> int:
    """Rotates up to `limit` keys that are due; how many of them were looked at. Raises what the store raises."""
    due = await records.due_rotations(store, now, limit)
    for key in due:
        try:
            await _rotate(store, keyring, materials, key, now)
        except Refusal as refusal:
            log.warning("the rotation of key %s failed and is put off: %s", key.id, refusal.reason)
            await store.write(_noting(key, refusal, now))
    return len(due)


async def next_due(store: Store) -> float | None:
    """When the next key that is not paused is to be rotated, in epoch seconds."""
    return await records.next_rotation(store)


async def _rotate(store: Store, keyring: Keyring, materials: Materials, key: Key, now: float) -> None:
    material = await materials.made(Shape(key.algorithm, key.length, key.curve_id))
    version = new_version(key, INTERNAL, now, public_key=material.public_pem, is_auto_rotated=1)

    def change(tx: Tx, data_key_id: int, sealed: bytes) -> None:
        found = _still_due(tx, key.id, now)
        if found is not None:
            _succeed(tx, found, msgspec.structs.replace(version, data_key_id=data_key_id), sealed, now)

    secret, bound_to = material.secret.reveal(), binding(version.id)
    await keyring.write_sealed(scope(key.vault_num), secret, bound_to, change, store)


def _still_due(tx: Tx, key_id: str, now: float) -> Key | None:
    """The key as the transaction sees it; None where somebody else was quicker, or it is paused by now."""
    key = records.by_id_in(tx, key_id)
    if key is None or not key.is_rotating or key.next_rotation_at is None or key.next_rotation_at > now:
        withhold()
        return None
    about("key", key.id, key.display_name, key.vault_id)
    return key


def _succeed(tx: Tx, key: Key, version: Version, sealed: bytes, now: float) -> None:
    noted = msgspec.structs.replace(
        key,
        last_rotation_at=now,
        last_rotation_status=SUCCESS,
        last_rotation_message=None,
        next_rotation_at=rules.next_rotation(key.rotation_start_at or now, key.rotation_interval_days or 1, now),
    )
    add_current(tx, noted, version, sealed, now)


def _noting(key: Key, refusal: Refusal, now: float) -> Callable[[Tx], None]:
    def change(tx: Tx) -> None:
        found = _still_due(tx, key.id, now)
        if found is None:
            return
        fail(refusal.reason)
        message = str(refusal.facts.get("message", refusal.reason))[: rules.MAX_MESSAGE_LENGTH]
        noted = msgspec.structs.replace(
            found,
            last_rotation_status=FAILED,
            last_rotation_message=message,
            next_rotation_at=now + RETRY_S,
            revision=found.revision + 1,
            updated_at=now,
        )
        records.replace(tx, noted)

    return change
