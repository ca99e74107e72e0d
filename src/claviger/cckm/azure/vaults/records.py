"""Stored vaults: what the cloud said when they were added, and which connection leads there.

Also the end of a vault, which takes everything with it that hangs on its row. What is left of one that holds too many
secrets for a single change is hidden at once and goes later, in batches (`removal.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from claviger.cckm.azure.vaults.rules import HSM_TYPE, only_one, record_name
from claviger.cckm.records import Table, bump_secrets_revision
from claviger.jobs import records as intents
from claviger.store.contract import Row, Store, Tx

_WITH_BACKUP, _WITH_VALUE = "backup", "value"
AZURE_RETENTION_DAYS = 90


class VaultDetails(msgspec.Struct, frozen=True):
    """What the cloud said about a vault: its tags, and its properties as they are on the wire."""

    tags: dict[str, str] = {}
    properties: dict[str, Any] = {}


class VaultRow(msgspec.Struct, frozen=True):
    """A vault under management. `details` and `labels` are JSON; times are epoch seconds. `num` 0: not stored yet."""

    num: int
    id: str
    domain_id: str
    connection_id: str
    connection_name: str
    subscription_id: str
    subscription_name: str
    azure_name: str
    azure_vault_id: str
    cloud_name: str
    location: str
    type: str
    details: str
    labels: str
    cloud_key_backup_limit: int
    synced_at: float | None
    created_by: str
    created_at: float
    updated_at: float

    @property
    def name(self) -> str:
        """`azure_name::subscription_id`."""
        return record_name(self.azure_name, self.subscription_id)

    @property
    def said(self) -> VaultDetails:
        """What the cloud said about it."""
        return _DETAILS.decode(self.details)

    @property
    def labels_map(self) -> dict[str, str]:
        """Its labels."""
        return _LABELS.decode(self.labels)

    @property
    def is_managed_hsm(self) -> bool:
        """Whether it is a managed HSM pool, which holds no secrets."""
        return self.type == HSM_TYPE

    @property
    def soft_delete(self) -> bool:
        """Whether what is deleted in it can be recovered for a while. Azure says nothing where it is off."""
        return self.said.properties.get("enableSoftDelete") is True

    @property
    def retention_days(self) -> int:
        """For how many days what is deleted in it can be recovered; Azure's 90 where it does not say."""
        days = self.said.properties.get("softDeleteRetentionInDays")
        return days if isinstance(days, int) else AZURE_RETENTION_DAYS

    @property
    def has_purge_protection(self) -> bool:
        """Whether nobody can purge in it: Azure itself refuses to."""
        return self.said.properties.get("enablePurgeProtection") is True

    @property
    def vault_uri(self) -> str:
        """Its URL, as the cloud gives it; empty for a managed HSM."""
        return str(self.said.properties.get("vaultUri") or "")

    @property
    def tenant_id(self) -> str:
        """The Entra tenant that it trusts."""
        return str(self.said.properties.get("tenantId") or "")


_DETAILS = msgspec.json.Decoder(VaultDetails)
_TABLE = Table("cckm_azure_vaults", VaultRow)
_LABELS = msgspec.json.Decoder(dict[str, str])


def encode_details(details: VaultDetails) -> str:
    """The JSON of a row's `details`."""
    return msgspec.json.encode(details).decode()


def encode_labels(labels: dict[str, str]) -> str:
    """The JSON of a row's `labels`."""
    return msgspec.json.encode(labels).decode()


async def by_id(store: Store, domain_id: str, ident: str) -> VaultRow | None:
    """A vault of the domain by its record's id."""
    row = await store.read_one(f"{_TABLE.select} WHERE id = ? AND domain_id = ?", ident, domain_id)
    return None if row is None else _TABLE.row(row)


async def by_num(store: Store, domain_id: str, num: int) -> VaultRow | None:
    """A vault of the domain by the number that rows of its secrets carry."""
    row = await store.read_one(f"{_TABLE.select} WHERE num = ? AND domain_id = ?", num, domain_id)
    return None if row is None else _TABLE.row(row)


async def find(store: Store, domain_id: str, id_or_name: str) -> VaultRow | None:
    """A vault of the domain by its record's id, by `azure_name::subscription_id`, or by its Azure name alone.

    Raises Invalid("InvalidParam") where several have that name.
    """
    found = await by_id(store, domain_id, id_or_name.lower())
    if found is not None:
        return found
    azure_name, _, subscription = id_or_name.partition("::")
    where, args = "domain_id = ? AND lower(azure_name) = lower(?)", [domain_id, azure_name]
    if "::" in id_or_name:
        where, args = f"{where} AND subscription_id = lower(?)", [*args, subscription]
    rows = [_TABLE.row(row) for row in await store.read(f"{_TABLE.select} WHERE {where} ORDER BY num LIMIT 10", *args)]
    if len(rows) > 1:
        raise only_one({row.name if "::" not in id_or_name else row.id for row in rows}, id_or_name)
    return rows[0] if rows else None


async def all_of(store: Store, domain_id: str) -> list[VaultRow]:
    """The vaults of a domain, in the order in which they were added."""
    return [_TABLE.row(row) for row in await store.read(f"{_TABLE.select} WHERE domain_id = ? ORDER BY num", domain_id)]


async def managed(store: Store, domain_id: str) -> list[str]:
    """The ARM ids of the vaults of a domain."""
    rows = await store.read("SELECT azure_vault_id FROM cckm_azure_vaults WHERE domain_id = ?", domain_id)
    return [str(row[0]) for row in rows]


