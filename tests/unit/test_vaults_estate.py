"""Who may do what, decided on a snapshot: each scope, each model, and the facts of a refusal."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from claviger.core.errors import Forbidden
from claviger.keyvault import estate as module
from claviger.keyvault.challenge import Caller
from claviger.keyvault.directory.records import Tenant
from claviger.keyvault.errors import body_of
from claviger.keyvault.estate import Estate
from claviger.keyvault.hosts import VaultHosts
from claviger.keyvault.vaults.records import AccessPolicy, RoleAssignment, Vault
from claviger.keyvault.vaults.rules import find_role

TENANT = Tenant("72f988bf-86f1-41af-91ab-2d7cd011db47", "Contoso", "contoso.example", 0)
SUBSCRIPTION = "c1a51e50-0000-4000-8000-000000000001"
ME = Caller("aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000001", TENANT.id, "issuer")
GET = ("get", "Microsoft.KeyVault/vaults/secrets/getSecret/action")
SET = ("set", "Microsoft.KeyVault/vaults/secrets/setSecret/action")
LIST = ("list", "Microsoft.KeyVault/vaults/secrets/readMetadata/action")


def vault(name: str = "Demo", number: int = 7, *, rbac: bool = True, deleted_at: int | None = None) -> Vault:
    return Vault(
        id=number,
        name=name,
        tenant_id=TENANT.id,
        subscription_id=SUBSCRIPTION,
        resource_group="Group",
        location="westus",
        rbac=rbac,
        deleted_at=deleted_at,
    )


def estate(*vaults: Vault, assignments: Iterable[RoleAssignment] = (), policies: Iterable[AccessPolicy] = ()) -> Estate:
    return Estate(1, VaultHosts(), [TENANT], vaults, policies, assignments)


def assigned(role: str, scope: str, principal: str = ME.oid) -> RoleAssignment:
    return RoleAssignment(
        id=f"{role} {scope} {principal}",
        scope=scope.lower(),
        role_id=find_role(role).id,
        principal_id=principal,
        created_at=0,
    )


def policy(
    *permissions: str, object_id: str = ME.oid, application_id: str = "", tenant_id: str = TENANT.id
) -> AccessPolicy:
    return AccessPolicy(
        vault_id=7,
        tenant_id=tenant_id,
        object_id=object_id,
        application_id=application_id,
        permissions={"secrets": list(permissions), "keys": ["set"]},
    )


DEMO = vault()
ABOVE = [
    "/",
    f"/subscriptions/{SUBSCRIPTION}",
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/Group",
    DEMO.path,
]
BESIDE = [
    f"/subscriptions/{SUBSCRIPTION[:-1]}2",
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/Grou",
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/Group2",
    DEMO.path + "2",
    DEMO.path[:-1],
]


@pytest.mark.parametrize("scope", ABOVE)
def test_a_role_at_or_above_the_vault_holds_for_all_of_it(scope: str) -> None:
    made = estate(DEMO, assignments=[assigned("Secrets User", scope)])
    assert made.allows(ME, DEMO, *GET, "any")
    assert made.allows(ME, DEMO, *LIST, None)
    assert not made.allows(ME, DEMO, *SET, "any")


@pytest.mark.parametrize("scope", BESIDE)
def test_a_role_elsewhere_holds_not(scope: str) -> None:
    made = estate(DEMO, assignments=[assigned("Key Vault Administrator", scope)])
    assert not made.allows(ME, DEMO, *GET, "any")
    assert not made.allows(ME, DEMO, *LIST, None)


def test_a_role_on_one_secret_holds_for_that_one_and_never_for_the_vault() -> None:
    made = estate(DEMO, assignments=[assigned("Key Vault Administrator", f"{DEMO.path}/secrets/Mine")])
    assert made.allows(ME, DEMO, *GET, "mine")
    assert made.allows(ME, DEMO, *GET, "MINE")
    for other in ("min", "mine2", "other", "", None):
        assert not made.allows(ME, DEMO, *GET, other)
        assert not made.allows(ME, DEMO, *LIST, other)


def test_roles_add_up_and_belong_to_one_principal() -> None:
    other = Caller("aaaaaaaa-0000-4000-8000-000000000002", ME.appid, TENANT.id, "issuer")
    made = estate(
        DEMO,
        assignments=[
            assigned("Key Vault Reader", DEMO.path),
            assigned("Secrets User", f"{DEMO.path}/secrets/a"),
            assigned("Secrets User", f"{DEMO.path}/secrets/b"),
        ],
    )
    assert made.allows(ME, DEMO, *LIST, None)
    assert [made.allows(ME, DEMO, *GET, name) for name in ("a", "b", "c")] == [True, True, False]
    assert not made.allows(other, DEMO, *LIST, None)


def test_a_group_brings_its_rights() -> None:
    member = Caller(ME.oid, ME.appid, ME.tid, ME.iss, ("group-1", "group-2"))
    made = estate(DEMO, assignments=[assigned("Secrets User", DEMO.path, "group-2")])
    assert made.allows(member, DEMO, *GET, "a")
    assert not made.allows(ME, DEMO, *GET, "a"), "what was found for the member is not remembered for others"
    by_policy = vault(rbac=False)
    assert estate(by_policy, policies=[policy("get", object_id="group-1")]).allows(member, by_policy, *GET, "a")


def test_only_the_vaults_own_model_counts() -> None:
    by_role = estate(DEMO, assignments=[], policies=[policy("all", "purge")])
    assert not by_role.allows(ME, DEMO, *GET, "a")
    plain = vault(rbac=False)
    by_policy = estate(plain, assignments=[assigned("Key Vault Administrator", plain.path)])
    assert not by_policy.allows(ME, plain, *GET, "a")


def test_access_policies_hold_for_the_whole_vault() -> None:
    plain = vault(rbac=False)
    made = estate(plain, policies=[policy("get", "list")])
    assert made.allows(ME, plain, *GET, "any")
    assert made.allows(ME, plain, *LIST, None)
    assert not made.allows(ME, plain, *SET, "any"), "a permission on keys is none on secrets"


def test_an_access_policy_for_one_application_or_tenant_holds_for_no_other() -> None:
    plain = vault(rbac=False)
    assert estate(plain, policies=[policy("get", application_id=ME.appid)]).allows(ME, plain, *GET, "a")
    assert not estate(plain, policies=[policy("get", application_id="another")]).allows(ME, plain, *GET, "a")
    assert not estate(plain, policies=[policy("get", tenant_id="another")]).allows(ME, plain, *GET, "a")


def test_a_caller_of_another_tenant_has_no_rights_at_all() -> None:
    stranger = Caller(ME.oid, ME.appid, "another", ME.iss)
    assert not estate(DEMO, assignments=[assigned("Secrets User", "/")]).allows(stranger, DEMO, *GET, "a")


def test_the_facts_of_a_refusal_by_role() -> None:
    made = estate(DEMO)
    with pytest.raises(Forbidden) as refused:
        made.require(ME, DEMO, *GET, "Mine")
    resource = (
        f"/subscriptions/{SUBSCRIPTION}/resourcegroups/group/providers/microsoft.keyvault/vaults/demo/secrets/mine"
    )
    assert refused.value.reason == "ForbiddenByRbac"
    assert refused.value.facts == {
        "appid": ME.appid,
        "oid": ME.oid,
        "iss": "issuer",
        "action": GET[1],
        "resource": resource,
        "vault": "Demo",
        "location": "westus",
    }
    status, body = body_of(refused.value)
    assert status == 403
    assert b"?" not in body, "every place of the message has its fact"
    with pytest.raises(Forbidden) as refused:
        made.require(ME, DEMO, *LIST, None)
    assert refused.value.facts["resource"] == resource.removesuffix("/secrets/mine")


def test_the_facts_of_a_refusal_by_policy() -> None:
    plain = vault(rbac=False)
    with pytest.raises(Forbidden) as refused:
        estate(plain).require(ME, plain, *SET, "a")
    assert refused.value.reason == "ForbiddenByPolicy"
    told = body_of(refused.value)[1].decode()
    assert (
        f"'appid={ME.appid};oid={ME.oid};iss=issuer' does not have secrets set permission "
        "on key vault 'Demo;location=westus'"
    ) in told


def test_vaults_are_found_by_host_and_deleted_ones_are_not() -> None:
    made = estate(DEMO, vault("gone", 8, deleted_at=5))
    assert made.vault_at("dEmO.vault.localhost:8443") is DEMO
    assert made.vault_at("demo.vault.azure.net") is DEMO
    for host in ("gone.vault.localhost", "nobody.vault.localhost", "demo.example", ""):
        assert made.vault_at(host) is None
    found = made.vault("GONE")
    assert found is not None
    assert found.deleted_at == 5


def test_tenants_are_found_by_id_and_domain() -> None:
    made = estate()
    assert made.tenant(TENANT.id.upper()) is made.tenant("Contoso.Example") is TENANT
    assert made.tenant("contoso") is None


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED_HOSTS", 10)
    monkeypatch.setattr(module, "MAX_REMEMBERED_GRANTS", 10)
    made = estate(DEMO)
    for number in range(100):
        assert made.vault_at(f"demo.vault.localhost:{number}") is DEMO
        made.allows(Caller(str(number), "", TENANT.id, ""), DEMO, *GET, f"name-{number}")
    assert len(made._reached) <= 10
    assert len(made._grants) <= 10
