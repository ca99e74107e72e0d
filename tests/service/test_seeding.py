"""The seed file: made sure of at each start, never in the way of what people did meanwhile, refused as a whole."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from claviger.core.errors import Misconfigured
from claviger.core.sensitive import Sensitive
from claviger.keyvault.directory import operations as directory
from claviger.keyvault.directory import records as directory_records
from claviger.keyvault.moving.seed import Seed, read_seed
from claviger.keyvault.moving.seeding import Seeded, Seeding
from claviger.keyvault.secrets.wire import SetSecret, UpdateSecret
from claviger.keyvault.vaults import operations as vaults
from tests.moving import Ground, ground_on

CANARY = "canary-secret-77aa"
TENANT = "11111111-1111-4111-8111-111111111111"
CLIENT = "22222222-2222-4222-8222-222222222222"
WHOLE: dict[str, Any] = {
    "tenants": [{"name": "Acme", "domain": "acme.example", "id": TENANT}],
    "applications": [
        {"name": "billing", "client_id": CLIENT, "client_secret": {"env": "BILLING_SECRET"}},
        {"name": "host", "kind": "managed-identity", "tenant": "acme.example"},
    ],
    "vaults": [
        {
            "vault": {"name": "payments", "retention_days": 30},
            "secrets": {
                "db-password": {"value": {"file": "password.txt"}, "tags": {"a": "b"}},
                "api-key": {"versions": [{"value": "old"}, {"value": "new"}]},
                "mode": {"value": "on", "keep": False},
            },
            "roles": [{"role": "Key Vault Secrets User", "to": "billing"}],
        },
        {"vault": {"name": "legacy", "rbac": False}, "policies": [{"to": CLIENT, "permissions": {"secrets": ["get"]}}]},
    ],
}
ENVIRONMENT = {"BILLING_SECRET": "0123456789abcdef-billing"}


@pytest.fixture
async def ground(database_url: str, tmp_path: Path) -> AsyncIterator[Ground]:
    async with ground_on(database_url, tmp_path / "data") as ground:
        yield ground


@pytest.fixture
async def sqlite_ground(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Ground]:
    """For what does not depend on the kind of database."""
    async with ground_on(sqlite_url, tmp_path / "data") as ground:
        yield ground


def seed_of(told: Any, folder: Path, *, name: str = "seed.json", environment: dict[str, str] = ENVIRONMENT) -> Seed:
    path = folder / name
    path.write_bytes(told if isinstance(told, bytes) else json.dumps(told).encode())
    (folder / "password.txt").write_bytes(b"from a file\r\n")
    return read_seed(path, environment, 1_800_000_000)


async def apply(ground: Ground, seed: Seed) -> Seeded:
    return await Seeding(ground.store, ground.keyring, ground.clock).apply(seed)


async def value(ground: Ground, vault: str, name: str) -> str:
    shown = await ground.secrets.get(await ground.shown(vault), name, None)
    assert shown.value is not None
    return shown.value.reveal_text()


async def everything(ground: Ground) -> list[Any]:
    """All that a seed may touch, but for the count of changes."""
    tables = ["kv_tenants", "kv_applications", "kv_application_credentials", "kv_vaults", "kv_secrets"]
    tables += ["kv_secret_versions", "kv_access_policies", "kv_role_assignments"]
    return [await ground.store.read(f"SELECT * FROM {table} ORDER BY id") for table in tables]


async def test_a_seed_makes_all_that_is_missing_and_then_nothing(ground: Ground, tmp_path: Path):
    done = await apply(ground, seed_of(WHOLE, tmp_path))
    assert done == Seeded(tenants=1, applications=2, credentials=1, vaults=2, secrets=3)
    assert await value(ground, "payments", "db-password") == "from a file"
    assert await value(ground, "payments", "api-key") == "new"
    assert (await ground.shown("payments")).tenant_id == TENANT
    secret = Sensitive(ENVIRONMENT["BILLING_SECRET"])
    owner = await directory_records.application_by_credential(ground.store, directory.fingerprint(secret))
    assert owner is not None
    assert (owner.app_id, owner.name) == (CLIENT, "billing")
    (role,) = await vaults.list_roles(ground.store, vault="payments")
    assert role.principal_id == owner.object_id
    (policy,) = await vaults.list_access_policies(ground.store, "legacy")
    assert policy.permissions == {"secrets": ["get"]}
    before = await everything(ground)
    revision = await directory_records.revision(ground.store)
    assert await apply(ground, seed_of(WHOLE, tmp_path)) == Seeded()
    assert await everything(ground) == before
    assert await directory_records.revision(ground.store) == revision


async def test_what_people_did_meanwhile_stays(ground: Ground, tmp_path: Path):
    await apply(ground, seed_of(WHOLE, tmp_path))
    payments = await ground.shown("payments")
    await ground.secrets.set(payments, "db-password", SetSecret("changed by hand"))
    await ground.secrets.delete(payments, "api-key")
    await vaults.set_access_policy(ground.store, vault="legacy", principal="billing", permissions=["list"])
    assert await apply(ground, seed_of(WHOLE, tmp_path)) == Seeded()
    assert await value(ground, "payments", "db-password") == "changed by hand"
    assert (await ground.secrets.get_deleted(payments, "api-key")).name == "api-key"
    (policy,) = await vaults.list_access_policies(ground.store, "legacy")
    assert policy.permissions == {"secrets": ["list"]}


async def test_a_purged_secret_is_made_again(ground: Ground, tmp_path: Path):
    await apply(ground, seed_of(WHOLE, tmp_path))
    payments = await ground.shown("payments")
    await ground.secrets.delete(payments, "api-key")
    await ground.secrets.purge(payments, "api-key")
    assert await apply(ground, seed_of(WHOLE, tmp_path)) == Seeded(secrets=1)
    assert await value(ground, "payments", "api-key") == "new"


async def test_a_secret_that_is_not_to_be_kept_gets_its_value_back(ground: Ground, tmp_path: Path):
    await apply(ground, seed_of(WHOLE, tmp_path))
    payments = await ground.shown("payments")
    first = (await ground.secrets.get(payments, "mode", None)).version
    await ground.secrets.set(payments, "mode", SetSecret("off"))
    assert await apply(ground, seed_of(WHOLE, tmp_path)) == Seeded(changed=1)
    again = (await ground.secrets.get(payments, "mode", None)).version
    assert await value(ground, "payments", "mode") == "on"
    assert again.version != first.version
    await ground.secrets.update(payments, "mode", None, UpdateSecret(content_type="text/plain"))
    assert (await apply(ground, seed_of(WHOLE, tmp_path))).changed == 1
    await ground.secrets.delete(payments, "mode")
    assert (await apply(ground, seed_of(WHOLE, tmp_path))).changed == 1
    assert await value(ground, "payments", "mode") == "on"
    assert await apply(ground, seed_of(WHOLE, tmp_path)) == Seeded()


async def test_a_new_client_secret_is_added_beside_the_old_one(sqlite_ground: Ground, tmp_path: Path):
    await apply(sqlite_ground, seed_of(WHOLE, tmp_path))
    renewed = {"BILLING_SECRET": "fedcba9876543210-billing"}
    assert await apply(sqlite_ground, seed_of(WHOLE, tmp_path, environment=renewed)) == Seeded(credentials=1)
    assert len(await directory.list_credentials(sqlite_ground.store, "billing")) == 2


async def test_a_plain_document_is_a_seed(sqlite_ground: Ground, tmp_path: Path):
    told = {"vault": {"name": "single"}, "secrets": {"a": {"value": "1"}}}
    assert await apply(sqlite_ground, seed_of(told, tmp_path)) == Seeded(vaults=1, secrets=1)
    assert await value(sqlite_ground, "single", "a") == "1"


async def test_toml_is_taken_too(sqlite_ground: Ground, tmp_path: Path):
    told = b"""
        [[vaults]]
        vault = { name = "payments" }
        [vaults.secrets.db-password]
        value = { file = "password.txt" }
    """
    assert await apply(sqlite_ground, seed_of(told, tmp_path, name="seed.TOML")) == Seeded(vaults=1, secrets=1)
    assert await value(sqlite_ground, "payments", "db-password") == "from a file"


async def test_a_server_without_any_tenant_gets_one(sqlite_url: str, tmp_path: Path):
    async with ground_on(sqlite_url, tmp_path / "data", demo=False) as ground:
        done = await apply(ground, seed_of({"vault": {"name": "single"}}, tmp_path))
        assert (done.tenants, done.vaults) == (1, 1)
        assert [tenant.domain for tenant in await directory.list_tenants(ground.store)] == ["default.localhost"]


async def test_a_deleted_vault_stays_deleted(sqlite_ground: Ground, tmp_path: Path):
    from claviger.keyvault.vaults.records import find_vault, replace_vault

    await apply(sqlite_ground, seed_of(WHOLE, tmp_path))

    def delete(tx: Any) -> None:
        import msgspec

        vault = find_vault(tx, "payments")
        assert vault is not None
        replace_vault(tx, msgspec.structs.replace(vault, deleted_at=1, purge_at=1_900_000_000))

    await sqlite_ground.store.write(delete)
    assert (await apply(sqlite_ground, seed_of(WHOLE, tmp_path))).left_deleted == 1
    assert "payments" not in await sqlite_ground.names()


def _changed(**more: Any) -> dict[str, Any]:
    return {**WHOLE, **more}


def _with_secret(**secret: Any) -> dict[str, Any]:
    return _changed(vaults=[{"vault": {"name": "payments"}, "secrets": {"s": secret}}])


def _with_application(**more: Any) -> dict[str, Any]:
    return _changed(applications=[{"name": "billing", **more}])


WRONG: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "the whole document"),
    "an unknown word": (_changed(vault_list=[]), "$"),
    "a variable that is not set": (_with_secret(value={"env": "NOT_SET"}), "$.vaults[0].secrets.s.value"),
    "a file that is not there": (_with_secret(value={"file": "none.txt"}), "$.vaults[0].secrets.s.value"),
    "a reference to two things": (_with_secret(value={"file": "a", "env": "b"}), "$.vaults[0].secrets.s.value"),
    "a long value": (_with_secret(value=CANARY * 2000), "$.vaults[0].secrets"),
    "keep on a history": (_with_secret(versions=[{"value": CANARY}], keep=False), "$.vaults[0].secrets.s"),
    "a vault without name": (_changed(vaults=[{"secrets": {}}]), "$.vaults[0].vault.name"),
    "a bad vault name": (_changed(vaults=[{"vault": {"name": "x"}}]), "$.vaults[0].vault"),
    "bad settings": (_changed(vaults=[{"vault": {"name": "abc", "retention_days": 5}}]), "$.vaults[0].vault"),
    "a short client secret": (_with_application(client_secret="short"), "$.applications[0].client_secret"),
    "another kind": (_with_application(kind="robot"), "$.applications[0].kind"),
    "a bad id": (_with_application(client_id="x"), "$.applications[0]"),
    "a bad name": (_changed(applications=[{"name": "a/b"}]), "$.applications[0]"),
    "a bad domain": (_changed(tenants=[{"name": "Acme", "domain": "-"}]), "$.tenants[0]"),
    "an unknown tenant": (_with_application(tenant="nowhere.example"), "$.applications[0]"),
    "an unknown role": (
        _changed(vaults=[{"vault": {"name": "abc"}, "roles": [{"role": "King", "to": "billing"}]}]),
        "$.vaults[0].roles[0]",
    ),
    "a right for nobody": (
        _changed(vaults=[{"vault": {"name": "abc"}, "roles": [{"role": "Reader", "to": "nobody"}]}]),
        "$.vaults[0].roles[0]",
    ),
    "one client secret for two": (
        _changed(
            applications=[
                {"name": "billing", "client_secret": {"env": "BILLING_SECRET"}},
                {"name": "other", "client_secret": {"env": "BILLING_SECRET"}},
            ],
            vaults=[],
        ),
        "$.applications[1].client_secret",
    ),
    "a deleted secret where nothing is kept": (
        _changed(
            vaults=[
                {
                    "vault": {"name": "abc", "soft_delete": False},
                    "secrets": {"s": {"value": CANARY, "deleted_at": 1, "purge_at": 1_900_000_000}},
                }
            ]
        ),
        "$.vaults[0].vault",
    ),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_wrong_is_told_with_its_place_and_nothing_is_applied(
    sqlite_ground: Ground, tmp_path: Path, case: str
):
    told, place = WRONG[case]
    before = await everything(sqlite_ground)
    with pytest.raises(Misconfigured) as refused:
        await apply(sqlite_ground, seed_of(told, tmp_path))
    facts = refused.value.facts
    assert refused.value.reason == "Seed"
    assert facts["file"] == tmp_path / "seed.json"
    assert str(facts["at"]).startswith(place)
    assert facts["fix"]
    assert CANARY not in str(refused.value)
    assert await everything(sqlite_ground) == before


@pytest.mark.parametrize("other", [{"client_id": "33333333-2222-4222-8222-222222222222"}, {"kind": "managed-identity"}])
async def test_an_application_that_is_another_one_is_not_touched(
    sqlite_ground: Ground, tmp_path: Path, other: dict[str, str]
):
    await apply(sqlite_ground, seed_of(WHOLE, tmp_path))
    before = await everything(sqlite_ground)
    with pytest.raises(Misconfigured, match="ApplicationTaken"):
        await apply(sqlite_ground, seed_of(_with_application(**other), tmp_path))
    assert await everything(sqlite_ground) == before


def test_a_missing_seed_file_is_told(tmp_path: Path):
    with pytest.raises(Misconfigured) as refused:
        read_seed(tmp_path / "none.json", {}, 0)
    assert refused.value.facts["problem"] == "No such file or directory"


def test_a_seed_shows_no_secret(tmp_path: Path):
    seed = seed_of(_with_secret(value=CANARY), tmp_path)
    assert CANARY not in repr(seed)
    assert ENVIRONMENT["BILLING_SECRET"] not in repr(seed)
