"""Rows of secrets by the hundred, drawn by chance, for tests of what is stored of them and how they are listed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec

from claviger.cckm.azure.secrets.rows import SecretRow, Told
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.azure.vaults import records as vaults
from claviger.cckm.azure.vaults.records import VaultDetails, VaultRow, encode_details
from claviger.store.contract import Store, Tx

SUBSCRIPTION = "1cda5d8b-c825-4976-9999-26022adb76b5"
REGIONS = ("eastus", "westus", "northeurope")
KINDS = ("db", "api", "cert", "Token")
START = 1_700_000_000
DAY_S = 86_400


def uuid_of(chance: random.Random) -> str:
    """A UUID that the seed decides."""
    text = f"{chance.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}"


async def make_domain(store: Store, domain_id: str, name: str) -> None:
    """A domain to hold vaults."""

    def change(tx: Tx) -> None:
        tx.execute(
            "INSERT INTO cckm_domains (id, name, details, created_at, updated_at) VALUES (?, ?, '{}', 0, 0)",
            domain_id,
            name,
        )

    await store.write(change)


async def make_vault(store: Store, domain_id: str, chance: random.Random, azure_name: str) -> VaultRow:
    """A vault of a domain, whatever connection it is reached by."""
    uri = f"https://{azure_name}.vault.azure.net/"
    said = VaultDetails(
        properties={"enableSoftDelete": chance.random() < 0.8, "tenantId": uuid_of(chance), "vaultUri": uri}
    )
    row = VaultRow(
        num=0,
        id=uuid_of(chance),
        domain_id=domain_id,
        connection_id="connection",
        connection_name="connection",
        subscription_id=SUBSCRIPTION,
        subscription_name="subscription",
        azure_name=azure_name,
        azure_vault_id=f"/subscriptions/{SUBSCRIPTION}/vaults/{azure_name}",
        cloud_name=chance.choice(("AzureCloud", "AzureCloud", "AzureUSGovernment")),
        location=chance.choice(REGIONS),
        type="Microsoft.KeyVault/vaults",
        details=encode_details(said),
        labels="{}",
        cloud_key_backup_limit=0,
        synced_at=None,
        created_by="somebody",
        created_at=0.0,
        updated_at=0.0,
    )
    return await store.write(lambda tx: vaults.add(tx, row))


def draw_told(chance: random.Random, vault: VaultRow, name: str, version: str) -> Told:
    """What Azure might say."""
    tags: dict[str, str] = {}
    if chance.random() < 0.6:
        tags["env"] = chance.choice(("prod", "dev", "a=b"))
    if chance.random() < 0.2:
        tags["owner"] = f"team-{chance.randrange(5)}"
    at = START + chance.randrange(50) - chance.choice((0, 0, 1, 2, 10)) * DAY_S
    return Told(
        azure_id=f"https://{vault.azure_name}.vault.azure.net/secrets/{name}/{version}",
        content_type=chance.choice((None, "password")),
        tags=tags,
        managed=chance.random() < 0.1,
        enabled=chance.random() < 0.8,
        expires_at=START + chance.randrange(-5, 60) * DAY_S if chance.random() < 0.4 else None,
        created_at=at,
        updated_at=at,
        recovery_level="Recoverable+Purgeable",
        recoverable_days=90,
    )


def draw_row(chance: random.Random, vaults_: Sequence[VaultRow], names: int = 80) -> SecretRow:
    """A row that is not stored yet; names meet, in any case, and so do times and backups."""
    vault = chance.choice(vaults_)
    name = f"{chance.choice(KINDS)}-{chance.randrange(names // 4)}"
    name = name.upper() if chance.random() < 0.1 else name
    version = f"{chance.getrandbits(128):032x}"
    at = float(START + chance.randrange(40))
    status = chance.choices(tuple(Status), (8, 3, 1))[0]
    return SecretRow(
        id=uuid_of(chance),
        vault_num=vault.num,
        name=name,
        version=version,
        status=status,
        soft_deleted=status is Status.SOFT_DELETED,
        gone=chance.random() < 0.1,
        origin=chance.choice(("cckm", "native", "unknown")),
        told=draw_told(chance, vault, name, version),
        backup=f"{chance.randrange(50):064x}" if chance.random() < 0.7 else None,
        backup_at=at,
        synced_at=at,
        created_by="somebody",
        modified_by="somebody",
        created_at=at,
        updated_at=at,
    )


def draw_change(chance: random.Random, row: SecretRow, vault: VaultRow) -> SecretRow:
    """The same row after something has happened to it."""
    status = chance.choice(tuple(Status))
    changed: dict[str, Any] = {
        "status": status,
        "soft_deleted": status is Status.SOFT_DELETED,
        "gone": chance.random() < 0.2,
        "updated_at": float(START + chance.randrange(60)),
        "told": draw_told(chance, vault, row.name, row.version),
    }
    chosen = {name: value for name, value in changed.items() if chance.random() < 0.6}
    if ("status" in chosen) != ("soft_deleted" in chosen):
        chosen |= {"status": status, "soft_deleted": changed["soft_deleted"]}
    return msgspec.structs.replace(row, **chosen)
