"""Stored connections of all services: what they share, and who uses one. A service brings its own details."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from claviger.cckm.vaults.records import ManagedVault
from claviger.core.errors import Conflict
from claviger.store.contract import Store, Tx

_COLUMNS = (
    "id, domain_id, service, name, cloud_name, details, last_connection_ok, last_connection_error, last_connection_at, "
    "revision, created_at, updated_at"
)
_BY_EITHER = "(id = ? OR name = ?) ORDER BY CASE WHEN id = ? THEN 0 ELSE 1 END LIMIT 1"
_VAULTS = ("cckm_azure_vaults", "cckm_oci_vaults")
_USERS = {
    "cckm_azure_vaults": "",
    "cckm_oci_vaults": " AND removed = 0",
    "cckm_oci_tenancies": "",
    "cckm_oci_compartments": "",
}
"""Whatever names a connection by `connection_id`, and which of its rows count."""


class CommonDetails(msgspec.Struct, frozen=True):
    """What connections of all services say of themselves."""

    description: str = ""
    meta: dict[str, object] = {}
    labels: dict[str, object] = {}
    products: list[str] = []


class AnyConnection(msgspec.Struct, frozen=True):
    """A connection of any service, as far as all are alike. Times are epoch seconds."""

    id: str
    domain_id: str
    service: str
    name: str
    cloud_name: str
    details: CommonDetails
    last_connection_ok: bool | None
    last_connection_error: str | None
    last_connection_at: float | None
    revision: int
    created_at: float
    updated_at: float


class Connected(Protocol):
    """What a connection of any service has."""

    @property
    def id(self) -> str: ...
    @property
    def domain_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def service(self) -> str: ...
    @property
    def cloud_name(self) -> str: ...
    @property
    def details(self) -> Any: ...
    @property
    def revision(self) -> int: ...
    @property
    def last_connection_ok(self) -> bool | None: ...
    @property
    def last_connection_error(self) -> str | None: ...
    @property
    def last_connection_at(self) -> float | None: ...
    @property
    def created_at(self) -> float: ...
    @property
    def updated_at(self) -> float: ...


C = TypeVar("C", bound=Connected)


class Kind(Generic[C]):
    """The connections of one service. `made` is its struct, `details` the struct of what only it has."""

    def __init__(self, service: str, made: Callable[..., C], details: type[msgspec.Struct]) -> None:
        self._service = service
        self._made = made
        self._details = msgspec.json.Decoder(details)

    async def find(self, store: Store, domain_id: str, id_or_name: str) -> C | None:
        """A domain's connection by its id, or by its name."""
        row = await store.read_one(self._sql(), domain_id, self._service, id_or_name, id_or_name, id_or_name)
        return None if row is None else self._read(row)

    def load(self, tx: Tx, domain_id: str, id_or_name: str) -> C | None:
        """The same within a change."""
        row = tx.fetch_one(self._sql(), domain_id, self._service, id_or_name, id_or_name, id_or_name)
        return None if row is None else self._read(row)

    async def of_vault(self, store: Store, vault: ManagedVault) -> C:
        """The connection by which a vault is managed. Raises Conflict("ConnectionMissing")."""
        found = await self.find(store, vault.domain_id, vault.connection_id) if vault.connection_id else None
        if found is None:
            raise Conflict(
                "ConnectionMissing",
                message=f"the vault's connection {vault.connection_name} was deleted; give the vault another one by"
                " PATCH of the vault, even one of the same name",
            )
        return found

    async def all_of(self, store: Store, domain_id: str) -> list[C]:
        """A domain's connections of this service, oldest first."""
        rows = await store.read(
            f"SELECT {_COLUMNS} FROM cckm_connections WHERE domain_id = ? AND service = ? ORDER BY created_at, id",
            domain_id,
            self._service,
        )
        return [self._read(row) for row in rows]

    def _sql(self) -> str:
        return f"SELECT {_COLUMNS} FROM cckm_connections WHERE domain_id = ? AND service = ? AND {_BY_EITHER}"

    def _read(self, row: Sequence[Any]) -> C:
        return self._made(**_common(row), details=self._details.decode(row[5]))


def _common(row: Sequence[Any]) -> dict[str, Any]:
    return {
        "id": row[0],
        "domain_id": row[1],
        "service": row[2],
        "name": row[3],
        "cloud_name": row[4],
        "last_connection_ok": None if row[6] is None else bool(row[6]),
        "last_connection_error": row[7],
        "last_connection_at": row[8],
        "revision": row[9],
        "created_at": row[10],
        "updated_at": row[11],
    }


