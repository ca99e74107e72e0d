"""The tables of the management API: versions, filters, paths, places, metadata documents, and who may do what."""

from __future__ import annotations

from typing import Any

import pytest

from claviger.core.errors import Invalid, NotFound
from claviger.keyvault.hosts import CLOUDS, MANAGEMENT_HOSTS, is_management_host
from claviger.keyvault.management import rules
from claviger.keyvault.management.errors import body_of
from claviger.keyvault.management.metadata import endpoints
from claviger.keyvault.management.paths import ROUTES, match
from claviger.keyvault.management.places import place_at
from claviger.keyvault.vaults.rules import TRANSITIONS, Operation, State, find_role, role_permits, state_of

SUBSCRIPTION = "c1a51e50-0000-4000-8000-000000000001"
ONE = f"/subscriptions/{SUBSCRIPTION}"
VAULT = f"{ONE}/resourceGroups/g/providers/Microsoft.KeyVault/vaults/abc"


@pytest.mark.parametrize("version", rules.KEY_VAULT_VERSIONS)
def test_every_announced_version_is_accepted(version: str):
    assert rules.check_api_version(version, rules.KEY_VAULT) == version


@pytest.mark.parametrize(
    ("given", "namespace", "code"),
    [
        (None, rules.KEY_VAULT, "MissingApiVersionParameter"),
        ("", rules.RESOURCES, "MissingApiVersionParameter"),
        ("2021-04-01", rules.KEY_VAULT, "NoRegisteredProviderFound"),
        ("7.4", rules.KEY_VAULT, "NoRegisteredProviderFound"),
        ("2023-07-01\n", rules.KEY_VAULT, "NoRegisteredProviderFound"),
        ("2013-12-31", rules.RESOURCES, "InvalidApiVersionParameter"),
        ("2027-01-01", rules.RESOURCES, "InvalidApiVersionParameter"),
        ("2021-13-01", rules.RESOURCES, "InvalidApiVersionParameter"),
        ("x", rules.RESOURCES, "InvalidApiVersionParameter"),
    ],
)
def test_other_versions_are_refused_by_name(given: str | None, namespace: str, code: str):
    with pytest.raises(Invalid) as refused:
        rules.check_api_version(given, namespace)
    status, body = body_of(refused.value)
    assert status == 400
    assert f'"code":"{code}"'.encode() in body


@pytest.mark.parametrize("version", ["2014-04-01-preview", "2015-11-01", "2021-04-01", "2025-04-01", "2026-12-31"])
def test_resource_manager_has_many_versions(version: str):
    assert rules.check_api_version(version, rules.RESOURCES) == version


def test_roles_are_the_default_from_one_version_on():
    with_roles = {version for version in rules.KEY_VAULT_VERSIONS if rules.has_roles_by_default(version)}
    assert with_roles == {"2026-02-01", "2026-03-01-preview", "2026-04-01-preview", "2026-04-01", "2026-05-15"}


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        (None, {}),
        ("", {}),
        ("resourceType eq 'Microsoft.KeyVault/vaults'", {"resourcetype": "Microsoft.KeyVault/vaults"}),
        (
            "resourceType eq 'Microsoft.KeyVault/vaults' and name eq 'abc'",
            {"resourcetype": "Microsoft.KeyVault/vaults", "name": "abc"},
        ),
        ("tagName eq 'it''s' and tagValue eq ''", {"tagname": "it's", "tagvalue": ""}),
    ],
)
def test_filters_are_read(text: str | None, clauses: dict[str, str]):
    assert rules.read_filter(text) == clauses


@pytest.mark.parametrize(
    "text",
    ["name", "name ne 'a'", "name eq a", "colour eq 'red'", "name eq 'a' or name eq 'b'", "name eq 'a' and", "'" * 999],
)
def test_other_filters_are_refused(text: str):
    with pytest.raises(Invalid, match="Filter"):
        rules.read_filter(text)


@pytest.mark.parametrize("top", ["0", "-1", "x", "1.5", "", "٣", "9" * 10])
def test_a_page_has_at_least_one_item(top: str):
    with pytest.raises(Invalid, match="Top"):
        rules.check_top(top)


def test_a_page_has_at_most_a_thousand_items():
    assert [rules.check_top(top) for top in (None, "1", "1000", "1001")] == [1000, 1, 1000, 1000]


def test_every_route_is_found_in_any_case():
    for route in ROUTES:
        path = "/" + "/".join(route.template)
        path = path.replace("{subscription}", SUBSCRIPTION.upper()).replace("{", "").replace("}", "").title()
        found = match(route.method, path + "/")
        assert found.route.name == route.name
        assert found.subscription in (SUBSCRIPTION, None)
        assert found.scope.startswith("/")


@pytest.mark.parametrize(
    ("method", "path", "reason"),
    [
        ("GET", "/", "Page"),
        ("GET", "/metadata", "Page"),
        ("GET", f"{ONE}/nothing", "Page"),
        ("GET", f"{ONE}/providers/Microsoft.Storage/storageAccounts", "NamespaceUnknown"),
        ("GET", f"{ONE}/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a", "NamespaceUnknown"),
        ("GET", f"{ONE}/providers/Microsoft.KeyVault/boxes", "TypeUnknown"),
        ("GET", f"{VAULT}/secrets/s", "TypeUnknown"),
        ("POST", VAULT, "Verb"),
        ("DELETE", ONE, "Verb"),
        ("BREW", ONE, "Verb"),
        ("GET", "/subscriptions/1234", "Subscription"),
        ("GET", "/subscriptions/x/resourcegroups", "Subscription"),
    ],
)
def test_what_is_not_in_the_table_is_refused(method: str, path: str, reason: str):
    with pytest.raises((NotFound, Invalid), match=reason):
        match(method, path)


