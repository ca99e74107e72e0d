"""Which keys a job configuration rotates, and since when their current versions have been there."""

from __future__ import annotations

import msgspec

from claviger.cckm.oci.keys import records as keys
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.store.contract import Store, Tx


class Linked(msgspec.Struct, frozen=True):
    """A key that a configuration rotates, in a vault that is managed."""

    num: int
    id: str
    name: str
    vault_num: int


async def linked(store: Store, domain_id: str, config_id: str, after: int, most: int) -> list[Linked]:
    """The next keys of a configuration after a num."""
    rows = await store.read(
        "SELECT k.num, k.id, k.name, k.vault_num FROM cckm_oci_keys k JOIN cckm_oci_vaults v ON v.num = k.vault_num "
        "WHERE k.job_config_id = ? AND k.auto_rotate = 1 AND k.num > ? AND v.domain_id = ? AND v.removed = 0 "
        "ORDER BY k.num LIMIT ?",
        config_id,
        after,
        domain_id,
        most,
    )
    return [Linked(*row) for row in rows]


_CURRENT = "SELECT oci_created_at FROM cckm_oci_key_versions WHERE key_num = ? AND ocid = ?"


async def current_since(store: Store, key: KeyRow) -> float:
    """Since when the current version of a key has been there; where that is not known, the key."""
    row = await store.read_one(_CURRENT, key.num, key.current_version_ocid)
    return key.oci_created_at if row is None else float(row[0])


def current_since_in(tx: Tx, key: KeyRow) -> float:
    """The same within a change."""
    row = tx.fetch_one(_CURRENT, key.num, key.current_version_ocid)
    return key.oci_created_at if row is None else float(row[0])


def link(tx: Tx, key: KeyRow, labels: str, config_id: str, user_id: str, now: float) -> None:
    """Notes which configuration rotates a key; an empty one: none does."""
    keys.put(
        tx,
        msgspec.structs.replace(
            key,
            auto_rotate=int(bool(config_id)),
            job_config_id=config_id,
            labels=labels,
            modified_by=user_id,
            updated_at=now,
        ),
    )


def unlink(tx: Tx, config_id: str, now: float) -> int:
    """Has no key rotated by a configuration any more; how many were. Also of vaults that are hidden."""
    rows = tx.fetch("SELECT id FROM cckm_oci_keys WHERE job_config_id = ?", config_id)
    for (ident,) in rows:
        key = keys.load(tx, str(ident))
        if key is not None:
            link(tx, key, "{}", "", key.modified_by, now)
    return len(rows)
