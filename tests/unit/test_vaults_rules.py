"""Roles, permissions, scopes and names of vaults: the tables, and what they refuse."""

from __future__ import annotations

import pytest

from claviger.core.errors import Invalid, NotFound
from claviger.keyvault.hosts import VaultHosts, parse_host, resource_host
from claviger.keyvault.secrets.rules import RIGHTS, Operation
from claviger.keyvault.vaults import rules

# Written out by hand from the Key Vault contract §8 and Azure's list of built-in roles.
WHO_MAY = {
    "Key Vault Administrator": set(Operation),
    "Key Vault Secrets Officer": set(Operation),
    "Key Vault Secrets User": {
        Operation.GET,
        Operation.LIST,
        Operation.LIST_VERSIONS,
        Operation.LIST_DELETED,
        Operation.GET_DELETED,
    },
    "Key Vault Reader": {
        Operation.LIST,
        Operation.LIST_VERSIONS,
        Operation.LIST_DELETED,
        Operation.GET_DELETED,
    },
    "Key Vault Purge Operator": set(),
    "Key Vault Data Access Administrator": set(),
    "Key Vault Contributor": set(),
    "Owner": set(),
    "Contributor": set(),
    "Reader": set(),
}


@pytest.mark.parametrize("role", rules.ROLES, ids=lambda role: role.name)
def test_each_role_has_exactly_its_operations(role: rules.Role) -> None:
    allowed = {operation for operation in Operation if rules.role_allows(role.id, RIGHTS[operation].data_action)}
    assert allowed == WHO_MAY[role.name]


def test_data_actions_are_compared_without_case_and_never_by_part() -> None:
    user = rules.find_role("secrets user").id
    assert rules.role_allows(user, "microsoft.keyvault/VAULTS/secrets/getsecret/action")
    assert not rules.role_allows(user, "Microsoft.KeyVault/vaults/secrets/getSecret/action/more")
    assert not rules.role_allows("11111111-1111-1111-1111-111111111111", RIGHTS[Operation.GET].data_action)


@pytest.mark.parametrize(
    "word",
    [
        "Key Vault Secrets Officer",
        "key vault secrets officer",
        "Secrets Officer",
        "B86A8FE4-44CE-4948-AEE5-ECCB2C155CD7",
        "/subscriptions/x/providers/Microsoft.Authorization/roleDefinitions/b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    ],
)
def test_a_role_is_found_by_name_id_or_path(word: str) -> None:
    assert rules.find_role(word).name == "Key Vault Secrets Officer"


def test_an_unknown_role_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NotFound) as refused:
        rules.find_role("Owner of everything")
    assert "Key Vault Reader" in str(refused.value.facts["known"])


def test_all_has_every_permission_but_purge() -> None:
    assert all(rules.permits(["All"], word) for word in rules.SECRET_PERMISSIONS if word != "purge")
    assert not rules.permits(["all"], "purge")
    assert rules.permits(["all", "Purge"], "purge")
    assert not rules.permits(["list"], "get")
    assert not rules.permits([], "get")


def test_permissions_are_lower_case_once_and_known() -> None:
    assert rules.check_permissions(["SET", " get", "Get"]) == ("get", "set")
    with pytest.raises(Invalid, match="Permission"):
        rules.check_permissions(["get", "sign"])
    checked = rules.check_kind_permissions({"keys": ["Sign", "sign"], "secrets": ["GET"]})
    assert checked == {"keys": ["sign"], "secrets": ["get"]}
    for wrong in ({"passwords": ["get"]}, {"keys": ["a b"]}, {"secrets": ["sign"]}):
        with pytest.raises(Invalid, match="Permission"):
            rules.check_kind_permissions(wrong)


@pytest.mark.parametrize("name", ["abc", "a-1", "Demo", "a" * 24, "a1-b2-c3"])
def test_good_vault_names(name: str) -> None:
    assert rules.check_vault_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 25, "1ab", "-ab", "ab-", "a--b", "a_b", "a.b", "é12", "abc\n", "ab cd", "abc²"]
)
def test_bad_vault_names(name: str) -> None:
    with pytest.raises(Invalid, match="VaultName"):
        rules.check_vault_name(name)


SUBSCRIPTION = "c1a51e50-0000-4000-8000-000000000001"
PATH = rules.vault_scope(SUBSCRIPTION, "Group", "Demo")


def test_scopes_hold_for_what_is_below_them() -> None:
    assert rules.scopes_above(PATH) == {
        "/",
        f"/subscriptions/{SUBSCRIPTION}",
        f"/subscriptions/{SUBSCRIPTION}/resourcegroups/group",
        PATH.lower(),
    }


def test_a_location_is_kept_in_its_short_form() -> None:
    assert rules.check_location("West US 2") == "westus2"
    with pytest.raises(Invalid, match="Location"):
        rules.check_location("west-us")


@pytest.mark.parametrize(
    ("host", "vault"),
    [
        ("demo.vault.localhost", "demo"),
        ("demo.vault.localhost:8443", "demo"),
        ("DEMO.Vault.LocalHost:1", "demo"),
        ("demo.vault.azure.net", "demo"),
        ("demo.vault.azure.net.", "demo"),
        ("demo.vault.azure.cn", "demo"),
        ("demo.vault.usgovcloudapi.net", "demo"),
        ("demo.vault.microsoftazure.de", "demo"),
        ("demo.vault.corp.example", "demo"),
        ("keys.example.org:444", "other"),
        ("localhost:9", "third"),
        ("[::1]:8443", "sixth"),
        ("a.demo.vault.localhost", None),
        ("vault.localhost", None),
        (".vault.localhost", None),
        ("demo.vault.example.org", None),
        ("demo", None),
        ("", None),
        ("demo.vault.localhost:port", None),
        ('demo.vault.localhost", x="', None),
        ("demo.vault.localhost ", None),
        ("demo.vault.localhost:8443:1", None),
    ],
)
def test_a_host_leads_to_its_vault(host: str, vault: str | None) -> None:
    hosts = VaultHosts((".Vault.Corp.Example",), {"Keys.Example.org": "Other", "localhost": "third", "[::1]": "sixth"})
    assert hosts.vault_name(host) == vault


@pytest.mark.parametrize(
    ("host", "resource"),
    [
        ("demo.vault.localhost:8443", "vault.localhost:8443"),
        ("demo.vault.azure.net", "vault.azure.net"),
        ("Demo.Vault.Azure.Net", "Vault.Azure.Net"),
        ("keys.example.org:444", "example.org:444"),
        ("localhost:8443", "localhost:8443"),
        ("127.0.0.1:8443", "127.0.0.1:8443"),
        ("[::1]:8443", "[::1]:8443"),
    ],
)
def test_the_resource_is_the_host_without_its_first_label(host: str, resource: str) -> None:
    parts = parse_host(host)
    assert parts is not None
    assert resource_host(parts) == resource
