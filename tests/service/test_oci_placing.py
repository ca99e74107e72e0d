"""Nothing of the embedded OCI gets into a deleted compartment, or another tenancy's, whatever a snapshot says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from claviger.ocikms.calls import Verb
from claviger.ocikms.identity import records
from claviger.ocikms.secrets.routes import SecretRoutes
from tests.oci_backups import PRIVATE, BackupDesk, open_backup_desk
from tests.oci_keys import AES
from tests.ocikms import RELATED
from tests.ocisecrets import Safe

TABLES = ("oci_vaults", "oci_keys", "oci_secrets", "oci_buckets")


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[BackupDesk]:
    async with open_backup_desk(database_url) as opened:
        opened.desk.add(SecretRoutes(opened.desk.store, opened.desk.keyring).routes())
        yield opened


async def gone_compartment(desk: BackupDesk) -> str:
    """One in which the caller's snapshot still has every right, and that is deleted by now."""
    ident = await desk.desk.add_compartment("gone")
    desk.desk.rights.verbs[ident] = Verb.MANAGE
    await desk.desk.store.write(lambda tx: records.delete_compartment(tx, ident))
    return ident


async def foreign_compartment(desk: BackupDesk) -> str:
    """One of a tenancy that is not the caller's, which no snapshot would give a right in."""
    insert = (
        "INSERT INTO oci_tenancies (id, name, description, home_region, namespace, created_at)"
        " VALUES ('other', 'other', '', 'us-ashburn-1', 'other', 0) RETURNING num"
    )
    num = await desk.desk.store.write(lambda tx: tx.insert(insert))
    made = records.Compartment(0, "theirs", num, "other", "theirs", "", records.ACTIVE, {}, {}, 0.0)
    await desk.desk.store.write(lambda tx: records.add_compartment(tx, made))
    desk.desk.rights.verbs["theirs"] = Verb.MANAGE
    return "theirs"


async def counted(desk: BackupDesk) -> list[int]:
    """How many rows there are of each kind."""
    return [(await desk.desk.store.read(f"SELECT COUNT(*) FROM {table}"))[0][0] for table in TABLES]


@pytest.mark.parametrize("place", [gone_compartment, foreign_compartment])
async def test_nothing_is_made_in_it_moved_to_it_or_restored_to_it(desk: BackupDesk, place: Any) -> None:
    key_id = await desk.make()
    file = await desk.back_up_vault()
    of_key = await desk.back_up(key_id)
    details = {"secretName": "login", "vaultId": desk.vault_id, "keyId": key_id, "secretContent": Safe.content("hush")}
    secret = await desk.desk.ask("CreateSecret", body={"compartmentId": desk.desk.production, **details})
    where = {"compartmentId": await place(desk)}
    before = await counted(desk)

    new_key = {**where, "displayName": "x", "keyShape": AES}
    for operation, path, body in (
        ("CreateVault", (), {**where, "displayName": "x", "vaultType": PRIVATE}),
        ("ChangeVaultCompartment", (desk.vault_id,), where),
        ("CreateKey", (), new_key),
        ("ChangeKeyCompartment", (key_id,), where),
        ("CreateSecret", (), {**where, **details, "secretName": "other"}),
        ("ChangeSecretCompartment", (secret["id"],), where),
        ("CreateBucket", (desk.desk.tenancy_id,), {**where, "name": "other"}),
    ):
        assert (operation, await desk.refusal(operation, *path, body=body)) == (operation, RELATED)
    assert await counted(desk) == before

    moved = {"compartmentId": desk.desk.staging}
    await desk.ask("ChangeKeyCompartment", key_id, body=moved)  # another one takes it
    await desk.end_key(key_id)
    await desk.end_vault()
    assert await desk.refusal("RestoreVaultFromFile", body=file, query=where) == RELATED
    assert (await desk.desk.ask("GetVault", desk.vault_id))["lifecycleState"] == "DELETED"
    await desk.restore_vault(file)
    await desk.desk.store.write(
        lambda tx: tx.execute("UPDATE oci_compartments SET state = 'DELETED' WHERE id = ?", desk.desk.production)
    )
    assert await desk.refusal("RestoreKeyFromFile", body=of_key) == RELATED
    assert await desk.state(key_id) == "DELETED"
