"""What is stored of secrets, a row a version, and the SQL for it.

Every insert, change and removal goes through `_apply`, which moves the rows, their tags and the counts of both
(`facets/records.py`) in one transaction, and notes which have moved (`parts/records.py`). A name's latest is what Azure
created last; of equals, what came here last. Changes handle a `SecretRow`; reads and lists show a `View` (`rows.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from claviger.cckm.azure.secrets.facets.records import Tally, put_tags, replace_tags
from claviger.cckm.azure.secrets.parts.records import PARTS
from claviger.cckm.azure.secrets.rows import STORED, SecretRow, View, row_of, values_of, view_of
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.records import marks, portions
from claviger.store.contract import Store, Tx, Value

_WRITTEN = f"{STORED}, facet_id, name_key, expires_at, purge_at, azure_created_at, sole, deleted_by"
_OWN = ", ".join(f"s.{name}" for name in STORED.split(", "))
JOINED = "cckm_azure_secrets s JOIN cckm_azure_vaults v ON v.num = s.vault_num"
VIEWED = f"{_OWN}, v.id, v.domain_id, v.azure_name, v.subscription_id, v.location, v.cloud_name, v.details"
"""What `view_of` reads, of JOINED."""

_DELETED = Status.DELETED.value
_SELECT = f"SELECT {_OWN}, s.num, s.facet_id, s.sole, s.deleted_by, v.domain_id FROM {JOINED}"
_NAMED = "s.vault_num = ? AND s.name_key = ?"
_VIEW = f"SELECT {VIEWED} FROM {JOINED} WHERE s.id = ? AND v.domain_id = ?"
_PLACES = f"({marks(_WRITTEN.split(', '))})"
_CHANGED = ", ".join(f"{name} = ?" for name in _WRITTEN.split(", "))


async def view(store: Store, domain_id: str, ident: str) -> View | None:
    """A record of the domain as it is shown; one read."""
    row = await store.read_one(_VIEW, ident, domain_id)
    return None if row is None else view_of(row)


async def by_id(store: Store, domain_id: str, ident: str) -> SecretRow | None:
    """A record of the domain."""
    row = await store.read_one(f"{_SELECT} WHERE s.id = ? AND v.domain_id = ?", ident, domain_id)
    return None if row is None else row_of(row)


async def versions_of(
    store: Store, vault_id: str, name: str, *, until: int | None = None, live: bool = False
) -> list[str]:
    """The versions of a name that are known: those whose rows came up to `until`; of `live` ones only, none gone."""
    where, args = "v.id = ? AND s.name_key = ?", [vault_id, name.lower()]
    rows = await store.read(f"SELECT s.version, s.num, s.status, s.gone FROM {JOINED} WHERE {where}", *args)
    return [
        row[0]
        for row in rows
        if (until is None or row[1] <= until) and not (live and (row[2] == _DELETED or row[3] == 1))
    ]


async def versions_in(store: Store, backup: str) -> list[str]:
    """The versions that this is the backup of."""
    return [row[0] for row in await store.read("SELECT version FROM cckm_azure_secrets WHERE backup = ?", backup)]


def load(tx: Tx, num: int) -> SecretRow | None:
    """A row within a change; None where it is gone, or its vault is."""
    row = tx.fetch_one(f"{_SELECT} WHERE s.num = ?", num)
    return None if row is None else row_of(row)


def load_by_id(tx: Tx, ident: str) -> SecretRow | None:
    """A row by the id of its record."""
    row = tx.fetch_one(f"{_SELECT} WHERE s.id = ?", ident)
    return None if row is None else row_of(row)


def of_name(tx: Tx, vault_num: int, name: str, status: Status | None = None) -> list[SecretRow]:
    """The versions of a name that are known, or those of one status, in the order of their creation here."""
    rows = [row_of(row) for row in tx.fetch(f"{_SELECT} WHERE {_NAMED} ORDER BY s.num", vault_num, name.lower())]
    return rows if status is None else [row for row in rows if row.status is status]


def of_names(tx: Tx, vault_num: int, names: Iterable[str]) -> list[SecretRow]:
    """The same of many names at once, in the order of creation here."""
    found: list[SecretRow] = []
    for keys in portions(sorted({name.lower() for name in names})):
        where = f"s.vault_num = ? AND s.name_key IN ({marks(keys)})"
        found += [row_of(row) for row in tx.fetch(f"{_SELECT} WHERE {where}", vault_num, *keys)]
    return sorted(found, key=lambda row: row.num)


def names_backup(tx: Tx, backup: str) -> bool:
    """Whether any record names this backup."""
    return tx.fetch_one("SELECT 1 FROM cckm_azure_secrets WHERE backup = ? LIMIT 1", backup) is not None


def add(tx: Tx, domain_id: str, row: SecretRow) -> SecretRow:
    """Stores a new row; it as it is then."""
    return add_many(tx, domain_id, [row])[0]


def add_many(tx: Tx, domain_id: str, rows: Sequence[SecretRow]) -> list[SecretRow]:
    """Stores new rows of a domain's vaults, in this order; them as they are then. Some thousands at once at most."""
    standing = {(each.vault_num, each.name_key): each for each in _latest(tx, rows)}
    newest = dict(standing)
    heads: dict[tuple[int, str], int] = {}
    for at, row in enumerate(rows):
        key = (row.vault_num, row.name_key)
        if key not in newest or row.told.created_at >= newest[key].told.created_at:
            newest[key], heads[key] = row, at
    latest = set(heads.values())
    named = Counter((row.vault_num, row.name_key) for row in rows)
    fresh = [
        msgspec.structs.replace(
            row, num=0, domain_id=domain_id, latest=at in latest, sole=key not in standing and named[key] == 1
        )
        for at, (key, row) in enumerate(((row.vault_num, row.name_key), row) for row in rows)
    ]
    moves: list[Move] = [
        (row, msgspec.structs.replace(row, latest=key not in heads, sole=False))
        for key, row in standing.items()
        if key in heads or row.sole
    ]
    return _apply(tx, [*moves, *((None, row) for row in fresh)])[len(moves) :]