def load(tx: Tx, domain_id: str, ident: str) -> VaultRow | None:
    """A vault of the domain within a change."""
    row = tx.fetch_one(f"{_TABLE.select} WHERE id = ? AND domain_id = ?", ident, domain_id)
    return None if row is None else _TABLE.row(row)


def load_by_num(tx: Tx, domain_id: str, num: int) -> VaultRow | None:
    """The same by the number that rows of its secrets carry."""
    row = tx.fetch_one(f"{_TABLE.select} WHERE num = ? AND domain_id = ?", num, domain_id)
    return None if row is None else _TABLE.row(row)


def is_managed(tx: Tx, domain_id: str, azure_vault_id: str) -> bool:
    """Whether the domain manages the vault with this ARM id already."""
    return (
        tx.fetch_one(
            "SELECT 1 FROM cckm_azure_vaults WHERE domain_id = ? AND lower(azure_vault_id) = lower(?)",
            domain_id,
            azure_vault_id,
        )
        is not None
    )


def count(tx: Tx, domain_id: str) -> int:
    """How many vaults the domain manages."""
    found = tx.fetch_one("SELECT COUNT(*) FROM cckm_azure_vaults WHERE domain_id = ?", domain_id)
    return 0 if found is None else int(found[0])


def add(tx: Tx, fresh: VaultRow) -> VaultRow:
    """Stores a new vault; it as it is then, with its num."""
    return _TABLE.add(tx, fresh)


def replace(tx: Tx, changed: VaultRow) -> None:
    """Stores what has changed about a vault. Its secrets show some of it."""
    bump_secrets_revision(tx)
    _TABLE.replace(tx, changed)


def operation_under_way(tx: Tx, vault_id: str) -> bool:
    """Whether something is being done in the cloud to what is in the vault."""
    return intents.under_way(tx, f"azure/{vault_id}/")


def remove(tx: Tx, vault: VaultRow) -> None:
    """Removes a vault's row. Its secrets belong to nobody from then on, and wait for `sweep_some`."""
    tx.execute("DELETE FROM cckm_azure_vaults WHERE num = ?", vault.num)
    bump_secrets_revision(tx)
    tx.execute(
        "UPDATE cckm_azure_secret_facets SET domain_id = '' WHERE domain_id = ? AND vault_num = ?",
        vault.domain_id,
        vault.num,
    )


def counts_by_status(tx: Tx, domain_id: str, vault_num: int) -> dict[str, int]:
    """How many records of secrets a vault has of each status."""
    rows = tx.fetch(
        "SELECT status, SUM(count) FROM cckm_azure_secret_facets WHERE domain_id = ? AND vault_num = ? "
        "GROUP BY status ORDER BY status",
        domain_id,
        vault_num,
    )
    return {str(row[0]): int(row[1]) for row in rows if row[1]}


def count_backups(tx: Tx, vault_num: int) -> int:
    """How many backups of its secrets are kept."""
    row = tx.fetch_one("SELECT COUNT(DISTINCT backup) FROM cckm_azure_secrets WHERE vault_num = ?", vault_num)
    return 0 if row is None else int(row[0])


def left_behind(tx: Tx) -> int | None:
    """The num of a removed vault whose secrets are not all gone yet."""
    found = tx.fetch_one("SELECT vault_num FROM cckm_azure_secret_facets WHERE domain_id = '' LIMIT 1")
    return None if found is None else int(found[0])


def sweep_some(tx: Tx, vault_num: int, most: int) -> int:
    """Removes up to `most` secrets of a removed vault with their tags, values and backups; how many.

    Fewer than `most` means that nothing of the vault is left. What the facets counted is of no use any more, so counts
    of tags go whole; tags go with their rows. A backup that a record of another vault names stays.
    """
    rows = tx.fetch("SELECT num, id, backup FROM cckm_azure_secrets WHERE vault_num = ? LIMIT ?", vault_num, most)
    if rows:
        nums = [row[0] for row in rows]
        tx.execute(
            "DELETE FROM cckm_azure_secret_tag_counts WHERE (name, value, facet_id) IN "
            "(SELECT t.name, t.value, s.facet_id FROM cckm_azure_secret_tags t "
            f"JOIN cckm_azure_secrets s ON s.num = t.secret_num WHERE t.secret_num IN ({_marks(nums)}))",
            *nums,
        )
        tx.execute(f"DELETE FROM cckm_azure_secrets WHERE num IN ({_marks(nums)})", *nums)
        _remove_sealed(tx, _WITH_VALUE, [row[1] for row in rows])
        backups = {str(row[2]) for row in rows if row[2] is not None}
        _remove_sealed(tx, _WITH_BACKUP, sorted(backups - _still_named(tx, sorted(backups))))
    if len(rows) < most:
        tx.execute("DELETE FROM cckm_azure_secret_facets WHERE domain_id = '' AND vault_num = ?", vault_num)
    return len(rows)


def _still_named(tx: Tx, backups: Sequence[str]) -> set[str]:
    if not backups:
        return set()
    rows = tx.fetch(f"SELECT DISTINCT backup FROM cckm_azure_secrets WHERE backup IN ({_marks(backups)})", *backups)
    return {str(row[0]) for row in rows}


def _remove_sealed(tx: Tx, kind: str, idents: Sequence[str]) -> None:
    if idents:
        tx.execute(f"DELETE FROM cckm_sealed WHERE kind = ? AND ident IN ({_marks(idents)})", kind, *idents)


def _marks(values: Sequence[Row | int | str]) -> str:
    return ", ".join("?" * len(values))
