"""A vault of the embedded OCI with real keys and secrets in it: scheduled, brought back, and deleted with all of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from claviger.ocikms.sweeper import Part, Sweeper, deletions
from claviger.ocikms.vaults import deletion
from tests.ocikms import DAY_S
from tests.ocisecrets import Safe, open_safe

SEALED = (
    ("oci_key_versions", "sealed IS NOT NULL OR data_key_id IS NOT NULL OR state <> 'DELETED'"),
    ("oci_secret_versions", "sealed IS NOT NULL OR data_key_id IS NOT NULL OR state <> 'DELETED'"),
    ("oci_keys", "state <> 'DELETED'"),
    ("oci_secrets", "state <> 'DELETED'"),
    ("oci_vaults", "wrapping_sealed IS NOT NULL OR wrapping_data_key_id IS NOT NULL OR state <> 'DELETED'"),
    ("data_keys", "scope LIKE 'ocikms:%'"),
)


@pytest.fixture
async def safe(database_url: str) -> AsyncIterator[Safe]:
    async with open_safe(database_url) as opened:
        yield opened


async def left(safe: Safe) -> list[int]:
    """What is there still, table by table."""
    counts = []
    for table, condition in SEALED:
        (row,) = await safe.desk.store.read(f"SELECT COUNT(*) FROM {table} WHERE {condition}")
        counts.append(row[0])
    return counts


async def key_state(safe: Safe) -> str:
    return str((await safe.ask("GetKey", safe.key_id, vault=safe.shop.prefix))["lifecycleState"])


async def test_all_that_is_in_a_vault_shares_its_fate(safe: Safe) -> None:
    secret_id = await safe.made()
    await safe.uploaded(secret_id, "more")
    vault_id, at_host = safe.shop.vault_id, {"vault": safe.shop.prefix}
    await safe.ask("GetWrappingKey", **at_host)
    assert (await safe.ask("GetVaultUsage", vault_id))["softwareKeyCount"] == 1

    await safe.ask("ScheduleVaultDeletion", vault_id)
    assert await key_state(safe) == "PENDING_DELETION"
    assert await safe.refusal("CancelKeyDeletion", safe.key_id, **at_host) == (409, "IncorrectState")
    assert (await safe.refusal("GetSecretBundle", secret_id))[0] in (404, 409)
    await safe.ask("CancelVaultDeletion", vault_id)
    assert await key_state(safe) == "ENABLED"
    assert await safe.text(secret_id) == "more"

    await safe.ask("ScheduleVaultDeletion", vault_id)
    safe.desk.clock.advance(30 * DAY_S - 1)
    sweeper = Sweeper(deletions(safe.desk.store, safe.desk.keyring), safe.desk.store, safe.desk.clock, 60)
    assert await sweeper.sweep() == safe.desk.clock.now() + 1
    assert all(await left(safe))
    safe.desk.clock.advance(1)
    assert await key_state(safe) == "DELETED"
    assert await safe.refusal("GetSecretBundle", secret_id) == (404, "NotAuthorizedOrNotFound")
    assert all(await left(safe))
    assert await sweeper.sweep() is None
    assert await left(safe) == [0] * len(SEALED)
    assert (await safe.ask("GetSecret", secret_id))["lifecycleState"] == "DELETED"


async def test_the_end_of_a_vault_needs_nobody_else(safe: Safe) -> None:
    for name in ("a", "b", "c"):
        await safe.uploaded(await safe.made(name), "more")
    await safe.ask("GetWrappingKey", vault=safe.shop.prefix)
    await safe.ask("ScheduleVaultDeletion", safe.shop.vault_id)
    safe.desk.clock.advance(30 * DAY_S)
    assert all(await left(safe))
    assert await deletion.delete_due(safe.desk.store, safe.desk.keyring, safe.desk.clock.now(), 10) == 1
    assert await left(safe) == [0] * len(SEALED)
    parts: list[Part] = deletions(safe.desk.store, safe.desk.keyring)
    assert [await part.act(safe.desk.clock.now(), 10) for part in parts] == [0] * len(parts)
    assert [await part.next_due() for part in parts] == [None] * len(parts)
