"""The end of secrets in OCI vaults: at their own date, at that of a version, with their vault; out of reach before."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from claviger.ocikms.secrets.deletion import delete_due, next_due
from claviger.ocikms.sweeper import deletions
from claviger.ocikms.texts import written
from tests.ocikms import ABSENT, BAD, DAY_S, START, WRONG_STATE
from tests.ocisecrets import Safe, open_safe


@pytest.fixture
async def safe(database_url: str) -> AsyncIterator[Safe]:
    async with open_safe(database_url) as opened:
        yield opened


async def swept(safe: Safe, limit: int = 100) -> int:
    desk = safe.desk
    return await delete_due(desk.store, desk.keyring, desk.clock.now(), limit)


async def sealed_count(safe: Safe) -> int:
    sql = "SELECT COUNT(*) FROM oci_secret_versions WHERE sealed IS NOT NULL OR data_key_id IS NOT NULL"
    rows = await safe.desk.store.read(sql)
    return int(rows[0][0])


async def test_the_window_is_1_to_30_days_and_30_where_nothing_is_said(safe: Safe) -> None:
    secret_id = await safe.made()
    for at in (START + DAY_S - 61, START + 30 * DAY_S + 61, START - 1):
        body = {"timeOfDeletion": written(at)}
        assert await safe.refusal("ScheduleSecretDeletion", secret_id, body=body) == BAD
    assert await safe.refusal("ScheduleSecretDeletion", secret_id, body={"timeOfDeletion": "soon"}) == BAD
    for at in (START + DAY_S - 59, START + DAY_S, START + 30 * DAY_S + 59):
        await safe.ask("ScheduleSecretDeletion", secret_id, body={"timeOfDeletion": written(at)})
        assert (await safe.ask("GetSecret", secret_id))["timeOfDeletion"] == written(at)
        await safe.ask("CancelSecretDeletion", secret_id)
    await safe.ask("ScheduleSecretDeletion", secret_id)
    assert (await safe.ask("GetSecret", secret_id))["timeOfDeletion"] == written(START + 30 * DAY_S)


async def test_a_secret_ends_at_its_date_and_not_before(safe: Safe) -> None:
    secret_id, other = await safe.made(), await safe.made("other")
    await safe.uploaded(secret_id, "two")
    assert await next_due(safe.desk.store) is None
    await safe.ask("ScheduleSecretDeletion", secret_id, body={"timeOfDeletion": written(START + DAY_S + 0.5)})
    assert await next_due(safe.desk.store) == START + DAY_S + 1
    safe.desk.clock.advance(DAY_S + 0.75)  # the date counts by whole seconds
    assert (await safe.ask("GetSecret", secret_id))["lifecycleState"] == "PENDING_DELETION"
    assert await swept(safe) == 0
    safe.desk.clock.advance(0.25)
    before = await safe.ask("GetSecret", secret_id)
    assert before["lifecycleState"] == "DELETED"
    assert await safe.refusal("CancelSecretDeletion", secret_id) == WRONG_STATE  # late, though nobody came by
    assert await sealed_count(safe) == 3
    assert await swept(safe) == 1
    assert await swept(safe) == 0
    assert await sealed_count(safe) == 1
    after = await safe.ask("GetSecret", secret_id)
    assert (after.json, after.etag) == (before.json, before.etag)
    assert (await safe.ask("ListSecretVersions", secret_id)).json == []
    assert await safe.refusal("GetSecretVersion", secret_id, "1") == ABSENT
    assert await safe.refusal("GetSecretBundle", secret_id) == ABSENT
    for operation, body in (
        ("CancelSecretDeletion", None),
        ("ScheduleSecretDeletion", {}),
        ("UpdateSecret", {}),
        ("UpdateSecret", {"secretContent": safe.content("x")}),
        ("ChangeSecretCompartment", {"compartmentId": safe.desk.staging}),
        ("RotateSecret", None),
    ):
        assert await safe.refusal(operation, secret_id, body=body) == WRONG_STATE
    assert await safe.refusal("CreateSecret", body=safe.body()) == BAD  # its name stays taken
    assert await safe.text(other) == "hush"
    assert await next_due(safe.desk.store) is None


async def test_a_version_ends_alone(safe: Safe) -> None:
    secret_id = await safe.made(content="one")
    for content in ("two", "three"):
        await safe.uploaded(secret_id, content)
    await safe.ask("ScheduleSecretVersionDeletion", secret_id, "1", body={"timeOfDeletion": written(START + 2 * DAY_S)})
    assert await next_due(safe.desk.store) == START + 2 * DAY_S
    safe.desk.clock.advance(2 * DAY_S)
    etag = (await safe.ask("GetSecret", secret_id)).etag
    assert await swept(safe) == 1
    assert await sealed_count(safe) == 2
    assert list(await safe.stages(secret_id)) == [3, 2]
    assert (await safe.ask("GetSecret", secret_id)).etag == etag
    assert await safe.text(secret_id) == "three"
    assert (await safe.uploaded(secret_id, "four"))["currentVersionNumber"] == 4
    assert await next_due(safe.desk.store) is None


async def test_secrets_go_with_their_vault(safe: Safe) -> None:
    desk, vault_id = safe.desk, safe.shop.vault_id
    secret_id, early = await safe.made(), await safe.made("early")
    await safe.ask("ScheduleSecretDeletion", early, body={"timeOfDeletion": written(START + DAY_S)})
    before = (await safe.ask("GetSecret", secret_id)).json
    await desk.ask("ScheduleVaultDeletion", vault_id, body={"timeOfDeletion": written(START + 7 * DAY_S)})
    assert await next_due(desk.store) == START + DAY_S

    told = "The vault of the secret is in state PENDING_DELETION: the content cannot be read."
    assert (await safe.ask("GetSecret", secret_id)).json == {**before, "lifecycleDetails": told}
    by_name = {"secretName": "login", "vaultId": vault_id}
    assert await safe.refusal("GetSecretBundle", secret_id) == ABSENT
    assert await safe.refusal("GetSecretBundleByName", query=by_name) == ABSENT
    for operation, body in (
        ("UpdateSecret", {}),
        ("UpdateSecret", {"secretContent": safe.content("x")}),
        ("ScheduleSecretDeletion", {}),
        ("ChangeSecretCompartment", {"compartmentId": desk.staging}),
        ("ScheduleSecretVersionDeletion", None),
    ):
        more = ("1",) if "Version" in operation else ()
        assert await safe.refusal(operation, secret_id, *more, body=body) == WRONG_STATE
    assert await safe.refusal("CancelSecretDeletion", early) == WRONG_STATE  # the vault first

    await desk.ask("CancelVaultDeletion", vault_id)
    assert (await safe.ask("GetSecret", secret_id)).json == before
    assert await safe.text(secret_id) == "hush"
    await safe.ask("CancelSecretDeletion", early)

    await desk.ask("ScheduleVaultDeletion", vault_id, body={"timeOfDeletion": written(START + 7 * DAY_S)})
    desk.clock.advance(7 * DAY_S)
    gone = await safe.ask("GetSecret", secret_id)
    assert (gone["lifecycleState"], gone["lifecycleDetails"]) == ("DELETED", None)
    assert gone["timeOfDeletion"] == written(START + 7 * DAY_S)
    assert await next_due(desk.store) == START + 7 * DAY_S
    for part in deletions(desk.store, desk.keyring):
        await part.act(desk.clock.now(), 100)
    assert await sealed_count(safe) == 0
    assert (await safe.ask("GetSecret", secret_id)).json == gone.json
    assert await next_due(desk.store) is None


async def test_a_vault_that_is_swept_first_takes_its_secrets_all_the_same(safe: Safe) -> None:
    await safe.made()
    await safe.desk.ask("ScheduleVaultDeletion", safe.shop.vault_id, body={})
    safe.desk.clock.advance(30 * DAY_S)
    for part in reversed(deletions(safe.desk.store, safe.desk.keyring)):
        await part.act(safe.desk.clock.now(), 100)
    assert await sealed_count(safe) == 0


async def test_no_more_is_deleted_at_once_than_is_said(safe: Safe) -> None:
    ids = [await safe.made(f"s{n}") for n in range(5)]
    version_of = ids.pop()
    for content in ("two", "three", "four"):
        await safe.uploaded(version_of, content)
    for number in "12":
        await safe.ask("ScheduleSecretVersionDeletion", version_of, number, body={})
    for secret_id in ids:
        await safe.ask("ScheduleSecretDeletion", secret_id, body={})
    safe.desk.clock.advance(30 * DAY_S)
    assert [await swept(safe, limit) for limit in (3, 2, 9, 9)] == [3, 2, 1, 0]


async def test_a_key_that_cannot_be_used_keeps_its_secrets_out_of_reach(safe: Safe) -> None:
    secret_id = await safe.made()
    for operation, back, body in (
        ("DisableKey", "EnableKey", {}),
        ("ScheduleKeyDeletion", "CancelKeyDeletion", {}),
    ):
        await safe.shop.ask(operation, safe.key_id, **body)
        told = await safe.ask("GetSecret", secret_id)
        assert told["lifecycleState"] == "ACTIVE"
        assert "The key of the secret is in state" in told["lifecycleDetails"]
        assert await safe.refusal("GetSecretBundle", secret_id) == ABSENT
        await safe.ask("UpdateSecret", secret_id, body={"description": operation})  # what is said of it can change
        await safe.shop.ask(back, safe.key_id)
        assert await safe.text(secret_id) == "hush"
    await safe.shop.ask("ScheduleKeyDeletion", safe.key_id)
    safe.desk.clock.advance(30 * DAY_S)
    for part in deletions(safe.desk.store, safe.desk.keyring):
        await part.act(safe.desk.clock.now(), 100)
    assert await safe.refusal("GetSecretBundle", secret_id) == ABSENT
    assert (await safe.ask("GetSecret", secret_id))["lifecycleState"] == "ACTIVE"
    await safe.ask("ScheduleSecretDeletion", secret_id, body={})