def change(tx: Tx, row: SecretRow) -> None:
    """Stores what has changed about a row that this transaction has read. Which one is the latest stays as it is."""
    change_many(tx, [row])


def change_many(tx: Tx, rows: Sequence[SecretRow]) -> None:
    """The same for many rows. Raises LookupError for one that is not stored."""
    old = _as_stored(tx, rows)
    moves: list[Move] = []
    for row in rows:
        was = old[row.num]
        kept = msgspec.structs.replace(row, vault_num=was.vault_num, domain_id=was.domain_id, latest=was.latest)
        kept = msgspec.structs.replace(kept, sole=was.sole, deleted_by=_deleted_by(was, row))
        moves.append((was, kept))
    _apply(tx, moves)


def _deleted_by(was: SecretRow, row: SecretRow) -> str:
    """Who deleted it: nobody where it lives, or where it was deleted anew by somebody who is not known."""
    if row.status is Status.AVAILABLE:
        return ""
    dates = (was.told.deleted_at, row.told.deleted_at)
    is_anew = was.status is row.status and None not in dates and dates[0] != dates[1]
    return "" if is_anew and row.deleted_by == was.deleted_by else row.deleted_by


def remove(tx: Tx, rows: Sequence[SecretRow]) -> None:
    """Removes rows. Where the latest of a name goes, the newest that stays is it."""
    old = list(_as_stored(tx, rows).values())
    _apply(tx, [(row, None) for row in old])
    moves: list[Move] = []
    for vault_num, name in sorted({(row.vault_num, row.name_key) for row in old if not row.sole}):
        left = of_name(tx, vault_num, name)
        newest = max(left, key=lambda row: (row.latest, row.told.created_at, row.num), default=None)
        if newest is not None and (not newest.latest or len(left) == 1):
            moves.append((newest, msgspec.structs.replace(newest, latest=True, sole=len(left) == 1)))
    _apply(tx, moves)


def _as_stored(tx: Tx, rows: Sequence[SecretRow]) -> dict[int, SecretRow]:
    """By num. What is counted is what is stored, whatever the caller has at hand."""
    found: dict[int, SecretRow] = {}
    for portion in portions([row.num for row in rows]):
        found |= {row[16]: row_of(row) for row in tx.fetch(f"{_SELECT} WHERE s.num IN ({marks(portion)})", *portion)}
    return found


Move = tuple[SecretRow | None, SecretRow | None]


def _apply(tx: Tx, moves: Sequence[Move]) -> list[SecretRow]:
    """From each old row (None: there is none) to its new one (None: no more), with all counts. The new rows."""
    tally = Tally(tx)
    stored: list[SecretRow] = []
    fresh: list[SecretRow] = []
    gone: list[int] = []
    for old, new in moves:
        if old is not None:
            tally.count(old.facet_id, old.told.tags, -1)
            if new is None:
                gone.append(old.num)
        if new is None:
            continue
        row = msgspec.structs.replace(new, facet_id=tally.id_of(new.facet))
        tally.count(row.facet_id, row.told.tags, 1)
        if old is None:
            fresh.append(row)
            continue
        tx.execute(f"UPDATE cckm_azure_secrets SET {_CHANGED} WHERE num = ?", *_values(row), row.num)
        if old.told.tags != row.told.tags:
            replace_tags(tx, row.num, row.told.tags)
        stored.append(row)
    stored += _insert(tx, fresh)
    for portion in portions(gone):
        tx.execute(f"DELETE FROM cckm_azure_secrets WHERE num IN ({marks(portion)})", *portion)
    tally.save()
    PARTS.note_moved(tx, [*gone, *(row.num for row in stored)])
    return stored


def _insert(tx: Tx, rows: Sequence[SecretRow]) -> list[SecretRow]:
    nums: dict[str, int] = {}
    for portion in portions(rows):
        places = ", ".join([_PLACES] * len(portion))
        values = [value for row in portion for value in _values(row)]
        found = tx.fetch(f"INSERT INTO cckm_azure_secrets ({_WRITTEN}) VALUES {places} RETURNING id, num", *values)
        nums |= {str(ident): int(num) for ident, num in found}
    tags: list[tuple[int, Mapping[str, str]]] = [(nums[row.id], row.told.tags) for row in rows]
    put_tags(tx, tags)
    return [msgspec.structs.replace(row, num=nums[row.id]) for row in rows]


def _latest(tx: Tx, rows: Sequence[SecretRow]) -> list[SecretRow]:
    """The stored latest rows of the names of these."""
    names: dict[int, set[str]] = {}
    for row in rows:
        names.setdefault(row.vault_num, set()).add(row.name_key)
    return [row for vault_num, keys in names.items() for row in of_names(tx, vault_num, keys) if row.latest]


def _values(row: SecretRow) -> list[Value]:
    told = row.told
    return [
        *values_of(row),
        row.facet_id,
        row.name_key,
        told.expires_at,
        told.purge_at,
        told.created_at,
        row.sole,
        row.deleted_by,
    ]
