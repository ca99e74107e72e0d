"""What is stored of drift, and the SQL for it: a table a cloud (`Findings`), and one list of them all (`Lists`).

A finding holds for as long as its record is as synchronisation has left it, or a look at it that carries the finding
along: whoever changes the record by an operation has dealt with it. So lists leave the others out, and
`Findings.sweep` removes them.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from claviger.cckm.drift.rules import AZURE, OCI
from claviger.cckm.records import KEYS_REVISION, SECRETS_REVISION, marks, portions
from claviger.store.contract import Row, Store, Tx, Value

MOST_KEPT = 250_000
"""Findings of all lists that are remembered; the list that was asked for last is kept in any case."""
_REVISION = "cckm_drift_revision"
SORTS = {"since": "since", "secret_name": "name_key", "key_name": "name_key", "kind": "kind", "cloud": "cloud"}

_TABLES: Mapping[str, str] = {
    AZURE: "SELECT '' AS cloud, d.id AS id, d.kind AS kind, d.fields AS fields, d.since AS since, d.name AS name, "
    "d.name_key AS name_key, d.secret_id AS record_id, s.version AS version, v.id AS vault_id, "
    "v.azure_name || '::' || v.subscription_id AS vault_name "
    "FROM cckm_azure_drift d JOIN cckm_azure_vaults v ON v.num = d.vault_num "
    "JOIN cckm_azure_secrets s ON s.id = d.secret_id AND s.updated_at = d.record_at",
    OCI: "SELECT '' AS cloud, d.id AS id, d.kind AS kind, d.fields AS fields, d.since AS since, d.name AS name, "
    "s.name_key AS name_key, d.key_id AS record_id, '' AS version, v.id AS vault_id, v.display_name AS vault_name "
    "FROM cckm_oci_drift d JOIN cckm_oci_vaults v ON v.num = d.vault_num AND v.removed = 0 "
    "JOIN cckm_oci_keys s ON s.id = d.key_id AND s.updated_at = d.record_at",
}
_NAMED: Mapping[str, tuple[str, ...]] = {
    AZURE: (
        "v.id = ?",
        "lower(v.azure_name) = lower(?)",
        "lower(v.azure_name || '::' || v.subscription_id) = lower(?)",
    ),
    OCI: ("v.id = ?", "v.ocid = ?", "v.display_name = ?"),
}
"""A vault by its record's id, or by what it is called."""
_LIKE = "s.name_key LIKE ? ESCAPE '!'"
Fields = dict[str, tuple[Any, Any]]
"""By name: what a field was as it was known, and what it is."""
_FIELDS = msgspec.json.Decoder(Fields)


class Finding(msgspec.Struct, frozen=True):
    """Something that has changed in a cloud without us. `thing` tells it from others of its vault: a secret's name in
    small letters, a key's OCID. `since` is when that was found; times are epoch seconds."""

    id: str
    vault_num: int
    name: str
    thing: str
    kind: str
    fields: Fields
    record_id: str
    record_at: float
    since: float


class Findings:
    """The findings of a cloud. `thing` and `record` are columns of its table; `records` is the table of its records."""

    def __init__(self, table: str, thing: str, record: str, records: str) -> None:
        self._table = table
        self._thing = thing
        self._columns = f"id, vault_num, name, {thing}, kind, fields, {record}, record_at, since"
        self._kept = ("id", "name", "kind", "fields", record, "record_at", "since")
        self._records = f"{records} s"
        self._stands = f"s.id = {table}.{record} AND s.updated_at = {table}.record_at"

    def of(self, tx: Tx, vault_num: int, things: Sequence[str]) -> dict[str, Finding]:
        """The findings of some things that still hold, by thing."""
        found: dict[str, Finding] = {}
        columns = ", ".join(f"{self._table}.{name}" for name in self._columns.split(", "))
        for portion in portions(things):
            rows = tx.fetch(
                f"SELECT {columns} FROM {self._table} JOIN {self._records} ON {self._stands} "
                f"WHERE {self._table}.vault_num = ? AND {self._table}.{self._thing} IN ({marks(portion)})",
                vault_num,
                *portion,
            )
            found |= {row[3]: _finding(row) for row in rows}
        return found

    def put(self, tx: Tx, finding: Finding) -> None:
        """Keeps a finding in place of the one of that thing."""
        values: list[Value] = [
            finding.id,
            finding.vault_num,
            finding.name,
            finding.thing,
            finding.kind,
            msgspec.json.encode(finding.fields).decode(),
            finding.record_id,
            finding.record_at,
            finding.since,
        ]
        _bump(tx)
        tx.execute(
            f"INSERT INTO {self._table} ({self._columns}) VALUES ({marks(values)}) "
            f"ON CONFLICT (vault_num, {self._thing}) "
            f"DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in self._kept)}",
            *values,
        )

    def remove(self, tx: Tx, vault_num: int, things: Sequence[str]) -> None:
        """Removes the findings of some things."""
        for portion in portions(things):
            where = f"vault_num = ? AND {self._thing} IN ({marks(portion)})"
            if tx.execute(f"DELETE FROM {self._table} WHERE {where}", vault_num, *portion):
                _bump(tx)

    def sweep(self, tx: Tx, vault_num: int) -> None:
        """Removes what does not hold any more in a vault."""
        if tx.execute(
            f"DELETE FROM {self._table} WHERE vault_num = ? "
            f"AND NOT EXISTS (SELECT 1 FROM {self._records} WHERE {self._stands})",
            vault_num,
        ):
            _bump(tx)


