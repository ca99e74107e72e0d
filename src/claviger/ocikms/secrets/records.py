"""What is stored of secrets, and the SQL for it; their versions are in `secret_versions/records.py`.

Every read of a secret brings along what its vault and its key say about it, and when its current version was made. Rows
are never removed: a secret that is deleted says so. Times are epoch seconds.
"""

from __future__ import annotations

from math import ceil

import msgspec

from claviger.ocikms import states
from claviger.ocikms.listing import Page, ordering
from claviger.ocikms.secrets import rules
from claviger.ocikms.secrets.rules import ACTIVE, Marks
from claviger.ocikms.states import DELETED, MAX_PASSING_S, PENDING_DELETION
from claviger.store.contract import Row, Store, Tx, Value


class Around(msgspec.Struct, frozen=True):
    """The vault or the key of a secret, as far as it bears on the secret."""

    id: str
    state: str
    passing: str
    passing_until: float
    deletes_at: float | None

    def shown_at(self, now: float) -> str:
        """Its state."""
        return states.shown(self.state, self.passing, self.passing_until, self.deletes_at, now)


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret's row. `metadata` and tags are JSON texts; `rules` and `generation` are JSON of `secrets/rules.py` and
    `generation.py`; `num` 0 is: not stored yet.
    """

    num: int = 0
    id: str
    vault_num: int
    key_id: str
    compartment_id: str
    name: str
    description: str | None
    metadata: str | None
    rules: str
    is_auto_generated: int
    generation: str | None
    current_version: int
    previous_version: int
    pending_version: int
    latest_version: int
    state: str = ACTIVE
    passing: str = ""
    passing_until: float = 0.0
    deletes_at: float | None = None
    last_rotation_at: float | None = None
    freeform_tags: str
    defined_tags: str
    revision: int = 1
    created_at: float
    updated_at: float
    tenancy_num: int
    region: str
    vault: Around
    key: Around
    current_created_at: float

    def shown_at(self, now: float) -> str:
        """The state to show and to decide by."""
        own = states.shown(self.state, self.passing, self.passing_until, self.deletes_at, now)
        return rules.shown(own, self.vault.shown_at(now))

    def etag_at(self, now: float) -> str:
        """The etag that goes with that state."""
        return states.etag(self.id, self.revision, self.shown_at(now))

    @property
    def marks(self) -> Marks:
        """The versions that stand out."""
        return Marks(self.current_version, self.previous_version, self.pending_version, self.latest_version)


_JOINED = ("tenancy_num", "region", "vault", "key", "current_created_at")
_COLUMNS = tuple(name for name in Secret.__struct_fields__ if name not in ("num", *_JOINED))
_FIXED = ("id", "vault_num", "key_id", "name", "created_at")
_CHANGING = tuple(name for name in _COLUMNS if name not in _FIXED)
_LIFE = ("id", "state", "passing", "passing_until", "deletes_at")

_READ = ", ".join(
    (
        *(f"s.{name}" for name in ("num", *_COLUMNS)),
        *("v.tenancy_num", "v.region"),
        *(f"v.{name}" for name in _LIFE),
        *(f"k.{name}" for name in _LIFE),
        "c.created_at",
    )
)
_COUNT = 1 + len(_COLUMNS) + 2 + 2 * len(_LIFE) + 1
_FROM = (
    " FROM oci_secrets s JOIN oci_vaults v ON v.num = s.vault_num JOIN oci_keys k ON k.id = s.key_id"
    " JOIN oci_secret_versions c ON c.secret_num = s.num AND c.number = s.current_version"
)
_BY_ID = f"SELECT {_READ}{_FROM} WHERE s.id = ?"
_BY_NAME = f"SELECT {_READ}{_FROM} WHERE v.id = ? AND s.name = ?"


def _secret(row: Row) -> Secret:
    own, around = 1 + len(_COLUMNS), row[1 + len(_COLUMNS) : _COUNT]
    return Secret(
        **dict(zip(("num", *_COLUMNS), row[:own], strict=True)),
        tenancy_num=around[0],
        region=around[1],
        vault=Around(*around[2:7]),
        key=Around(*around[7:12]),
        current_created_at=around[12],
    )


def final(now: float) -> float:
    """What was to be deleted before this is deleted now: dates count by whole seconds, as `states.shown` has it."""
    return int(now) + 0.001


# Secrets.


async def find(store: Store, secret_id: str) -> Secret | None:
    """The secret of an OCID, whatever its state."""
    return await _one(store, _BY_ID, secret_id)


def find_now(store: Store, secret_id: str) -> Secret | None:
    """The same without waiting; None also where the store cannot tell at once."""
    rows = store.read_now(_BY_ID, secret_id)
    return _secret(rows[0]) if rows else None


async def by_name(store: Store, vault_id: str, name: str) -> Secret | None:
    """The secret of that name in a vault, whatever its state."""
    return await _one(store, _BY_NAME, vault_id, name)


async def _one(store: Store, sql: str, *args: str) -> Secret | None:
    if any("\0" in arg for arg in args):
        return None
    row = await store.read_one(sql, *args)
    return None if row is None else _secret(row)


def by_id_in(tx: Tx, secret_id: str) -> Secret | None:
    """The secret of an OCID, as the transaction sees it."""
    row = tx.fetch_one(_BY_ID, secret_id) if "\0" not in secret_id else None
    return None if row is None else _secret(row)


def is_name_taken(tx: Tx, vault_num: int, name: str) -> bool:
    """Whether a secret of the vault has that name, be it deleted."""
    return tx.fetch_one("SELECT 1 FROM oci_secrets WHERE vault_num = ? AND name = ?", vault_num, name) is not None


def add(tx: Tx, secret: Secret) -> Secret:
    """Stores a new secret; it with its number."""
    num = tx.insert(
        f"INSERT INTO oci_secrets ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) RETURNING num",
        *(getattr(secret, name) for name in _COLUMNS),
    )
    return msgspec.structs.replace(secret, num=num)


def replace(tx: Tx, secret: Secret) -> None:
    """Writes all that may change of a secret."""
    tx.execute(
        f"UPDATE oci_secrets SET {', '.join(f'{name} = ?' for name in _CHANGING)} WHERE num = ?",
        *(getattr(secret, name) for name in _CHANGING),
        secret.num,
    )


def touch(tx: Tx, num: int, now: float) -> None:
    """Makes a new etag for a secret of which only a version has changed."""
    tx.execute("UPDATE oci_secrets SET revision = revision + 1, updated_at = ? WHERE num = ?", now, num)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which secrets of a compartment a list is to have."""

    tenancy_num: int
    region: str
    compartment_id: str
    vault_id: str | None = None
    name: str | None = None
    state: str | None = None


