"""Which secrets were deleted and can be brought back; the SQL for that. `s` is a row, `f` its facet, `v` its vault.

All versions of a name leave together, and so do all that share a backup once they are deleted for good: one row stands
for them, the newest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from claviger.cckm.access.users.rules import username_key
from claviger.cckm.azure.secrets.listing.records import Clause, ListReads, every
from claviger.cckm.azure.secrets.records import VIEWED
from claviger.cckm.azure.secrets.rows import View, view_of
from claviger.store.contract import Row, Store

Kind = Literal["soft-deleted", "restorable"]

_FROM = (
    "cckm_azure_secret_facets f CROSS JOIN cckm_azure_secrets s CROSS JOIN cckm_azure_vaults v "
    "WHERE s.facet_id = f.id AND v.num = s.vault_num"
)
_NEWER = "(x.azure_created_at > s.azure_created_at OR (x.azure_created_at = s.azure_created_at AND x.num > s.num))"
_SAME_NAME = "x.vault_num = s.vault_num AND x.name_key = s.name_key AND x.status = s.status"
_STANDS: Mapping[Kind, str] = {
    "soft-deleted": (
        "f.status = 'SOFT-DELETED' AND f.gone = 0 AND (f.latest = 1 OR NOT EXISTS (SELECT 1 FROM cckm_azure_secrets x "
        f"WHERE {_SAME_NAME} AND x.gone = 0 AND (x.latest = 1 OR {_NEWER})))"
    ),
    "restorable": (
        "f.status = 'DELETED' AND s.backup IS NOT NULL AND NOT EXISTS (SELECT 1 FROM cckm_azure_secrets x "
        f"WHERE {_SAME_NAME} AND x.backup = s.backup AND {_NEWER})"
    ),
}
_ORDER: Mapping[Kind, str] = {
    "soft-deleted": "CASE WHEN s.purge_at IS NULL THEN 1 ELSE 0 END, s.purge_at, s.num",
    "restorable": "s.updated_at DESC, s.num DESC",
}
_TAKEN = (
    "CASE WHEN EXISTS (SELECT 1 FROM cckm_azure_secrets x WHERE x.vault_num = s.vault_num "
    "AND x.name_key = s.name_key AND x.status <> 'DELETED' AND x.gone = 0 AND x.num <> s.num) THEN 1 ELSE 0 END"
)


class LeavingReads:
    """Reads of what is leaving, in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reads = ListReads(store)

    def among(self, column: str, values: Iterable[str] | Iterable[int], *, numbers: bool = False) -> Clause:
        """Whether a column has one of these values."""
        return self._reads.among(column, values, numbers=numbers)

    async def count(self, kind: Kind, where: Sequence[Clause]) -> int:
        """How many there are."""
        clause = every([Clause(_STANDS[kind]), *where])
        row = await self._store.read_one(f"SELECT COUNT(*) FROM {_FROM} AND {clause.sql}", *clause.args)
        return 0 if row is None else int(row[0])

    async def page(self, kind: Kind, where: Sequence[Clause], skip: int, count: int) -> list[tuple[View, str, bool]]:
        """Rows in order, each with who deleted it and whether something else has the name now."""
        clause = every([Clause(_STANDS[kind]), *where])
        rows = await self._store.read(
            f"SELECT {VIEWED}, s.deleted_by, {_TAKEN} FROM {_FROM} AND {clause.sql} "
            f"ORDER BY {_ORDER[kind]} LIMIT ? OFFSET ?",
            *clause.args,
            count,
            skip,
        )
        return [_read(kind, row) for row in rows]

    async def status_of(self, domain_id: str, ident: str) -> str | None:
        """The status of a secret's record of the domain."""
        row = await self._store.read_one(
            "SELECT s.status FROM cckm_azure_secrets s JOIN cckm_azure_vaults v ON v.num = s.vault_num "
            "WHERE s.id = ? AND v.domain_id = ?",
            ident,
            domain_id,
        )
        return None if row is None else str(row[0])

    async def usernames(self, ids: Iterable[str]) -> dict[str, str]:
        """The names of users, as far as they are still there."""
        clause = self.among("id", sorted(set(ids)))
        rows = await self._store.read(f"SELECT id, username FROM cckm_users WHERE {clause.sql}", *clause.args)
        return {str(row[0]): str(row[1]) for row in rows}

    async def users_named(self, usernames: Iterable[str]) -> list[str]:
        """The ids of all users of these names, whichever domain they are of."""
        clause = self.among("username_key", sorted({username_key(name) for name in usernames}))
        rows = await self._store.read(f"SELECT id FROM cckm_users WHERE {clause.sql}", *clause.args)
        return [str(row[0]) for row in rows]


def _read(kind: Kind, row: Row) -> tuple[View, str, bool]:
    return view_of(row[:-2]), row[-2], kind == "restorable" and row[-1] == 1
