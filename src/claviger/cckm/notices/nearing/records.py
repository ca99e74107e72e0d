"""Which secrets have a date that comes near, and what was told of it; the SQL for that.

Each query goes along an index by date and looks at a bounded number of rows, so that on a database of a million secrets
no read takes longer than a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from claviger.store.contract import Row, Store, Tx

Kind = Literal["near-expiry", "near-final-deletion"]

_DATE: dict[Kind, str] = {"near-expiry": "expires_at", "near-final-deletion": "purge_at"}
_STANDS: dict[Kind, str] = {
    # Only what can still be read expires: the newest version of a name, live and enabled.
    "near-expiry": "s.latest = 1 AND s.gone = 0 AND s.status = 'AVAILABLE' AND f.enabled = 1",
    # All versions of a name leave together: one of them stands for it.
    "near-final-deletion": "s.latest = 1 AND s.gone = 0 AND s.status = 'SOFT-DELETED'",
}


class Dated(msgspec.Struct, frozen=True):
    """A secret whose date lies in the part of time that was asked for, and whether it is one to tell of."""

    num: int
    at: int
    stands: bool
    told: bool
    domain_id: str
    id: str
    name: str
    version: str
    vault: str
    vault_id: str


def _select(kind: Kind, rows: str) -> str:
    """What is known of some rows (`c`: num, at); two places: the days told before, at most, and the kind's word."""
    return (
        f"SELECT c.num, c.at, CASE WHEN {_STANDS[kind]} THEN 1 ELSE 0 END, CASE WHEN t.at = c.at AND t.days <= ? "
        "THEN 1 ELSE 0 END, v.domain_id, s.id, s.name, s.version, v.azure_name, v.subscription_id, v.id "
        f"FROM ({rows}) c JOIN cckm_azure_secrets s ON s.num = c.num "
        "JOIN cckm_azure_secret_facets f ON f.id = s.facet_id JOIN cckm_azure_vaults v ON v.num = s.vault_num "
        "LEFT JOIN cckm_notices_told t ON t.secret_num = c.num AND t.kind = ? ORDER BY c.at, c.num"
    )


def _dated(row: Row) -> Dated:
    return Dated(
        row[0], row[1], row[2] == 1, row[3] == 1, row[4], row[5], row[6], row[7], f"{row[8]}::{row[9]}", row[10]
    )


async def nums_from(store: Store, kind: Kind, after: tuple[int, int], last: int, most: int) -> list[tuple[int, int]]:
    """Date and number of up to `most` rows after a place, until a date, in order. `after` is such a pair."""
    date = _DATE[kind]
    rows = await store.read(
        f"SELECT {date}, num FROM cckm_azure_secrets WHERE {date} IS NOT NULL AND ({date}, num) > (?, ?) "
        f"AND {date} <= ? ORDER BY {date}, num LIMIT ?",
        *after,
        last,
        most,
    )
    return [(row[0], row[1]) for row in rows]


async def look(store: Store, kind: Kind, days: int, nums: Sequence[int]) -> list[Dated]:
    """What is known of these rows, and whether their date was told so many days ahead, or later, already."""
    rows = await store.read(_select(kind, _of(kind, nums)), days, *nums, kind)
    return [_dated(row) for row in rows]


def look_again(tx: Tx, kind: Kind, days: int, nums: Sequence[int]) -> list[Dated]:
    """The same within a change."""
    return [_dated(row) for row in tx.fetch(_select(kind, _of(kind, nums)), days, *nums, kind)]


def note_told(tx: Tx, kind: Kind, secret_num: int, at: int, days: int) -> None:
    """Notes that a date was told."""
    tx.execute(
        "INSERT INTO cckm_notices_told (secret_num, kind, at, days) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (secret_num, kind) DO UPDATE SET at = excluded.at, days = excluded.days",
        secret_num,
        kind,
        at,
        days,
    )


def _of(kind: Kind, nums: Sequence[int]) -> str:
    date = _DATE[kind]
    places = ", ".join("?" * len(nums))
    return f"SELECT num, {date} AS at FROM cckm_azure_secrets WHERE num IN ({places}) AND {date} IS NOT NULL"
