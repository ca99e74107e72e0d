"""Stored vaults of OCI: what OCI said when it was last asked, and which connection leads there.

A vault that was removed keeps its row, hidden with all its keys: added again it is the same one, with the same keys
under the same ids (CCKM contract, OCI §3.6). Nothing here shows one that is removed but where its name says so.
"""

from __future__ import annotations

import msgspec

from claviger.cckm.records import Table, bump_keys_revision
from claviger.core.errors import Invalid
from claviger.jobs import records as intents
from claviger.store.contract import Store, Tx

_SHOWN = "removed = 0"


class OciVaultDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What OCI says of a vault and nobody filters by. Times are epoch seconds."""

    wrapping_key_ocid: str = ""
    created_at: float | None = None
    deletes_at: float | None = None
    freeform_tags: dict[str, str] = msgspec.field(default_factory=dict)
    defined_tags: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    restored_from: str = ""
    replication_id: str = ""
    is_primary: bool = True


class OciVault(msgspec.Struct, frozen=True, kw_only=True):
    """A vault of a domain. `details` is JSON; times are epoch seconds. `num` 0: not stored yet."""

    num: int
    id: str
    domain_id: str
    removed: int
    connection_id: str
    connection_name: str
    tenancy_ocid: str
    tenancy_name: str
    region: str
    ocid: str
    compartment_ocid: str
    compartment_name: str
    display_name: str
    vault_type: str
    state: str
    management_endpoint: str
    bucket_name: str
    bucket_namespace: str
    details: str
    refreshed_at: float | None
    read_began_at: float | None
    created_by: str
    created_at: float
    updated_at: float

    @property
    def name(self) -> str:
        """What people call it."""
        return self.display_name

    @property
    def said(self) -> OciVaultDetails:
        """What else OCI said about it."""
        return _DETAILS.decode(self.details)


_DETAILS = msgspec.json.Decoder(OciVaultDetails)
_TABLE = Table("cckm_oci_vaults", OciVault)


def encode_details(details: OciVaultDetails) -> str:
    """The JSON of a row's `details`."""
    return msgspec.json.encode(details).decode()


async def by_id(store: Store, domain_id: str, ident: str) -> OciVault | None:
    """A vault of the domain by its record's id."""
    row = await store.read_one(f"{_TABLE.select} WHERE id = ? AND domain_id = ? AND {_SHOWN}", ident, domain_id)
    return None if row is None else _TABLE.row(row)


async def by_num(store: Store, domain_id: str, num: int) -> OciVault | None:
    """A vault of the domain by the number that rows of its keys carry."""
    row = await store.read_one(f"{_TABLE.select} WHERE num = ? AND domain_id = ? AND {_SHOWN}", num, domain_id)
    return None if row is None else _TABLE.row(row)


async def by_num_anywhere(store: Store, num: int) -> OciVault | None:
    """The same in whichever domain, for work that no caller is behind."""
    row = await store.read_one(f"{_TABLE.select} WHERE num = ? AND {_SHOWN}", num)
    return None if row is None else _TABLE.row(row)


async def find(store: Store, domain_id: str, word: str) -> OciVault | None:
    """A vault of the domain by its record's id, its OCID or its name.

    Raises Invalid("InvalidParam") where several have that name.
    """
    rows = await store.read(
        f"{_TABLE.select} WHERE domain_id = ? AND {_SHOWN} AND (id = ? OR ocid = ? OR display_name = ?) "
        "ORDER BY num LIMIT 10",
        domain_id,
        word,
        word,
        word,
    )
    found = [_TABLE.row(row) for row in rows]
    exact = [each for each in found if word in (each.id, each.ocid)]
    if exact:
        return exact[0]
    if len(found) > 1:
        told = ", ".join(each.id for each in found[:5])
        raise Invalid("InvalidParam", message=f"several vaults are called {word[:100]}; name one of: {told}")
    return found[0] if found else None


async def all_of(store: Store, domain_id: str) -> list[OciVault]:
    """The vaults of a domain, in the order in which they were first added."""
    rows = await store.read(f"{_TABLE.select} WHERE domain_id = ? AND {_SHOWN} ORDER BY num", domain_id)
    return [_TABLE.row(row) for row in rows]


def load(tx: Tx, domain_id: str, ident: str) -> OciVault | None:
    """A vault of the domain within a change."""
    row = tx.fetch_one(f"{_TABLE.select} WHERE id = ? AND domain_id = ? AND {_SHOWN}", ident, domain_id)
    return None if row is None else _TABLE.row(row)


def load_by_num(tx: Tx, num: int) -> OciVault | None:
    """The same by the number that rows of its keys carry, in whichever domain."""
    row = tx.fetch_one(f"{_TABLE.select} WHERE num = ? AND {_SHOWN}", num)
    return None if row is None else _TABLE.row(row)


def load_even_removed(tx: Tx, domain_id: str, ocid: str) -> OciVault | None:
    """The row of OCI's vault, whether it is managed now or was once."""
    row = tx.fetch_one(f"{_TABLE.select} WHERE domain_id = ? AND ocid = ?", domain_id, ocid)
    return None if row is None else _TABLE.row(row)


def count(tx: Tx, domain_id: str) -> int:
    """How many vaults the domain manages."""
    found = tx.fetch_one(f"SELECT COUNT(*) FROM cckm_oci_vaults WHERE domain_id = ? AND {_SHOWN}", domain_id)
    return 0 if found is None else int(found[0])


def add(tx: Tx, fresh: OciVault) -> OciVault:
    """Stores a new vault; it as it is then, with its num."""
    return _TABLE.add(tx, fresh)


def replace(tx: Tx, changed: OciVault) -> None:
    """Stores what has changed about a vault. Its keys show some of it."""
    bump_keys_revision(tx)
    _TABLE.replace(tx, changed)


def operation_under_way(tx: Tx, vault_id: str) -> bool:
    """Whether something is being done in the cloud to what is in the vault."""
    return intents.under_way(tx, f"oci/{vault_id}/")


def counts_by_state(tx: Tx, vault_num: int) -> dict[str, int]:
    """How many records of keys a vault has in each state."""
    rows = tx.fetch(
        "SELECT state, COUNT(*) FROM cckm_oci_keys WHERE vault_num = ? GROUP BY state ORDER BY state", vault_num
    )
    return {str(row[0]): int(row[1]) for row in rows}