async def all_kinds(store: Store, domain_id: str) -> list[AnyConnection]:
    """A domain's connections of all services."""
    rows = await store.read(
        f"SELECT {_COLUMNS} FROM cckm_connections WHERE domain_id = ? ORDER BY created_at, id", domain_id
    )
    decode = msgspec.json.Decoder(CommonDetails).decode
    return [AnyConnection(**_common(row), details=decode(row[5])) for row in rows]


def find_any(tx: Tx, domain_id: str, id_or_name: str, service: str | None = None) -> tuple[str, str] | None:
    """Id and name of a domain's connection of any service, or of one, by either of them."""
    of_service, args = ("", []) if service is None else (" AND service = ?", [service])
    row = tx.fetch_one(
        f"SELECT id, name FROM cckm_connections WHERE domain_id = ?{of_service} AND {_BY_EITHER}",
        domain_id,
        *args,
        id_or_name,
        id_or_name,
        id_or_name,
    )
    return None if row is None else (row[0], row[1])


def name_is_taken(tx: Tx, domain_id: str, name: str) -> bool:
    """Whether a connection of the domain has this name, or this as its id."""
    found = tx.fetch_one(
        "SELECT 1 FROM cckm_connections WHERE domain_id = ? AND (name = ? OR id = ?)", domain_id, name, name
    )
    return found is not None


def count(tx: Tx, domain_id: str) -> int:
    """How many connections a domain has."""
    row = tx.fetch_one("SELECT COUNT(*) FROM cckm_connections WHERE domain_id = ?", domain_id)
    return 0 if row is None else int(row[0])


def add(tx: Tx, connection: Connected) -> None:
    """Stores a new connection."""
    tx.execute(
        f"INSERT INTO cckm_connections ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        connection.id,
        connection.domain_id,
        connection.service,
        connection.name,
        connection.cloud_name,
        _encoded(connection.details),
        None if connection.last_connection_ok is None else int(connection.last_connection_ok),
        connection.last_connection_error,
        connection.last_connection_at,
        connection.revision,
        connection.created_at,
        connection.updated_at,
    )


def change(tx: Tx, connection: Connected) -> None:
    """Stores what can change of a connection."""
    tx.execute(
        "UPDATE cckm_connections SET cloud_name = ?, details = ?, revision = ?, updated_at = ? WHERE id = ?",
        connection.cloud_name,
        _encoded(connection.details),
        connection.revision,
        connection.updated_at,
        connection.id,
    )


def note_test(tx: Tx, ident: str, ok: bool, error: str | None, at: float) -> None:
    """Stores how a test of a connection ended."""
    tx.execute(
        "UPDATE cckm_connections SET last_connection_ok = ?, last_connection_error = ?, last_connection_at = ? "
        "WHERE id = ?",
        int(ok),
        error,
        at,
        ident,
    )


def remove(tx: Tx, ident: str) -> None:
    """Forgets a connection. What uses it keeps its name alone."""
    for table in _USERS:
        tx.execute(f"UPDATE {table} SET connection_id = '' WHERE connection_id = ?", ident)
    tx.execute("DELETE FROM cckm_connections WHERE id = ?", ident)


def users_count(tx: Tx, ident: str) -> int:
    """How many vaults and other records use a connection."""
    total = 0
    for table, more in _USERS.items():
        row = tx.fetch_one(f"SELECT COUNT(*) FROM {table} WHERE connection_id = ?{more}", ident)
        total += 0 if row is None else int(row[0])
    return total


def revision_of(tx: Tx, domain_id: str, ident: str) -> tuple[int, float] | None:
    """The revision of a domain's connection, and when it was last changed."""
    row = tx.fetch_one(
        "SELECT revision, updated_at FROM cckm_connections WHERE domain_id = ? AND id = ?", domain_id, ident
    )
    return None if row is None else (int(row[0]), float(row[1]))


def protections_reached(tx: Tx, ident: str) -> list[tuple[bool, int | None]]:
    """What is set on the vaults that are reached by a connection: whether protected, and the quorum."""
    found = []
    for table in _VAULTS:
        found += tx.fetch(
            f"SELECT DISTINCT p.protected, p.quorum FROM {table} v "
            "JOIN cckm_protections p ON p.container_id = v.id WHERE v.connection_id = ?",
            ident,
        )
    return [(row[0] != 0, row[1]) for row in found]


def embedded_is_noted(tx: Tx, key: str) -> bool:
    """Whether the embedded cloud has been registered before."""
    return tx.fetch_one("SELECT 1 FROM meta WHERE key = ?", key) is not None


def _encoded(details: object) -> str:
    return msgspec.json.encode(details).decode()
