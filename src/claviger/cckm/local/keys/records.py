"""Stored local keys. Their material lies in the safe, under (`MATERIAL`, id)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from claviger.store.contract import Store, Tx

MATERIAL = "local-key"


class LocalKey(msgspec.Struct, frozen=True, kw_only=True):
    """A local key of a domain. `size` is in bits, `details` JSON; times are epoch seconds. `num` 0: not stored yet."""

    num: int
    id: str
    domain_id: str
    name: str
    algorithm: str
    size: int
    curve_id: str
    usage_mask: int
    exportable: int
    deletable: int
    public_key: str
    fingerprint: str
    details: str
    created_by: str
    created_at: float
    updated_at: float

    @property
    def said(self) -> LocalKeyDetails:
        """Words of the caller's own."""
        return msgspec.json.decode(self.details, type=LocalKeyDetails)


class LocalKeyDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """Words of the caller's own about a key."""

    labels: dict[str, str] = msgspec.field(default_factory=dict)
    meta: dict[str, Any] = msgspec.field(default_factory=dict)


_FIELDS = LocalKey.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_SELECT = f"SELECT {_COLUMNS} FROM cckm_local_keys"


def _row(row: Sequence[object]) -> LocalKey:
    return LocalKey(**dict(zip(_FIELDS, row, strict=True)))  # type: ignore[arg-type]  # columns in their order


async def all_of(store: Store, domain_id: str) -> list[LocalKey]:
    """The local keys of a domain, oldest first."""
    return [_row(row) for row in await store.read(f"{_SELECT} WHERE domain_id = ? ORDER BY num", domain_id)]


async def find(store: Store, domain_id: str, id_or_name: str) -> LocalKey | None:
    """A local key of a domain by its id, or by its name."""
    row = await store.read_one(
        f"{_SELECT} WHERE domain_id = ? AND (id = ? OR name = ?) ORDER BY CASE WHEN id = ? THEN 0 ELSE 1 END LIMIT 1",
        domain_id,
        id_or_name,
        id_or_name,
        id_or_name,
    )
    return None if row is None else _row(row)


def load(tx: Tx, domain_id: str, ident: str) -> LocalKey | None:
    """A local key of a domain by its id within a change."""
    row = tx.fetch_one(f"{_SELECT} WHERE domain_id = ? AND id = ?", domain_id, ident)
    return None if row is None else _row(row)


def name_is_taken(tx: Tx, domain_id: str, name: str) -> bool:
    """Whether a local key of the domain has this name."""
    found = tx.fetch_one("SELECT 1 FROM cckm_local_keys WHERE domain_id = ? AND name = ?", domain_id, name)
    return found is not None


def count(tx: Tx, domain_id: str) -> int:
    """How many local keys a domain has."""
    row = tx.fetch_one("SELECT COUNT(*) FROM cckm_local_keys WHERE domain_id = ?", domain_id)
    return 0 if row is None else int(row[0])


def add(tx: Tx, fresh: LocalKey) -> None:
    """Stores a new key."""
    names = _COLUMNS.removeprefix("num, ")
    marks = ", ".join("?" * (len(_FIELDS) - 1))
    tx.execute(f"INSERT INTO cckm_local_keys ({names}) VALUES ({marks})", *msgspec.structs.astuple(fresh)[1:])


def remove(tx: Tx, ident: str) -> None:
    """Removes a key."""
    tx.execute("DELETE FROM cckm_local_keys WHERE id = ?", ident)
