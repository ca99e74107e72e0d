"""Rows of ACLs: what a user or group may do in a container."""

from __future__ import annotations

from claviger.store.contract import Store, Tx


def actions_of(tx: Tx, container_id: str, grantee: str) -> frozenset[str]:
    """The actions that a container gives to a user or group."""
    row = tx.fetch_one("SELECT actions FROM cckm_acls WHERE container_id = ? AND grantee = ?", container_id, grantee)
    return frozenset(row[0].split()) if row else frozenset()


def put_actions(tx: Tx, domain_id: str, container_id: str, grantee: str, actions: frozenset[str]) -> None:
    """Keeps the actions of a user or group in a container, in place of those before; none removes the entry."""
    tx.execute("DELETE FROM cckm_acls WHERE container_id = ? AND grantee = ?", container_id, grantee)
    if actions:
        tx.execute(
            "INSERT INTO cckm_acls (domain_id, container_id, grantee, actions) VALUES (?, ?, ?, ?)",
            domain_id,
            container_id,
            grantee,
            " ".join(sorted(actions)),
        )


async def of_container(store: Store, container_id: str) -> list[tuple[str, str]]:
    """Grantee and actions of every entry of a container, by grantee."""
    rows = await store.read(
        "SELECT grantee, actions FROM cckm_acls WHERE container_id = ? ORDER BY grantee", container_id
    )
    return [(row[0], row[1]) for row in rows]


async def of_domain(store: Store, domain_id: str) -> list[tuple[str, str, str]]:
    """Container, grantee and actions of every entry of a domain, each container's by grantee."""
    rows = await store.read(
        "SELECT container_id, grantee, actions FROM cckm_acls WHERE domain_id = ? ORDER BY grantee", domain_id
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def of_grantee(store: Store, domain_id: str, grantee: str) -> list[tuple[str, str]]:
    """Container and actions of every entry for a user or group of a domain."""
    rows = await store.read(
        "SELECT container_id, actions FROM cckm_acls WHERE domain_id = ? AND grantee = ?", domain_id, grantee
    )
    return [(row[0], row[1]) for row in rows]


def remove_container(tx: Tx, container_id: str) -> int:
    """Removes the entries of a container; how many there were."""
    return tx.execute("DELETE FROM cckm_acls WHERE container_id = ?", container_id)


def remove_grantee(tx: Tx, grantee: str, domain_id: str | None = None) -> None:
    """Removes the entries of a user everywhere, or of a group in its domain."""
    if domain_id is None:
        tx.execute("DELETE FROM cckm_acls WHERE grantee = ?", grantee)
    else:
        tx.execute("DELETE FROM cckm_acls WHERE domain_id = ? AND grantee = ?", domain_id, grantee)


def rename_grantee(tx: Tx, domain_id: str, grantee: str, new: str) -> None:
    """Moves the entries of a group of a domain to its new name."""
    tx.execute("UPDATE cckm_acls SET grantee = ? WHERE domain_id = ? AND grantee = ?", new, domain_id, grantee)
