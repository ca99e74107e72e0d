"""Rows of clients: programs that sign in by a secret of their own, each as one user in one domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from claviger.store.contract import Store, Tx


class ClientDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a client as JSON."""

    name: str = ""


class Client(msgspec.Struct, frozen=True):
    """A client, and the SHA-256 of its secret."""

    id: str
    sha256: bytes
    user_id: str
    domain_id: str
    details: ClientDetails
    created_at: float


_NAMES = "id, sha256, user_id, domain_id, details, created_at"
_details = msgspec.json.Decoder(ClientDetails)


def _client(row: Sequence[Any]) -> Client:
    return Client(row[0], bytes(row[1]), row[2], row[3], _details.decode(row[4]), row[5])


async def find(store: Store, client_id: str) -> Client | None:
    """The client of this id."""
    row = await store.read_one(f"SELECT {_NAMES} FROM cckm_clients WHERE id = ?", client_id)
    return None if row is None else _client(row)


def get(tx: Tx, client_id: str) -> Client | None:
    """The client of this id, within a change."""
    row = tx.fetch_one(f"SELECT {_NAMES} FROM cckm_clients WHERE id = ?", client_id)
    return None if row is None else _client(row)


async def of_user(store: Store, user_id: str, domain_id: str) -> list[Client]:
    """The clients of a user in a domain, oldest first."""
    rows = await store.read(
        f"SELECT {_NAMES} FROM cckm_clients WHERE user_id = ? AND domain_id = ? ORDER BY created_at, id",
        user_id,
        domain_id,
    )
    return [_client(row) for row in rows]


def count_of_user(tx: Tx, user_id: str) -> int:
    """How many clients a user has, in all domains."""
    row = tx.fetch_one("SELECT COUNT(*) FROM cckm_clients WHERE user_id = ?", user_id)
    return int(row[0]) if row else 0


def add(tx: Tx, client: Client) -> None:
    """Stores a new client."""
    tx.execute(
        f"INSERT INTO cckm_clients ({_NAMES}) VALUES (?, ?, ?, ?, ?, ?)",
        client.id,
        client.sha256,
        client.user_id,
        client.domain_id,
        msgspec.json.encode(client.details).decode(),
        client.created_at,
    )


def remove(tx: Tx, client_id: str) -> None:
    """Removes a client with its memberships."""
    tx.execute("DELETE FROM cckm_clients WHERE id = ?", client_id)
