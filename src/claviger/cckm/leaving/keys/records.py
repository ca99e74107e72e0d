"""Which keys of OCI, and versions of them, wait for their deletion, or can be restored; the SQL for that.

`k` is a key, `n` a version of it, `v` its vault. What waits lies in an index of its own, in the order of the dates.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from claviger.cckm.azure.secrets.listing.records import Clause, ListReads, every
from claviger.cckm.leaving.asked import KEY, OCI, RESTORABLE, SOFT_DELETED, VERSION, Asked, Kind, like_of
from claviger.cckm.leaving.merging import Ranked
from claviger.cckm.leaving.remembered import MOST_KEPT, Remembered, Whole
from claviger.cckm.oci.keys.rules import State
from claviger.cckm.records import KEYS_REVISION, meta
from claviger.store.contract import Store

VIEWS_A_READ = 1000
ROWS_AT_ONCE = 2000

_WAITS = "{0}.state IN ('SCHEDULING_DELETION', 'PENDING_DELETION')"  # as the indexes have it
_SOURCES: Mapping[str, tuple[str, str]] = {
    KEY: ("k", "cckm_oci_keys k CROSS JOIN cckm_oci_vaults v"),
    VERSION: ("n", "cckm_oci_key_versions n CROSS JOIN cckm_oci_keys k CROSS JOIN cckm_oci_vaults v"),
}
"""By alias and tables, from left to right, which is how SQLite then reads them."""
_JOINED: Mapping[str, str] = {KEY: "v.num = k.vault_num", VERSION: "v.num = k.vault_num AND k.num = n.key_num"}
_STANDS: Mapping[tuple[str, Kind], str] = {
    (KEY, SOFT_DELETED): f"{_WAITS.format('k')} AND k.gone = 0",
    (KEY, RESTORABLE): "k.backup IS NOT NULL AND (k.state = 'DELETED' OR k.gone = 1)",
    (VERSION, SOFT_DELETED): f"{_WAITS.format('n')} AND n.gone = 0 AND k.gone = 0 AND k.state <> 'DELETED'",
}
_VIEWED = (
    "{0}.num, {0}.id, {0}.ocid, {0}.state, {0}.gone, {0}.deletes_at, {0}.deleted_by, k.id, k.name, k.backup_at, v.id, "
    "v.display_name, v.region"
)


class LeavingKey(msgspec.Struct, frozen=True):
    """A key or version that is leaving, with the key it is of and the vault. Times are epoch seconds."""

    num: int
    id: str
    ocid: str
    state: str
    gone: int
    deletes_at: float | None
    deleted_by: str
    key_id: str
    key_name: str
    backup_at: float | None
    vault_id: str
    vault_name: str
    region: str


class KeyReads:
    """Reads of what is leaving of OCI, in one store. `object_kind` is KEY or VERSION."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reads = ListReads(store)
        self._remembered = Remembered(self._revision)

    async def _revision(self) -> str:
        return await meta(self._store, KEYS_REVISION) or ""

    def conditions(
        self, object_kind: str, asked: Asked, domain_id: str, vault_ids: frozenset[str] | None, by: Sequence[str]
    ) -> list[Clause]:
        """What is asked for. `vault_ids` None: all vaults; `by` are ids of users."""
        row, _ = _SOURCES[object_kind]
        found = [
            Clause(_STANDS[object_kind, asked.kind]),
            Clause(f"{_JOINED[object_kind]} AND v.removed = 0 AND coalesce(v.domain_id, '') = ?", (domain_id,)),
        ]
        if vault_ids is not None:
            found.append(self._reads.among("v.id", sorted(vault_ids)))
        found += [Clause(f"{row}.deletes_at {sign} ?", (at,)) for sign, at in asked.dates]
        if asked.names[OCI]:
            likes = like_of(asked.names[OCI])
            found.append(Clause(f"({' OR '.join([_LIKE] * len(likes))})", likes))
        if asked.by:
            found.append(self._reads.among(f"{row}.deleted_by", sorted(by)))
        return found

    async def vault_ids(self, domain_id: str) -> list[tuple[str, str, str]]:
        """The domain's vaults: their records' ids, OCIDs and names."""
        rows = await self._store.read(
            "SELECT id, ocid, display_name FROM cckm_oci_vaults WHERE domain_id = ? AND removed = 0", domain_id
        )
        return [(str(row[0]), str(row[1]), str(row[2])) for row in rows]

    async def whole(self, object_kind: str, kind: Kind, where: Sequence[Clause]) -> Whole:
        """All of them: what becomes final first, or was deleted last."""
        key = (object_kind, kind, repr(where))
        return await self._remembered.whole(key, lambda: self._all(object_kind, kind, where))

    async def _all(self, object_kind: str, kind: Kind, where: Sequence[Clause]) -> list[Ranked]:
        row, _ = _SOURCES[object_kind]
        if kind == RESTORABLE:
            place, order, sign = "k.updated_at", "k.updated_at DESC, k.num DESC", "<"
        else:
            place, order, sign = f"{row}.deletes_at", f"{row}.deletes_at, {row}.num", ">"
        found: list[Ranked] = []
        after: list[Clause] = []
        while True:
            dated = [*where, Clause(f"{place} IS NOT NULL"), *after]
            rows = await self._nums(object_kind, place, dated, order, 0, ROWS_AT_ONCE)
            found += rows
            if len(rows) < ROWS_AT_ONCE:
                break
            after = [Clause(f"({place}, {row}.num) {sign} (?, ?)", (rows[-1].rank, rows[-1].num))]
            await asyncio.sleep(0)
        if kind == RESTORABLE:
            return [Ranked(-each.rank, -each.num) for each in found]
        undated = [*where, Clause(f"{place} IS NULL")]
        return found + await self._nums(object_kind, "NULL", undated, f"{row}.num", 0, MOST_KEPT)

    async def _nums(
        self, object_kind: str, rank: str, where: Sequence[Clause], order: str, skip: int, count: int
    ) -> list[Ranked]:
        row, source = _SOURCES[object_kind]
        clause = every(where)
        rows = await self._store.read(
            f"SELECT {rank}, {row}.num FROM {source} WHERE {clause.sql} ORDER BY {order} LIMIT ? OFFSET ?",
            *clause.args,
            count,
            skip,
        )
        return [Ranked(math.inf if each[0] is None else float(each[0]), int(each[1])) for each in rows]

    async def views(self, object_kind: str, nums: Sequence[int]) -> dict[int, LeavingKey]:
        """Rows by num."""
        row, source = _SOURCES[object_kind]
        found: dict[int, LeavingKey] = {}
        for at in range(0, len(nums), VIEWS_A_READ):
            clause = self._reads.among(f"{row}.num", nums[at : at + VIEWS_A_READ], numbers=True)
            rows = await self._store.read(
                f"SELECT {_VIEWED.format(row)} FROM {source} "
                f"WHERE {_JOINED[object_kind]} AND v.removed = 0 AND {clause.sql}",
                *clause.args,
            )
            found |= {each[0]: LeavingKey(*each) for each in rows}
        return found

    async def find(self, domain_id: str, ident: str) -> tuple[str, str, str, bool] | None:
        """A key or version of the domain by its record's id: which of them, its key's id, state, and if it is gone."""
        for object_kind, (row, source) in _SOURCES.items():
            found: Any = await self._store.read_one(
                f"SELECT k.id, {row}.state, {row}.gone FROM {source} "
                f"WHERE {_JOINED[object_kind]} AND {row}.id = ? AND v.domain_id = ? AND v.removed = 0",
                ident,
                domain_id,
            )
            if found is not None:
                return object_kind, str(found[0]), str(found[1]), found[2] != 0
        return None


def is_deleted(state: str) -> bool:
    """Whether a state says that it is deleted for good."""
    return state == State.DELETED.value


_LIKE = "k.name_key LIKE ? ESCAPE '!'"