def _bump(tx: Tx) -> None:
    """Moves the number by which lists know that findings have changed."""
    tx.execute(
        "INSERT INTO meta (key, value) VALUES (?, '1') "
        "ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(meta.value AS INTEGER) + 1 AS TEXT)",
        _REVISION,
    )


def _finding(row: Row) -> Finding:
    return Finding(row[0], row[1], row[2], row[3], row[4], _FIELDS.decode(row[5]), row[6], row[7], row[8])


class Listed(msgspec.Struct, frozen=True):
    """A finding with its record and vault. `fields`: by name, what a field was and what it is."""

    cloud: str
    id: str
    kind: str
    fields: Fields
    since: float
    name: str
    record_id: str
    version: str
    vault_id: str
    vault_name: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Which findings of a cloud a list is to show. `vault_ids` None: those of all vaults; names may hold `*`."""

    cloud: str
    vault_ids: Collection[str] | None = None
    vaults: Sequence[str] = ()
    names: Sequence[str] = ()


class Lists:
    """Lists of findings in one store. Keep it: it remembers which findings a list has, until anything changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revisions = ""
        self._known: OrderedDict[str, list[tuple[str, str]]] = OrderedDict()

    async def found(
        self, domain_id: str, parts: Sequence[Part], kinds: Sequence[str], order: Sequence[tuple[str, bool]]
    ) -> list[tuple[str, str]]:
        """Cloud and id of all findings that match. `order`: keys of SORTS, each with whether it descends."""
        if not parts:
            return []
        revisions = await self._now()
        if revisions != self._revisions:
            self._revisions = revisions
            self._known.clear()
        chosen = [_select(domain_id, part, kinds) for part in parts]
        key = repr((chosen, order))
        known = self._known.get(key)
        if known is None:
            by = "".join(f"{SORTS[name]}{' DESC' if descends else ''}, " for name, descends in order)
            rows = await self._store.read(
                f"SELECT cloud, id FROM ({' UNION ALL '.join(text for text, _ in chosen)}) AS found ORDER BY {by}id",
                *(value for _, values in chosen for value in values),
            )
            known = [(sys.intern(row[0]), row[1]) for row in rows]
            if await self._now() != revisions or revisions != self._revisions:
                return known
        self._known[key] = known
        self._known.move_to_end(key)
        kept = sum(len(each) for each in self._known.values())
        while kept > MOST_KEPT and len(self._known) > 1:
            kept -= len(self._known.popitem(last=False)[1])
        return known

    async def read(self, chosen: Sequence[tuple[str, str]]) -> list[Listed]:
        """Findings by cloud and id, in that order; those that do not hold any more are left out."""
        found: dict[tuple[str, str], Listed] = {}
        for cloud in _TABLES:
            for portion in portions([ident for each, ident in chosen if each == cloud]):
                rows = await self._store.read(
                    "SELECT cloud, id, kind, fields, since, name, record_id, version, vault_id, vault_name "
                    f"FROM ({_table(cloud)} WHERE d.id IN ({marks(portion)})) AS found",
                    *portion,
                )
                found |= {(row[0], row[1]): _listed(row) for row in rows}
        return [found[each] for each in chosen if each in found]

    async def _now(self) -> str:
        """Moves with every change of findings, and of the records and vaults that they are about."""
        rows = await self._store.read(
            "SELECT key, value FROM meta WHERE key IN (?, ?, ?) ORDER BY key",
            _REVISION,
            SECRETS_REVISION,
            KEYS_REVISION,
        )
        return repr(rows)


def _listed(row: Row) -> Listed:
    return Listed(row[0], row[1], row[2], _FIELDS.decode(row[3]), *row[4:])


def _select(domain_id: str, part: Part, kinds: Sequence[str]) -> tuple[str, list[Value]]:
    where = ["v.domain_id = ?"]
    values: list[Value] = [domain_id]
    if part.vault_ids is not None:
        where.append(f"v.id IN ({marks(list(part.vault_ids))})" if part.vault_ids else "1 = 0")
        values += sorted(part.vault_ids)
    if part.vaults:
        ways = _NAMED[part.cloud]
        where.append(f"({' OR '.join(ways * len(part.vaults))})")
        values += [word for word in part.vaults for _ in ways]
    if kinds:
        where.append(f"d.kind IN ({marks(kinds)})")
        values += kinds
    if part.names:
        where.append(f"({' OR '.join([_LIKE] * len(part.names))})")
        values += [_pattern(word.lower()) for word in part.names]
    return f"{_table(part.cloud)} WHERE {' AND '.join(where)}", values


def _table(cloud: str) -> str:
    return _TABLES[cloud].replace("'' AS cloud", f"'{cloud}' AS cloud")


def _pattern(word: str) -> str:
    for mark in "!%_":
        word = word.replace(mark, f"!{mark}")
    return word.replace("*", "%")
