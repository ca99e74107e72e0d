"""Portions (parts) of the rows of OCI keys, as search keeps them in memory; the SQL for that."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from claviger.cckm.oci.keys.parts.rules import KeyFacts
from claviger.cckm.oci.keys.rows import KeyDetails
from claviger.cckm.oci.keys.rules import State, state_of
from claviger.cckm.records import KEYS_REVISION, Parts, bump_keys_revision
from claviger.store.contract import Row, Store, Tx

PARTS = Parts("cckm_oci_key_parts", KEYS_REVISION)
_WAITING = frozenset({State.SCHEDULING_DELETION, State.PENDING_DELETION})
_LINES = str.maketrans("\r\n", "  ")


class KeyPartRow(msgspec.Struct, frozen=True):
    """What is read of a row. Times are whole seconds since 1970; 0: there is none.

    `tags` are the freeform ones by their names, and the defined ones by namespace and name with a dot between them.
    """

    num: int
    vault_num: int
    name_key: str
    facts: KeyFacts
    tags: dict[str, str]
    created_at: int
    updated_at: int
    azure_created_at: int
    expires_at: int
    purge_at: int


_SAID = msgspec.json.Decoder(KeyDetails)


def note_moved(tx: Tx, nums: Collection[int]) -> None:
    """To be called by every change of rows, in its own transaction: they have changed, come or gone."""
    if nums:
        bump_keys_revision(tx)
        PARTS.note_moved(tx, nums)


async def rows_of(store: Store, part: int) -> list[KeyPartRow]:
    """The rows of a part as they are now, by num."""
    rows = await store.read(
        "SELECT num, vault_num, name_key, state, algorithm, protection_mode, auto_rotate, gone, created_at, "
        "updated_at, oci_created_at, deletes_at, details FROM cckm_oci_keys WHERE num >= ? AND num < ? ORDER BY num",
        *PARTS.nums(part),
    )
    return [_part_row(row) for row in rows]


def _part_row(row: Row) -> KeyPartRow:
    said = _SAID.decode(row[12])
    defined = {f"{space}.{name}": value for space, tags in said.defined_tags.items() for name, value in tags.items()}
    return KeyPartRow(
        num=row[0],
        vault_num=row[1],
        name_key=row[2].translate(_LINES),
        facts=KeyFacts(row[3], row[4], row[5], row[6] != 0, row[7] != 0),
        tags=defined | said.freeform_tags,
        created_at=int(row[8]),
        updated_at=int(row[9]),
        azure_created_at=int(row[10]),
        expires_at=0,
        purge_at=int(row[11]) if row[11] is not None and state_of(row[3]) in _WAITING else 0,
    )
