"""Tenants, applications, vaults and rights as rows, on both databases: what is stored, refused, and seen by others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from claviger.core.errors import Conflict, Damaged, Invalid, NotFound
from claviger.core.sensitive import Sensitive
from claviger.keyvault.directory import demo, operations, records, signing
from claviger.keyvault.directory.signing import SigningKeyResealer, rotate_signing_key
from claviger.keyvault.vaults import operations as vaults
from claviger.keyvault.vaults.operations import NewVault
from claviger.store.contract import Tx
from tests.directory import HOST, Directory, keys_made_before, open_directory

GET = ("get", "Microsoft.KeyVault/vaults/secrets/getSecret/action")
PURGE = ("purge", "Microsoft.KeyVault/vaults/secrets/purge/action")


@pytest.fixture
async def directory(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Directory]:
    monkeypatch.setattr(signing, "new_key", keys_made_before())
    async with open_directory(database_url) as opened:
        yield opened


async def test_a_tenant_is_made_and_renamed(directory: Directory) -> None:
    store, clock = directory.store, directory.clock
    made = await operations.set_tenant(store, clock, name="Contoso", domain="Contoso.Example")
    clock.advance(10)
    renamed = await operations.set_tenant(
        store, clock, name="Fabrikam", domain="contoso.example", tenant_id=made.id.upper()
    )
    assert await operations.list_tenants(store) == [renamed]
    assert (renamed.id, renamed.name, renamed.created_at) == (made.id, "Fabrikam", made.created_at)
    estate = await directory.estates.current()
    assert estate.tenant("CONTOSO.example") == renamed
    with pytest.raises(Conflict, match="TenantTaken"):
        await operations.set_tenant(store, clock, name="Other", domain="contoso.example")
    with pytest.raises(Conflict, match="TenantTaken"):
        await operations.set_tenant(store, clock, name="fabrikam", domain="other.example")
    for wrong in ("common", "a b", "", "-x", made.id, "a." * 200, "x\n"):
        with pytest.raises(Invalid, match="Domain"):
            await operations.set_tenant(store, clock, name="Other", domain=wrong)


async def test_an_application_shows_its_secret_once_and_stores_a_hash(directory: Directory) -> None:
    await directory.vault()
    made = await directory.application("My program", days=30)
    assert len(made.secret.reveal_text()) >= 43
    (credential,) = await operations.list_credentials(directory.store, "my PROGRAM")
    assert credential.sha256 == operations.fingerprint(made.secret)
    assert credential.expires_at == int(directory.clock.now()) + 30 * 86_400
    assert await operations.list_applications(directory.store) == [made.application]
    with pytest.raises(Conflict, match="ApplicationTaken"):
        await directory.application("MY PROGRAM")
    for wrong in ("", " a", "a/b", "a\x00b", "x" * 121, made.application.app_id):
        with pytest.raises(Invalid, match="Name"):
            await directory.application(wrong)
    for days in (0, -1, 10**9):
        with pytest.raises(Invalid, match="Days"):
            await directory.application("other", days=days)


async def test_an_application_needs_a_tenant(directory: Directory) -> None:
    with pytest.raises(Invalid, match="TenantNeeded"):
        await directory.application()
    for name in ("one", "two"):
        await operations.set_tenant(directory.store, directory.clock, name=name, domain=f"{name}.example")
    with pytest.raises(Invalid, match="TenantNeeded"):
        await directory.application()
    with pytest.raises(NotFound, match="TenantUnknown"):
        await directory.application(tenant="three")
    made = await directory.application(tenant="TWO.example")
    tenant = (await directory.estates.current()).tenant("two.example")
    assert tenant is not None
    assert made.application.tenant_id == tenant.id


async def test_credentials_are_added_and_removed(directory: Directory) -> None:
    await directory.vault()
    made = await directory.application()
    found, second = await operations.add_credential(directory.store, directory.clock, made.application.object_id)
    assert found == made.application
    assert second != made.secret
    kept = await operations.list_credentials(directory.store, "program")
    assert len(kept) == 2
    await operations.remove_credential(directory.store, "program", kept[0].id)
    assert [each.id for each in await operations.list_credentials(directory.store, "program")] == [kept[1].id]
    with pytest.raises(NotFound, match="CredentialUnknown"):
        await operations.remove_credential(directory.store, "program", kept[0].id)
    for _ in range(operations.MAX_CREDENTIALS - 1):
        await operations.add_credential(directory.store, directory.clock, "program")
    with pytest.raises(Conflict, match="TooManyCredentials"):
        await operations.add_credential(directory.store, directory.clock, "program")


async def test_deleting_an_application_takes_its_rights_and_credentials(directory: Directory) -> None:
    vault = await directory.vault()
    made = await directory.application()
    await vaults.assign_role(directory.store, directory.clock, role="Secrets User", principal="program", vault="demo")
    assert (await directory.estates.current()).allows(await directory.caller(made, vault), vault, *GET, "a")
    assert await operations.delete_application(directory.store, made.application.app_id) == made.application
    assert await vaults.list_roles(directory.store) == []
    assert await directory.store.read("SELECT id FROM kv_application_credentials") == []
    with pytest.raises(NotFound, match="ApplicationUnknown"):
        await operations.delete_application(directory.store, "program")


async def test_a_vault_has_the_defaults_of_the_newest_control_plane(directory: Directory) -> None:
    made = await directory.vault("Demo")
    assert (made.sku, made.soft_delete, made.retention_days) == ("standard", True, 90)
    assert (made.purge_protection, made.rbac, made.public_access) == (False, True, True)
    assert await vaults.show_vault(directory.store, "dEMO") == made
    assert await vaults.list_vaults(directory.store) == [made]
    assert (await directory.estates.current()).vault_at(HOST) == made


async def test_vault_names_are_taken_globally_in_any_case(directory: Directory) -> None:
    first = await directory.vault("demo")
    with pytest.raises(Conflict, match="VaultTaken"):
        await directory.vault("DEMO")
    second = await directory.vault("other")
    assert second.id > first.id

    def forget(tx: Tx) -> None:
        tx.execute("DELETE FROM kv_vaults WHERE id = ?", second.id)

    await directory.store.write(forget)
    third = await directory.vault("other")
    assert third.id > second.id, "an id is never used again: what was sealed for the old vault must not open in the new"


async def test_a_soft_deleted_vault_keeps_its_name(directory: Directory) -> None:
    made = await directory.vault()

    def soft_delete(tx: Tx) -> None:
        now = int(directory.clock.now())
        tx.execute("UPDATE kv_vaults SET deleted_at = ?, purge_at = ?", now, now + 10)
        records.bump_revision(tx)

    await directory.store.write(soft_delete)
    with pytest.raises(Conflict, match="VaultTaken") as refused:
        await directory.vault()
    assert refused.value.facts["deleted"] is True
    assert (await directory.estates.current()).vault_at(HOST) is None
    assert await vaults.list_vaults(directory.store) == []
    assert [each.id for each in await vaults.list_vaults(directory.store, deleted=True)] == [made.id]
    with pytest.raises(NotFound, match="VaultNotFound"):
        await vaults.show_vault(directory.store, "demo")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"name": "a"}, "VaultName"),
        ({"name": "abc", "retention_days": 6}, "RetentionDays"),
        ({"name": "abc", "retention_days": 91}, "RetentionDays"),
        ({"name": "abc", "sku": "gold"}, "Sku"),
        ({"name": "abc", "subscription_id": "mine"}, "Uuid"),
        ({"name": "abc", "resource_group": "a/b"}, "ResourceGroup"),
        ({"name": "abc", "location": "the moon!"}, "Location"),
        ({"name": "abc", "soft_delete": False, "purge_protection": True}, "PurgeProtection"),
    ],
)
async def test_a_bad_vault_is_refused_and_nothing_stored(
    directory: Directory, settings: dict[str, object], reason: str
) -> None:
    await directory.vault()
    with pytest.raises(Invalid, match=reason):
        await vaults.create_vault(directory.store, directory.clock, NewVault(**settings))  # type: ignore[arg-type]
    assert len(await vaults.list_vaults(directory.store)) == 1


async def test_roles_are_assigned_once_listed_and_removed(directory: Directory) -> None:
    store, clock = directory.store, directory.clock
    vault = await directory.vault()
    await directory.vault("demo2")
    made = await directory.application()
    whole = await vaults.assign_role(store, clock, role="Key Vault Reader", principal="program", vault="DEMO")
    again = await vaults.assign_role(store, clock, role=whole.role_id, principal=made.application.app_id, vault="demo")
    assert again == whole
    one = await vaults.assign_role(
        store, clock, role="secrets user", principal=made.application.object_id, vault="demo", secret="Mine"
    )
    assert one.scope == vault.path.lower() + "/secrets/mine"
    await vaults.assign_role(store, clock, role="Key Vault Reader", principal="program", vault="demo2")
    assert {each.id for each in await vaults.list_roles(store, vault="demo")} == {whole.id, one.id}
    assert len(await vaults.list_roles(store, principal="program")) == 3
    caller = await directory.caller(made, vault)
    estate = await directory.estates.current()
    assert [estate.allows(caller, vault, *GET, name) for name in ("mine", "other")] == [True, False]
    await vaults.remove_role(store, one.id.upper())
    await vaults.remove_role_of(store, role="Key Vault Reader", principal="program", vault="demo2")
    assert await vaults.list_roles(store) == [whole]
    estate = await directory.estates.current()
    assert not estate.allows(caller, vault, *GET, "mine")
    for wrong in (vaults.remove_role(store, one.id), vaults.remove_role(store, "nothing")):
        with pytest.raises(NotFound, match="AssignmentUnknown"):
            await wrong
    with pytest.raises(NotFound, match="ApplicationUnknown"):
        await vaults.assign_role(store, clock, role="Reader", principal="nobody", vault="demo")
    with pytest.raises(NotFound, match="VaultNotFound"):
        await vaults.assign_role(store, clock, role="Reader", principal="program", vault="none")
    with pytest.raises(NotFound, match="RoleUnknown"):
        await vaults.assign_role(store, clock, role="King", principal="program", vault="demo")
    with pytest.raises(Invalid, match="SecretName"):
        await vaults.assign_role(store, clock, role="Reader", principal="program", vault="demo", secret="a/b")


async def test_a_role_holds_at_one_place(directory: Directory) -> None:
    await directory.vault()
    await directory.application()
    store, clock = directory.store, directory.clock
    one = "/subscriptions/c1a51e50-0000-4000-8000-000000000001"
    other = "11111111-2222-3333-4444-555555555555"
    for place, scope in (
        ({"subscription_id": other.upper()}, f"/subscriptions/{other}"),
        ({"resource_group": "My-Group"}, f"{one}/resourcegroups/my-group"),
        ({"resource_group": "g", "subscription_id": other}, f"/subscriptions/{other}/resourcegroups/g"),
        ({"vault": "demo"}, f"{one}/resourcegroups/claviger/providers/microsoft.keyvault/vaults/demo"),
    ):
        made = await vaults.assign_role(store, clock, role="Contributor", principal="program", **place)
        assert made.scope == scope
        assert await vaults.remove_role_of(store, role="contributor", principal="program", **place) == made
    for wrong, reason in (
        ({}, "Place"),
        ({"secret": "s"}, "Place"),
        ({"secret": "s", "resource_group": "g"}, "Place"),
        ({"vault": "demo", "subscription_id": other}, "Place"),
        ({"subscription_id": "x"}, "Uuid"),
        ({"resource_group": "a!"}, "ResourceGroup"),
    ):
        with pytest.raises(Invalid, match=reason):
            await vaults.assign_role(store, clock, role="Reader", principal="program", **wrong)


async def test_access_policies_are_set_replaced_and_removed(directory: Directory) -> None:
    store = directory.store
    vault = await directory.vault(rbac=False)
    made = await directory.application()
    await vaults.set_access_policy(store, vault="demo", principal="program", permissions=["GET", "list"])
    policy = await vaults.set_access_policy(store, vault="demo", principal="program", permissions=["all"])
    assert await vaults.list_access_policies(store, "demo") == [policy]
    caller = await directory.caller(made, vault)
    estate = await directory.estates.current()
    assert estate.allows(caller, vault, *GET, "a")
    assert not estate.allows(caller, vault, *PURGE, "a")
    await vaults.remove_access_policy(store, vault="demo", principal=made.application.object_id)
    assert not (await directory.estates.current()).allows(caller, vault, *GET, "a")
    with pytest.raises(NotFound, match="PolicyUnknown"):
        await vaults.remove_access_policy(store, vault="demo", principal="program")
    with pytest.raises(Invalid, match="Permission"):
        await vaults.set_access_policy(store, vault="demo", principal="program", permissions=["sign"])
    stranger = "72f988bf-86f1-41af-91ab-2d7cd011db47"
    told = await vaults.set_access_policy(store, vault="demo", principal=stranger.upper(), permissions=["get"])
    assert told.object_id == stranger
    await directory.vault("roles")
    with pytest.raises(Conflict, match="VaultUsesRoles"):
        await vaults.set_access_policy(store, vault="roles", principal="program", permissions=["get"])


async def test_what_one_process_changes_the_other_sees_at_once(directory: Directory, database_url: str) -> None:
    async with open_directory(database_url) as other:
        await directory.vault()
        made = await directory.application()
        vault = (await other.estates.newest()).vault_at(HOST)
        assert vault is not None
        authorization = await directory.bearer(made)
        estate = await other.estates.newest()
        caller = other.verifier.verify(authorization, HOST, vault)
        assert not estate.allows(caller, vault, *GET, "a")
        await vaults.assign_role(
            directory.store, directory.clock, role="Secrets User", principal="program", vault="demo"
        )
        estate = await other.estates.newest()
        assert estate.allows(caller, vault, *GET, "a")
        assert await other.estates.newest() is estate


async def test_a_snapshot_is_read_again_only_when_the_directory_moved(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claviger.store.postgres.GENERATION_S", 1e9)  # no half second passes amid this
    await directory.vault()
    first = await directory.estates.current()
    assert await directory.estates.current() is first
    await directory.notes.put("unrelated", Sensitive("x"))
    assert await directory.estates.current() is first
    assert directory.estates.fresh() is first
    await directory.vault("other")
    assert directory.estates.fresh() is None
    second = await directory.estates.current()
    assert second is not first
    assert [vault.name for vault in second.vaults()] == ["demo", "other"]
    assert [vault.name for vault in first.vaults()] == ["demo"], "a snapshot never changes"


async def test_many_changes_at_once_leave_a_right_snapshot(directory: Directory) -> None:
    await directory.vault()
    names = [f"vault-{number}" for number in range(30)]

    async def look() -> None:
        for _ in range(20):
            await directory.estates.current()
            await asyncio.sleep(0)

    await asyncio.gather(*(directory.vault(name) for name in names), look(), look())
    estate = await directory.estates.current()
    assert {vault.name for vault in estate.vaults()} == {"demo", *names}
    assert len({vault.id for vault in estate.vaults()}) == 31


async def test_two_processes_agree_on_the_first_signing_key(directory: Directory, database_url: str) -> None:
    await directory.vault()
    async with open_directory(database_url) as other:
        first, second = await asyncio.gather(directory.keys.signer(), other.keys.signer())
    assert first.kid == second.kid
    assert len(await records.signing_keys(directory.store)) == 1


async def test_signing_keys_outlive_the_rotation_of_their_data_key(directory: Directory) -> None:
    await directory.vault()
    before = await directory.keys.signer()
    await rotate_signing_key(directory.store, directory.keyring, directory.clock, 3600)
    scope, keyring = signing.SCOPE, directory.keyring
    old = await keyring.ensure_data_key(scope)

    def replace(tx: Tx) -> int:
        tx.execute("UPDATE data_keys SET state = 'previous' WHERE id = ?", old)
        return keyring.create_data_key(tx, scope)

    new = await keyring.write(replace)
    await keyring.loaded(new)
    resealer = SigningKeyResealer()

    def one_at_a_time(tx: Tx) -> int:
        return resealer.reseal_batch(tx, scope, old, new, keyring, 1)

    moved = [await directory.store.write(one_at_a_time) for _ in range(3)]
    assert moved == [1, 1, 0]
    assert {row.data_key_id for row in await records.signing_keys(directory.store)} == {new}
    fresh = signing.SigningKeys(directory.store, keyring, directory.clock)
    await fresh.refresh()
    assert fresh.public_key(before.kid) is not None


async def test_a_directory_without_its_revision_is_damaged(directory: Directory) -> None:
    await directory.store.write(lambda tx: tx.execute("DELETE FROM meta WHERE key = 'directory_revision'"))
    with pytest.raises(Damaged, match="DirectoryRevisionMissing"):
        await directory.estates.current()


async def test_the_demo_is_seeded_once_and_works(directory: Directory) -> None:
    store, notes, clock = directory.store, directory.notes, directory.clock
    assert await demo.load_demo(store, notes) is None
    assert await demo.seed_demo(store, notes, clock)
    assert not await demo.seed_demo(store, notes, clock)
    access = await demo.load_demo(store, notes)
    assert access is not None
    assert access.identity_header is not None
    estate = await directory.estates.current()
    vault = estate.vault_at(HOST)
    assert vault is not None
    assert vault.rbac
    for application in await operations.list_applications(store):
        issued = await directory.tokens.issue(application, "https://vault.azure.net")
        estate = await directory.estates.current()
        caller = directory.verifier.verify(b"Bearer " + issued.token.reveal(), HOST, vault)
        assert estate.allows(caller, vault, *PURGE, "a")
        assert estate.allows(caller, vault, *GET, None)
    assert {each.kind for each in await operations.list_applications(store)} == {"application", "managed-identity"}


async def test_what_was_deleted_of_the_demo_does_not_come_back(directory: Directory) -> None:
    store, notes, clock = directory.store, directory.notes, directory.clock
    await demo.seed_demo(store, notes, clock)
    await operations.delete_application(store, "demo")
    assert not await demo.seed_demo(store, notes, clock)
    assert await demo.load_demo(store, notes) is None


async def test_processes_that_seed_at_once_make_one_demo(directory: Directory, database_url: str) -> None:
    async with open_directory(database_url) as other:
        made = await asyncio.gather(
            demo.seed_demo(directory.store, directory.notes, directory.clock),
            demo.seed_demo(other.store, other.notes, other.clock),
        )
    assert sorted(made) == [False, True]
    assert len(await operations.list_applications(directory.store)) == 2
    assert await demo.load_demo(directory.store, directory.notes) is not None