async def page(store: Store, wanted: Wanted, at: Page, now: float) -> list[Secret]:
    """The secrets that lie directly in a compartment, one more than a page."""
    condition, order, values = ordering(at, {"TIMECREATED": "s.created_at", "NAME": "s.name"}, "s.num")
    chosen, given = _chosen(wanted, now)
    rows = await store.read(
        f"SELECT {_READ}{_FROM} WHERE s.compartment_id = ? AND v.tenancy_num = ? AND v.region = ?"
        f"{chosen}{condition}{order}",
        wanted.compartment_id,
        wanted.tenancy_num,
        wanted.region,
        *given,
        *values,
    )
    return [_secret(row) for row in rows]


def _chosen(wanted: Wanted, now: float) -> tuple[str, list[Value]]:
    sql, given = "", list[Value]()
    for column, value in (("v.id", wanted.vault_id), ("s.name", wanted.name)):
        if value is not None:
            sql, given = f"{sql} AND {column} = ?", [*given, value]
    if wanted.state is not None:
        state, needed = _state_shown(now)
        sql, given = f"{sql} AND {state} = ?", [*given, *needed, wanted.state]
    return sql, given


def _state_shown(now: float) -> tuple[str, list[Value]]:
    """`Secret.shown_at` in SQL: a list that is filtered by state must be, or its pages would have holes."""
    passing = "({0}.passing <> '' AND {0}.passing_until > ? AND {0}.passing_until - ? <= ?)"
    gone = "({0}.state = 'DELETED' OR ({0}.state = 'PENDING_DELETION' AND {0}.deletes_at < ?))"
    window: list[Value] = [now, now, MAX_PASSING_S]
    sql = (
        f"CASE WHEN NOT {passing.format('v')} AND {gone.format('v')} THEN 'DELETED'"
        f" WHEN {passing.format('s')} THEN s.passing WHEN {gone.format('s')} THEN 'DELETED' ELSE s.state END"
    )
    return sql, [*window, final(now), *window, final(now)]


# The end.


class Due(msgspec.Struct, frozen=True):
    """A secret whose date has come."""

    num: int
    id: str
    name: str
    vault_id: str


def due(tx: Tx, now: float, limit: int) -> list[Due]:
    """Secrets whose date, or whose vault's, has come and that are not ended yet."""
    rows = tx.fetch(
        "SELECT s.num, s.id, s.name, v.id FROM oci_secrets s JOIN oci_vaults v ON v.num = s.vault_num"
        " WHERE s.state = 'PENDING_DELETION' AND s.deletes_at < ? LIMIT ?",
        final(now),
        limit,
    )
    found = [Due(*row) for row in rows]
    if len(found) < limit:
        rows = tx.fetch(
            "SELECT s.num, s.id, s.name, v.id FROM oci_vaults v JOIN oci_secrets s ON s.vault_num = v.num"
            " WHERE (v.state = 'DELETED' OR (v.state = 'PENDING_DELETION' AND v.deletes_at < ?))"
            " AND s.state <> 'DELETED' LIMIT ?",
            final(now),
            limit,
        )
        known = {one.num for one in found}
        found += [Due(*row) for row in rows if row[0] not in known][: limit - len(found)]
    return found


def end(tx: Tx, num: int, now: float) -> None:
    """Writes down that a secret is deleted, and destroys all its contents. It was shown so before: the etag stays."""
    tx.execute(
        "UPDATE oci_secret_versions SET state = ?, sealed = NULL, data_key_id = NULL WHERE secret_num = ?", DELETED, num
    )
    tx.execute(
        "UPDATE oci_secrets SET state = ?, passing = '', passing_until = 0, updated_at = ? WHERE num = ?",
        DELETED,
        now,
        num,
    )


async def next_due(store: Store) -> float | None:
    """When the next secret or version is due, in whole seconds; None where none is scheduled."""
    row = await store.read_one(
        f"SELECT (SELECT MIN(deletes_at) FROM oci_secrets WHERE state = '{PENDING_DELETION}'),"
        f" (SELECT MIN(deletes_at) FROM oci_secret_versions WHERE state = '{PENDING_DELETION}'),"
        " (SELECT MIN(v.deletes_at) FROM oci_vaults v WHERE v.state IN ('PENDING_DELETION', 'DELETED')"
        " AND EXISTS (SELECT 1 FROM oci_secrets s WHERE s.vault_num = v.num AND s.state <> 'DELETED'))"
    )
    dates = [at for at in row or () if at is not None]
    return float(ceil(min(dates))) if dates else None
