"""What is stored of drift, and the SQL for it.

A finding holds for as long as its record is as synchronisation has left it: whoever changes the record by an operation
has dealt with it. So lists leave the others out, and `sweep` removes them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from claviger.cckm.azure.secrets.facets.records import marks, portions
from claviger.store.contract import Row, Store, Tx, Value

MISSING, NEW, DIFFERENT = "missing", "new", "different"
KINDS = (MISSING, NEW, DIFFERENT)
_LIKE = "d.name_key LIKE ? ESCAPE '!'"

_COLUMNS = "id, vault_num, name, name_key, kind, fields, secret_id, record_at, since"
_STANDS = "cckm_azure_secrets s ON s.id = d.secret_id AND s.updated_at = d.record_at"
SORTS = {"since": "d.since", "secret_name": "d.name_key", "kind": "d.kind"}

Fields = dict[str, tuple[Any, Any]]
"""By name: what a field was as it was known, and what it is."""


class Finding(msgspec.Struct, frozen=True):
    """One secret that has changed in the cloud without us. `since` is when that was found; times are epoch seconds."""

    id: str
    vault_num: int
    name: str
    name_key: str
    kind: str
    fields: Fields
    secret_id: str
    record_at: float
    since: float


class Listed(msgspec.Struct, frozen=True):
    """A finding with its vault and the version of its record."""

    finding: Finding
    version: str
    vault_id: str
    azure_name: str
    subscription_id: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which findings a list is to show. `vault_ids` None: those of all vaults; words of a filter may hold `*`."""

    domain_id: str
    vault_ids: Collection[str] | None = None
    vaults: Sequence[str] = ()
    kinds: Sequence[str] = ()
    names: Sequence[str] = ()


_FIELDS = msgspec.json.Decoder(Fields)


def _finding(row: Row) -> Finding:
    return Finding(row[0], row[1], row[2], row[3], row[4], _FIELDS.decode(row[5]), row[6], row[7], row[8])


def of_names(tx: Tx, vault_num: int, keys: Sequence[str]) -> dict[str, Finding]:
    """The findings of some names that still hold."""
    found: dict[str, Finding] = {}
    columns = ", ".join(f"d.{name}" for name in _COLUMNS.split(", "))
    for portion in portions(keys):
        rows = tx.fetch(
            f"SELECT {columns} FROM cckm_azure_drift d JOIN {_STANDS} "
            f"WHERE d.vault_num = ? AND d.name_key IN ({marks(portion)})",
            vault_num,
            *portion,
        )
        found |= {row[3]: _finding(row) for row in rows}
    return found


def put(tx: Tx, finding: Finding) -> None:
    """Keeps a finding in place of the one of that name."""
    values: list[Value] = [
        finding.id,
        finding.vault_num,
        finding.name,
        finding.name_key,
        finding.kind,
        msgspec.json.encode(finding.fields).decode(),
        finding.secret_id,
        finding.record_at,
        finding.since,
    ]
    kept = ["id", "kind", "fields", "secret_id", "record_at", "since"]
    tx.execute(
        f"INSERT INTO cckm_azure_drift ({_COLUMNS}) VALUES ({marks(values)}) ON CONFLICT (vault_num, name_key) "
        f"DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in kept)}",
        *values,
    )


def remove(tx: Tx, vault_num: int, keys: Sequence[str]) -> None:
    """Removes the findings of some names."""
    for portion in portions(keys):
        where = f"vault_num = ? AND name_key IN ({marks(portion)})"
        tx.execute(f"DELETE FROM cckm_azure_drift WHERE {where}", vault_num, *portion)


def sweep(tx: Tx, vault_num: int) -> None:
    """Removes what does not hold any more in a vault."""
    tx.execute(
        "DELETE FROM cckm_azure_drift WHERE vault_num = ? AND NOT EXISTS (SELECT 1 FROM cckm_azure_secrets s "
        "WHERE s.id = cckm_azure_drift.secret_id AND s.updated_at = cckm_azure_drift.record_at)",
        vault_num,
    )


async def page(
    store: Store, wanted: Wanted, order: Sequence[tuple[str, bool]], skip: int, limit: int
) -> tuple[int, list[Listed]]:
    """How many findings match, and a page of them. `order`: keys of SORTS, each with whether it descends."""
    where, args = _where(wanted)
    joined = f"cckm_azure_drift d JOIN cckm_azure_vaults v ON v.num = d.vault_num JOIN {_STANDS}"
    row = await store.read_one(f"SELECT COUNT(*) FROM {joined} WHERE {where}", *args)
    total = 0 if row is None else int(row[0])
    by = "".join(f"{SORTS[name]}{' DESC' if descends else ''}, " for name, descends in order)
    columns = ", ".join(f"d.{name}" for name in _COLUMNS.split(", "))
    rows = await store.read(
        f"SELECT {columns}, s.version, v.id, v.azure_name, v.subscription_id FROM {joined} WHERE {where} "
        f"ORDER BY {by}d.id LIMIT ? OFFSET ?",
        *(*args, total if limit == -1 else limit, skip),
    )
    return total, [Listed(_finding(row), *row[9:]) for row in rows]


def _where(wanted: Wanted) -> tuple[str, list[Value]]:
    where = ["v.domain_id = ?"]
    values: list[Value] = [wanted.domain_id]
    if wanted.vault_ids is not None:
        where.append(f"v.id IN ({marks(list(wanted.vault_ids))})" if wanted.vault_ids else "1 = 0")
        values += sorted(wanted.vault_ids)
    if wanted.vaults:
        # by id, by the record's name, or by the plain name in Azure
        name = "lower(v.azure_name || '::' || v.subscription_id)"
        one = f"(v.id = ? OR lower(v.azure_name) = lower(?) OR {name} = lower(?))"
        where.append(f"({' OR '.join([one] * len(wanted.vaults))})")
        values += [word for word in wanted.vaults for _ in range(3)]
    if wanted.kinds:
        where.append(f"d.kind IN ({marks(wanted.kinds)})")
        values += wanted.kinds
    if wanted.names:
        where.append(f"({' OR '.join([_LIKE] * len(wanted.names))})")
        values += [_pattern(word.lower()) for word in wanted.names]
    return " AND ".join(where), values


def _pattern(word: str) -> str:
    for mark in "!%_":
        word = word.replace(mark, f"!{mark}")
    return word.replace("*", "%")