def test_scopes_are_those_of_the_resources():
    assert match("GET", VAULT).scope == VAULT
    assert match("PUT", f"{VAULT}/accessPolicies/add").scope == VAULT
    assert match("GET", f"{ONE}/resourcegroups/G").scope == f"{ONE}/resourceGroups/G"
    deleted = f"{ONE}/providers/Microsoft.KeyVault/locations/local/deletedVaults/abc"
    assert match("POST", f"{deleted}/purge").scope == deleted
    assert match("GET", f"{ONE}/providers/Microsoft.KeyVault/deletedVaults").scope == ONE


READS = "Microsoft.KeyVault/vaults/read"
WRITES = "Microsoft.KeyVault/vaults/write"
DELETES = "Microsoft.KeyVault/vaults/delete"
POLICIES = "Microsoft.KeyVault/vaults/accessPolicies/write"
LISTS_DELETED = "Microsoft.KeyVault/deletedVaults/read"
SHOWS_DELETED = "Microsoft.KeyVault/locations/deletedVaults/read"
PURGES = "Microsoft.KeyVault/locations/deletedVaults/purge/action"
GROUPS = "Microsoft.Resources/subscriptions/resourceGroups/write"
GIVES_ROLES = "Microsoft.Authorization/roleAssignments/write"
READING = {READS, LISTS_DELETED, SHOWS_DELETED}
EVERYTHING = {READS, WRITES, DELETES, POLICIES, LISTS_DELETED, SHOWS_DELETED, PURGES, GROUPS, GIVES_ROLES}


# Written out by hand from Azure's list of built-in roles.
@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("Owner", EVERYTHING),
        ("Contributor", EVERYTHING - {GIVES_ROLES}),
        ("Reader", READING),
        ("Key Vault Contributor", EVERYTHING - {GIVES_ROLES, PURGES, GROUPS}),
        ("Key Vault Purge Operator", {LISTS_DELETED, SHOWS_DELETED, PURGES}),
        ("Key Vault Administrator", READING),
        ("Key Vault Secrets Officer", READING),
        ("Key Vault Reader", READING),
        ("Key Vault Secrets User", set()),
        ("Key Vault Data Access Administrator", {READS}),
    ],
)
def test_each_role_may_do_its_actions_and_no_others(role: str, may: set[str]):
    role_id = find_role(role).id
    assert {action for action in EVERYTHING if role_permits(role_id, action.upper())} == may
    assert not role_permits("11111111-1111-1111-1111-111111111111", READS)


def test_reader_is_the_plain_role_now():
    assert find_role("reader").name == "Reader"
    assert find_role("key vault reader").name == "Key Vault Reader"


def test_the_states_of_a_vault():
    assert state_of(None, None, 10) is State.LIVE
    assert state_of(5, 10, 9.999) is State.DELETED
    assert state_of(5, 10, 10.0) is State.ABSENT
    assert {(operation, state) for operation, state, _ in TRANSITIONS.cells()} == {
        (operation, state) for operation in Operation for state in State
    }


def test_management_hosts():
    assert is_management_host("management.localhost")
    assert all(is_management_host(host) for host in MANAGEMENT_HOSTS)
    for other in ("localhost", "vault.localhost", "x.management.localhost", "management.azure.com.example"):
        assert not is_management_host(other)


@pytest.mark.parametrize("port", ["", ":8443"])
def test_our_own_host_keeps_the_clients_port(port: str):
    place = place_at(f"Management.LOCALHOST{port}")
    assert place.base_url == f"https://management.localhost{port}"
    assert place.login_url == f"https://login.localhost{port}"
    assert place.vault_url("Demo") == f"https://demo.vault.localhost{port}/"
    for audience in (place.base_url, "https://management.azure.com", "https://management.core.windows.net"):
        assert {audience, audience + "/"} <= place.audiences
    assert "https://vault.azure.net" not in place.audiences
    assert place_at("management.localhost:443").base_url == "https://management.localhost"
    assert place_at("management.localhost", "https://login.example/").login_url == "https://login.example"


@pytest.mark.parametrize("cloud", CLOUDS, ids=lambda cloud: cloud.vault_suffix)
def test_a_clouds_own_name_keeps_that_clouds_names(cloud: Any):
    place = place_at(cloud.management, "https://login.example")
    assert place.login_url == f"https://{cloud.login}"
    assert place.vault_url("demo") == f"https://demo.{cloud.vault_suffix}/"
    document = endpoints(place, "2022-09-01")
    assert document["suffixes"] == {"keyVaultDns": cloud.vault_suffix}
    assert f"https://{cloud.management}/" in document["authentication"]["audiences"]
    assert "localhost" not in str(document)


@pytest.mark.parametrize("version", rules.METADATA_VERSIONS)
def test_the_metadata_documents(version: str):
    document = endpoints(place_at("management.localhost:8443"), version)
    if version in ("2019-05-01", "2020-06-01"):
        (document,) = document
    assert document["authentication"]["loginEndpoint"] == "https://login.localhost:8443"
    assert document["authentication"]["audiences"][0] == "https://management.localhost:8443/"
    if version < "2019":
        assert document["graphEndpoint"].startswith("https://management.localhost:8443/")
    else:
        assert document["name"] == "Claviger"
        assert document["resourceManager"] == "https://management.localhost:8443/"
        assert document["suffixes"]["keyVaultDns"] == "vault.localhost:8443"
    for domain in ("azure.com", "windows.net", "microsoft.com"):
        told = str(document).replace("https://management.azure.com/", "")
        assert domain not in told, "no client may take a token of ours to the real services"
