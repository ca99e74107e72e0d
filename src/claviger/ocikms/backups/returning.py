"""One key put back with its versions, within the transaction that restores it: in its own row, if that is there."""

from __future__ import annotations

from collections.abc import Mapping

from claviger.ocikms import states
from claviger.ocikms.backups import records, rules, wire
from claviger.ocikms.keys import records as key_records
from claviger.ocikms.keys.records import Key
from claviger.ocikms.keys.rules import next_rotation
from claviger.ocikms.vaults.records import Vault
from claviger.ocikms.versions import records as version_records
from claviger.ocikms.versions.records import Version
from claviger.store.contract import Tx

_NOT_PACKED_AS_IT_IS = ("versions", "compartment_id", "revision")


def put_key(
    tx: Tx,
    now: float,
    vault: Vault,
    packed: wire.PackedKey,
    compartment_id: str,
    sealed: Mapping[str, tuple[int, bytes]],
    passing: tuple[str, float],
) -> Key:
    """The key, ENABLED, with all its versions; those that came after the backup stay DELETED.

    Raises Conflict("Exists") where a key of its OCID is not deleted.
    """
    held = key_records.by_id_in(tx, packed.id)
    if held is not None and (held.vault_num != vault.num or not _is_deleted(held, now)):
        raise rules.exists("Key", packed.id)
    key = _returned(held, now, vault, packed, compartment_id, passing)
    earlier: dict[str, int] = {}
    if held is not None:
        version_records.destroy_of_key(tx, held.num)
        earlier = records.revisions(tx, held.num)
    num = records.put_key(tx, key)
    for each in packed.versions:
        data_key_id, material = sealed.get(each.id, (None, None))
        version = _version(each, num, data_key_id, now, earlier.get(each.id, 0))
        is_gone = version.data_key_id is None
        records.put_version(tx, version, None if is_gone else material)
    return key


def _is_deleted(held: Key, now: float) -> bool:
    """By its own row: that of its vault may have come back a moment ago, within the same transaction."""
    return states.shown(held.state, held.passing, held.passing_until, held.deletes_at, now) == states.DELETED


def _returned(
    held: Key | None,
    now: float,
    vault: Vault,
    packed: wire.PackedKey,
    compartment_id: str,
    passing: tuple[str, float],
) -> Key:
    same = {
        name: getattr(packed, name) for name in wire.PackedKey.__struct_fields__ if name not in _NOT_PACKED_AS_IT_IS
    }
    next_at: float | None = None
    if packed.is_auto_rotated and packed.rotation_interval_days and packed.rotation_start_at is not None:
        next_at = next_rotation(packed.rotation_start_at, packed.rotation_interval_days, now)
    return Key(
        **same,
        num=0 if held is None else held.num,
        vault_num=vault.num,
        compartment_id=compartment_id,
        state=rules.ENABLED,
        passing=passing[0],
        passing_until=passing[1],
        previous_state=None,
        deletes_at=None,
        by_vault=0,
        next_rotation_at=next_at,
        restored_from=packed.id,
        revision=max(packed.revision, 0 if held is None else held.revision) + 1,
        updated_at=now,
        **key_records.of_vault(vault),
    )


def _version(packed: wire.PackedVersion, key_num: int, data_key_id: int | None, now: float, earlier: int) -> Version:
    state = rules.version_state(packed.state, packed.deletes_at, now)
    if data_key_id is None:
        state = rules.DELETED
    return Version(
        num=0,
        id=packed.id,
        key_num=key_num,
        state=state,
        passing="",
        passing_until=0.0,
        deletes_at=packed.deletes_at,
        origin=packed.origin,
        is_auto_rotated=packed.is_auto_rotated,
        public_key=packed.public_key,
        restored_from=packed.id,
        data_key_id=None if state == rules.DELETED else data_key_id,
        revision=max(packed.revision, earlier) + 1,
        created_at=packed.created_at,
    )
