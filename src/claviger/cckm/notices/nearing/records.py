"""What has a date that comes near, and what was told of it; the SQL for that.

Each query goes along an index by date and looks at a bounded number of rows, so that on a database of a million secrets
no read takes longer than a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from claviger.store.contract import Row, Store, Tx

Kind = Literal["near-expiry", "near-final-deletion"]
ObjectKind = Literal["azure-secret", "oci-key", "oci-key-version"]


class Dates(NamedTuple):
    """Dates of one kind that one kind of object has."""

    kind: Kind
    of: ObjectKind


class Dated(msgspec.Struct, frozen=True):
    """Something whose date lies in the part of time that was asked for, and whether it is one to tell of.

    `owner` is the number of the row that it belongs to: its own, or that of a version's key. `told` is how many days
    ahead this date was told last, None where it was not.
    """

    num: int
    owner: int
    at: float
    stands: bool
    told: int | None
    domain_id: str
    id: str
    name: str
    version: str
    vault: str
    vault_id: str


class _Shape(NamedTuple):
    """Where dates are: table and column, which rows count (`x` is a row), what is shown of one and what was told."""

    table: str
    date: str
    has_date: str
    stands: str
    shown: str
    joined: str
    told: str


_OF_SECRET = "x.num, v.domain_id, x.id, x.name, x.version, v.azure_name || '::' || v.subscription_id, v.id"
_WITH_FACET = "JOIN cckm_azure_secret_facets f ON f.id = x.facet_id JOIN cckm_azure_vaults v ON v.num = x.vault_num"
_WAITS = "state IN ('SCHEDULING_DELETION', 'PENDING_DELETION')"  # as the indexes have it
_SHAPES: Mapping[Dates, _Shape] = {
    # Only what can still be read expires: the newest version of a name, live and enabled.
    Dates("near-expiry", "azure-secret"): _Shape(
        "cckm_azure_secrets",
        "expires_at",
        "expires_at IS NOT NULL",
        "x.latest = 1 AND x.gone = 0 AND x.status = 'AVAILABLE' AND f.enabled = 1",
        _OF_SECRET,
        _WITH_FACET,
        "cckm_notices_told t ON t.secret_num = c.num AND t.kind = 'near-expiry'",
    ),
    # All versions of a name leave together: one of them stands for it.
    Dates("near-final-deletion", "azure-secret"): _Shape(
        "cckm_azure_secrets",
        "purge_at",
        "purge_at IS NOT NULL",
        "x.latest = 1 AND x.gone = 0 AND x.status = 'SOFT-DELETED'",
        _OF_SECRET,
        _WITH_FACET,
        "cckm_notices_told t ON t.secret_num = c.num AND t.kind = 'near-final-deletion'",
    ),
    Dates("near-final-deletion", "oci-key"): _Shape(
        "cckm_oci_keys",
        "deletes_at",
        _WAITS,
        f"x.{_WAITS} AND x.gone = 0 AND v.removed = 0",
        "x.num, v.domain_id, x.id, x.name, '', v.display_name, v.id",
        "JOIN cckm_oci_vaults v ON v.num = x.vault_num",
        "cckm_oci_notices_told t ON t.key_num = c.num AND t.version_num = 0",
    ),
    Dates("near-final-deletion", "oci-key-version"): _Shape(
        "cckm_oci_key_versions",
        "deletes_at",
        _WAITS,
        f"x.{_WAITS} AND x.gone = 0 AND k.gone = 0 AND k.state <> 'DELETED' AND v.removed = 0",
        "k.num, v.domain_id, x.id, k.name, x.ocid, v.display_name, v.id",
        "JOIN cckm_oci_keys k ON k.num = x.key_num JOIN cckm_oci_vaults v ON v.num = k.vault_num",
        "cckm_oci_notices_told t ON t.key_num = k.num AND t.version_num = c.num",
    ),
}
ALL: Sequence[Dates] = tuple(_SHAPES)


def _select(dates: Dates, nums: Sequence[int]) -> str:
    """What is known of some rows (`c`: num, at)."""
    shape = _SHAPES[dates]
    places = ", ".join("?" * len(nums))
    rows = f"SELECT num, {shape.date} AS at FROM {shape.table} WHERE num IN ({places}) AND {shape.date} IS NOT NULL"
    return (
        f"SELECT c.num, c.at, CASE WHEN {shape.stands} THEN 1 ELSE 0 END, CASE WHEN t.at = c.at THEN t.days END, "
        f"{shape.shown} FROM ({rows}) c JOIN {shape.table} x ON x.num = c.num {shape.joined} "
        f"LEFT JOIN {shape.told} ORDER BY c.at, c.num"
    )


def _dated(row: Row) -> Dated:
    return Dated(row[0], row[4], row[1], row[2] == 1, row[3], *row[5:])


async def nums_from(
    store: Store, dates: Dates, after: tuple[float, int], last: float, most: int
) -> list[tuple[float, int]]:
    """Date and number of up to `most` rows after a place, until a date, in order. `after` is such a pair."""
    shape = _SHAPES[dates]
    rows = await store.read(
        f"SELECT {shape.date}, num FROM {shape.table} WHERE {shape.has_date} AND ({shape.date}, num) > (?, ?) "
        f"AND {shape.date} <= ? ORDER BY {shape.date}, num LIMIT ?",
        *after,
        last,
        most,
    )
    return [(row[0], row[1]) for row in rows]


async def look(store: Store, dates: Dates, nums: Sequence[int]) -> list[Dated]:
    """What is known of these rows."""
    return [_dated(row) for row in await store.read(_select(dates, nums), *nums)]


def look_again(tx: Tx, dates: Dates, nums: Sequence[int]) -> list[Dated]:
    """The same within a change."""
    return [_dated(row) for row in tx.fetch(_select(dates, nums), *nums)]


def note_told(tx: Tx, dates: Dates, row: Dated, days: int) -> None:
    """Notes that a date was told."""
    if dates.of == "azure-secret":
        tx.execute(
            "INSERT INTO cckm_notices_told (secret_num, kind, at, days) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (secret_num, kind) DO UPDATE SET at = excluded.at, days = excluded.days",
            row.num,
            dates.kind,
            row.at,
            days,
        )
        return
    tx.execute(
        "INSERT INTO cckm_oci_notices_told (key_num, version_num, at, days) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (key_num, version_num) DO UPDATE SET at = excluded.at, days = excluded.days",
        row.owner,
        0 if dates.of == "oci-key" else row.num,
        row.at,
        days,
    )
