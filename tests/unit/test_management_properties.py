"""What PUT and PATCH make of a vault's properties, network rules included: defaults, what stays, what is refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from claviger.core.errors import Forbidden, Invalid
from claviger.keyvault.management.errors import body_of
from claviger.keyvault.management.properties import (
    VaultPath,
    check_model,
    combined,
    new_vault,
    patched,
    policies_of,
    replaced,
    wants_recovery,
)
from claviger.keyvault.management.wire import VaultIn, decode_vault
from claviger.keyvault.vaults.network import Firewall
from claviger.keyvault.vaults.records import AccessPolicy, Vault

TENANT = "7d3a03c4-77b0-45b0-b93c-1764c1ba3778"
SOMEBODY = "6ae43538-d94c-4a1f-a7eb-d0234a595fc9"
ELSE = "11111111-2222-3333-4444-555555555555"
PATH = VaultPath("c1a51e50-0000-4000-8000-000000000001", "Group", "Name")
NOW = 1_000


def asked(*, location: str | None = "West Europe", tags: Any = None, **properties: Any) -> VaultIn:
    full = {"tenantId": TENANT, "sku": {"family": "A", "name": "standard"}, "accessPolicies": [], **properties}
    kept = {name: value for name, value in full.items() if value != "absent"}
    return decode_vault(json.dumps({"location": location, "tags": tags, "properties": kept}).encode())


def change(**properties: Any) -> VaultIn:
    return decode_vault(json.dumps({"properties": properties}).encode())


def put(body: VaultIn, version: str = "2023-07-01") -> Vault:
    wants_recovery(body)
    return new_vault(body, PATH, TENANT, version, NOW)


def made(version: str = "2023-07-01", **properties: Any) -> Vault:
    return put(asked(**properties), version)


def test_a_new_vault_has_the_published_defaults():
    assert made() == Vault(
        id=0,
        name="Name",
        tenant_id=TENANT,
        subscription_id=PATH.subscription_id,
        resource_group="Group",
        location="westeurope",
        sku="standard",
        soft_delete=True,
        retention_days=90,
        purge_protection=False,
        rbac=False,
        public_access=True,
        created_at=NOW,
        updated_at=NOW,
    )


@pytest.mark.parametrize(
    ("version", "given", "expected"),
    [
        ("2023-07-01", None, False),
        ("2025-05-01", None, False),
        ("2026-02-01", None, True),
        ("2026-03-01-preview", None, True),
        ("2026-02-01", False, False),
        ("2016-10-01", True, True),
    ],
)
def test_roles_or_policies(version: str, given: bool | None, expected: bool):
    assert made(version, enableRbacAuthorization=given).rbac is expected


def test_every_setting_is_taken():
    vault = made(
        sku={"family": "a", "name": "Premium"},
        softDeleteRetentionInDays=7,
        enablePurgeProtection=True,
        publicNetworkAccess="disabled",
        enabledForDeployment=True,
        enabledForDiskEncryption=True,
        enabledForTemplateDeployment=True,
        networkAcls={"defaultAction": "deny", "ipRules": [{"value": "10.0.0.0/8"}]},
    )
    assert (vault.sku, vault.retention_days, vault.purge_protection) == ("premium", 7, True)
    assert (vault.public_access, vault.enabled_for_deployment) == (False, True)
    assert (vault.enabled_for_disk_encryption, vault.enabled_for_template_deployment) == (True, True)
    assert json.loads(vault.network_acls or "") == {
        "bypass": "AzureServices",
        "defaultAction": "Deny",
        "ipRules": [{"value": "10.0.0.0/8"}],
        "virtualNetworkRules": [],
    }


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"tenantId": "absent"}, "The parameter tenantId is not specified."),
        ({"tenantId": ELSE}, "An invalid value was provided for 'tenantId'."),
        ({"sku": "absent"}, "The parameter sku is not specified."),
        ({"sku": {"family": "B", "name": "standard"}}, "An invalid value was provided for 'sku'."),
        ({"sku": {"family": "A", "name": "gold"}}, "An invalid value was provided for 'sku'."),
        ({"accessPolicies": "absent"}, "The parameter accessPolicies is not specified."),
        ({"softDeleteRetentionInDays": 6}, "softDeleteRetentionInDays"),
        ({"softDeleteRetentionInDays": 91}, "softDeleteRetentionInDays"),
        ({"enablePurgeProtection": False}, '"enablePurgeProtection" cannot be set to false.'),
        ({"enablePurgeProtection": True, "enableSoftDelete": False}, "enablePurgeProtection"),
        ({"createMode": "again"}, "createMode"),
        ({"publicNetworkAccess": "SecuredByPerimeter"}, "publicNetworkAccess"),
        ({"networkAcls": {"bypass": "Friends"}}, "networkAcls.bypass"),
        ({"networkAcls": {"defaultAction": "Ask"}}, "networkAcls.defaultAction"),
        ({"networkAcls": {"ipRules": [{"value": "300.1.1.1"}]}}, "networkAcls.ipRules"),
        ({"networkAcls": {"virtualNetworkRules": [{"id": ""}]}}, "networkAcls.virtualNetworkRules"),
    ],
)
def test_bad_properties_are_named(properties: dict[str, Any], told: str):
    with pytest.raises(Invalid) as refused:
        made(**properties)
    status, body = body_of(refused.value)
    assert status == 400
    assert told in json.loads(body)["error"]["message"]


def test_policies_need_not_be_given_where_roles_count():
    assert made(accessPolicies="absent", enableRbacAuthorization=True).rbac
    assert made("2026-02-01", accessPolicies="absent").rbac
    with pytest.raises(Invalid, match="PropertyMissing"):
        made("2026-02-01", accessPolicies="absent", enableRbacAuthorization=False)


@pytest.mark.parametrize("name", ["ab", "a--b", "1ab", "x" * 25])
def test_bad_names(name: str):
    with pytest.raises(Invalid, match="VaultName") as refused:
        new_vault(asked(), VaultPath(PATH.subscription_id, "g", name), TENANT, "2023-07-01", NOW)
    assert b"VaultNameNotValid" in body_of(refused.value)[1]


def test_what_is_not_there_is_asked_for():
    for body, reason in ((b"{}", "PropertyMissing"), (b'{"properties": {}}', "LocationMissing")):
        with pytest.raises(Invalid, match=reason):
            put(decode_vault(body))


def test_put_replaces_and_patch_keeps():
    full = made(
        softDeleteRetentionInDays=30,
        enablePurgeProtection=True,
        enabledForDeployment=True,
        publicNetworkAccess="Disabled",
        networkAcls={"defaultAction": "Deny"},
        tags={"a": "b"},
        enableRbacAuthorization=True,
    )
    after = replaced(full, asked(), NOW + 5)
    assert (after.enabled_for_deployment, after.public_access, after.network_acls, after.tags) == (
        False,
        True,
        None,
        None,
    )
    assert (after.retention_days, after.purge_protection, after.soft_delete, after.rbac) == (30, True, True, True)
    assert (after.created_at, after.updated_at) == (NOW, NOW + 5)
    patch = patched(full, change(enabledForDeployment=False), NOW + 5)
    assert patch == msgspec.structs.replace(full, enabled_for_deployment=False, updated_at=NOW + 5)
    assert patched(full, decode_vault(b'{"tags": {"c": "d"}}'), NOW).tags == '{"c":"d"}'
    assert patched(full, decode_vault(b'{"tags": {}}'), NOW).tags is None
    assert patched(full, decode_vault(b'{"tags": null, "properties": null}'), NOW) == full


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"softDeleteRetentionInDays": 31}, '"softDeleteRetentionInDays" has been set already'),
        ({"enableSoftDelete": False}, '"enableSoftDelete" can be set to false only for creating new vault'),
        ({"enablePurgeProtection": False}, '"enablePurgeProtection" cannot be set to false'),
        ({"tenantId": ELSE}, "'tenantId'"),
    ],
)
def test_what_can_never_change_is_refused(properties: dict[str, Any], told: str):
    kept = made(softDeleteRetentionInDays=30, enablePurgeProtection=True)
    for attempt in (
        lambda: patched(kept, change(**properties), NOW),
        lambda: replaced(kept, asked(**properties), NOW),
    ):
        with pytest.raises(Invalid) as refused:
            attempt()
        status, body = body_of(refused.value)
        assert (status, json.loads(body)["error"]["code"]) == (400, "BadRequest")
        assert told in json.loads(body)["error"]["message"]
    assert patched(kept, change(softDeleteRetentionInDays=30, enableSoftDelete=True), NOW) == kept


def test_soft_delete_can_be_turned_on_once():
    legacy = made(enableSoftDelete=False)
    assert not legacy.soft_delete
    assert patched(legacy, change(enableSoftDelete=True), NOW).soft_delete
    assert not replaced(legacy, asked(), NOW).soft_delete


def test_only_who_may_give_roles_changes_the_model():
    before = made()
    after = patched(before, change(enableRbacAuthorization=True), NOW)
    check_model(before, after, may_assign_roles=True)
    check_model(before, before, may_assign_roles=False)
    with pytest.raises(Forbidden, match="PermissionModel"):
        check_model(before, after, may_assign_roles=False)


def policy(words: Any, object_id: str = SOMEBODY, **more: Any) -> dict[str, Any]:
    return {"tenantId": TENANT, "objectId": object_id, "permissions": words, **more}


def policies(*given: dict[str, Any]) -> list[AccessPolicy]:
    return policies_of(asked(accessPolicies=list(given)).properties.access_policies or [], made())  # type: ignore[union-attr]


def test_policies_are_stored_in_lower_case():
    (kept,) = policies(policy({"secrets": ["GET", "get", "List"], "keys": ["wrapKey"]}, SOMEBODY.upper()))
    assert kept.object_id == SOMEBODY
    assert kept.permissions == {"secrets": ["get", "list"], "keys": ["wrapkey"]}


@pytest.mark.parametrize(
    "wrong",
    [
        [policy({"secrets": ["fly"]})],
        [policy({"keys": ["a b"]})],
        [policy({}, "nobody")],
        [policy({}, applicationId="nobody")],
        [{**policy({}), "tenantId": ELSE}],
        [policy({}), policy({})],
    ],
)
def test_bad_policies_are_refused(wrong: list[dict[str, Any]]):
    with pytest.raises(Invalid) as refused:
        policies(*wrong)
    assert b"accessPolicies" in body_of(refused.value)[1]


def test_policies_are_added_replaced_and_removed():
    kept = policies(policy({"secrets": ["get"], "keys": ["sign"]}))
    more = policies(policy({"secrets": ["list"]}), policy({"secrets": ["set"]}, ELSE))
    words = lambda found: [(each.object_id, each.permissions) for each in found]  # noqa: E731
    assert words(combined(kept, more, "add")) == [
        (SOMEBODY, {"secrets": ["get", "list"], "keys": ["sign"]}),
        (ELSE, {"secrets": ["set"]}),
    ]
    assert words(combined(kept, more, "replace")) == [(SOMEBODY, {"secrets": ["list"]}), (ELSE, {"secrets": ["set"]})]
    less = policies(policy({"secrets": ["get", "purge"]}))
    assert words(combined(kept, less, "remove")) == [(SOMEBODY, {"secrets": [], "keys": ["sign"]})]
    assert combined(kept, kept, "remove") == []
    assert combined(kept, more[1:], "remove") == kept


@pytest.mark.parametrize(
    ("acls", "address", "comes_in"),
    [
        ({}, "8.8.8.8", True),
        ({"defaultAction": "Allow", "ipRules": [{"value": "10.0.0.1"}]}, "8.8.8.8", True),
        ({"defaultAction": "Deny"}, "127.0.0.1", False),
        ({"defaultAction": "Deny", "ipRules": [{"value": "127.0.0.1"}]}, "127.0.0.1", True),
        ({"defaultAction": "Deny", "ipRules": [{"value": "127.0.0.1"}]}, "127.0.0.2", False),
        ({"defaultAction": "Deny", "ipRules": [{"value": "10.1.2.3/8"}]}, "10.200.0.1", True),
        ({"defaultAction": "Deny", "ipRules": [{"value": "10.0.0.0/8"}]}, "::ffff:10.1.1.1", True),
        ({"defaultAction": "Deny", "ipRules": [{"value": "::1"}]}, "::1", True),
        ({"defaultAction": "Deny", "ipRules": [{"value": "fe80::/10"}]}, "fe80::1%eth0", True),
        ({"defaultAction": "Deny", "ipRules": [{"value": "0.0.0.0/0"}]}, "::1", False),
        ({"defaultAction": "Deny", "ipRules": [{"value": "0.0.0.0/0"}]}, "", False),
        ({"defaultAction": "Deny", "bypass": "AzureServices"}, "20.0.0.1", False),
        ({"defaultAction": "Deny", "virtualNetworkRules": [{"id": "/subscriptions/x"}]}, "10.0.0.1", False),
    ],
)
def test_addresses_come_in_by_the_rules(acls: dict[str, Any], address: str, comes_in: bool):
    firewall = Firewall(made(networkAcls=acls))
    if comes_in:
        firewall.admit(address)
    else:
        with pytest.raises(Forbidden, match="ForbiddenByFirewall"):
            firewall.admit(address)


def test_nobody_comes_in_where_public_access_is_off_or_rules_cannot_be_read():
    closed = made(publicNetworkAccess="Disabled", networkAcls={"ipRules": [{"value": "0.0.0.0/0"}]})
    with pytest.raises(Forbidden, match="ForbiddenByConnection"):
        Firewall(closed).admit("127.0.0.1")
    for unreadable in ("[]", "{", '{"ipRules": [{"value": "x"}]}'):
        with pytest.raises(Forbidden, match="ForbiddenByFirewall"):
            Firewall(msgspec.structs.replace(made(), network_acls=unreadable)).admit("127.0.0.1")
