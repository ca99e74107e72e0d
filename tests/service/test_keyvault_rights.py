"""Who may do what: roles and access policies, each operation, what refusals say (Key Vault contract §2, §6, §8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import httpx
import pytest

from tests.serving import Application, Estate
from tests.vaults import VaultClient, refused, spare_name


@dataclass(frozen=True)
class Operation:
    """A row of the table of operations: how it is asked, and what it takes."""

    method: str
    path: str
    permission: str
    action: str
    scope: str = "/secrets/subject"
    body: tuple[tuple[str, object], ...] | None = None

    def ask(self, vault: VaultClient) -> httpx.Response:
        body = None if self.body is None else dict(self.body)
        return vault.ask(self.method, self.path, body)


VALUE = (("value", "AAAA"),)
OPERATIONS = {
    "set": Operation("PUT", "/secrets/subject", "set", "setSecret/action", body=VALUE),
    "get": Operation("GET", "/secrets/subject/", "get", "getSecret/action"),
    "update": Operation("PATCH", "/secrets/subject/", "set", "update/action", body=()),
    "list": Operation("GET", "/secrets", "list", "readMetadata/action", ""),
    "list versions": Operation("GET", "/secrets/subject/versions", "list", "readMetadata/action"),
    "list deleted": Operation("GET", "/deletedsecrets", "list", "readMetadata/action", ""),
    "get deleted": Operation("GET", "/deletedsecrets/subject", "get", "readMetadata/action"),
    "backup": Operation("POST", "/secrets/subject/backup", "backup", "backup/action"),
    "restore": Operation("POST", "/secrets/restore", "restore", "restore/action", "", VALUE),
    "delete": Operation("DELETE", "/secrets/subject", "delete", "delete"),
    "recover": Operation("POST", "/deletedsecrets/subject/recover", "recover", "recover/action"),
    "purge": Operation("DELETE", "/deletedsecrets/subject", "purge", "purge/action"),
}
ALL = set(OPERATIONS)
METADATA = {"list", "list versions", "list deleted", "get deleted"}
ROLES = {
    "Key Vault Administrator": ALL,
    "Key Vault Secrets Officer": ALL,
    "Key Vault Secrets User": METADATA | {"get"},
    "Key Vault Reader": METADATA,
    "Key Vault Purge Operator": set(),
}
POLICIES = {
    "get,list": {"get", "get deleted", "list", "list versions", "list deleted"},
    "set,delete,backup": {"set", "update", "delete", "backup"},
    "restore,recover,purge": {"restore", "recover", "purge"},
    "all": ALL - {"purge"},
}


class Grants:
    """Two vaults and applications that each have one role in the first, or one policy in the second."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.by_roles = estate.make_vault()
        self.by_policies = estate.make_vault("--access-policies")
        self.applications = {who: estate.make_application() for who in (*ROLES, *POLICIES, "nobody")}
        for role in ROLES:
            client_id = self.applications[role].client_id
            estate.server.command("role", "assign", role, client_id, "--vault", self.by_roles.name)
        for permissions in POLICIES:
            client_id = self.applications[permissions].client_id
            estate.server.command("policy", "set", self.by_policies.name, client_id, "--secrets", permissions)
        last = self.caller(permissions, self.by_policies)
        estate.noticed(lambda: last.ask("GET", "/secrets").status_code == 200)

    def caller(self, who: str, vault: VaultClient) -> VaultClient:
        return vault.as_caller(self.estate.token(self.applications[who]))


_GRANTS: dict[int, Grants] = {}


@pytest.fixture
def grants(estate: Estate) -> Grants:
    """Made once for each server: they take many commands."""
    if id(estate) not in _GRANTS:
        _GRANTS[id(estate)] = Grants(estate)
    return _GRANTS[id(estate)]


def _allowed(vault: VaultClient, operations: Iterable[str]) -> set[str]:
    """Which operations got past the check of rights; whether they then found what they asked for is not the point."""
    answers = {name: OPERATIONS[name].ask(vault) for name in operations}
    assert {answer.status_code for answer in answers.values()} <= {200, 204, 400, 403, 404, 409}
    return {name for name, answer in answers.items() if answer.status_code != 403}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_allows_its_operations_and_no_others(grants: Grants, role: str):
    assert _allowed(grants.caller(role, grants.by_roles), OPERATIONS) == ROLES[role]


@pytest.mark.parametrize("permissions", POLICIES)
def test_a_policy_allows_its_operations_and_no_others(grants: Grants, permissions: str):
    assert _allowed(grants.caller(permissions, grants.by_policies), OPERATIONS) == POLICIES[permissions]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_a_caller_without_a_role_is_told(grants: Grants, operation: str):
    asked, vault = OPERATIONS[operation], grants.by_roles
    answer = asked.ask(grants.caller("nobody", vault))
    told = refused(answer, 403, "Forbidden", inner="ForbiddenByRbac")
    application, tenant = grants.applications["nobody"], grants.estate.tenant_id
    lines = told.split("\r\n")
    assert lines[0] == "Caller is not authorized to perform action on resource."
    assert lines[1].startswith("If role assignments, ")
    assert lines[1].endswith(" propagation time.")
    assert lines[2] == (
        f"Caller: appid={application.client_id};oid={application.object_id};iss=https://sts.windows.net/{tenant}/"
    )
    assert lines[3] == f"Action: 'Microsoft.KeyVault/vaults/secrets/{asked.action}'"
    resource = lines[4].removeprefix("Resource: '").removesuffix("'")
    assert resource == resource.lower()
    assert resource.startswith("/subscriptions/")
    assert resource.endswith(f"/providers/microsoft.keyvault/vaults/{vault.name}{asked.scope}")
    assert lines[5:7] == ["Assignment: (not found)", "DenyAssignmentId: null"]
    assert lines[7].startswith("DecisionReason: ")
    assert lines[8].startswith(f"Vault: {vault.name};location=")
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_a_caller_without_a_policy_is_told(grants: Grants, operation: str):
    asked, vault = OPERATIONS[operation], grants.by_policies
    application, tenant = grants.applications["nobody"], grants.estate.tenant_id
    told = refused(asked.ask(grants.caller("nobody", vault)), 403, "Forbidden", inner="ForbiddenByPolicy")
    assert told.startswith(
        f"The user, group or application 'appid={application.client_id};oid={application.object_id};"
        f"iss=https://sts.windows.net/{tenant}/' does not have secrets {asked.permission} permission on key vault "
        f"'{vault.name};location="
    )


def test_a_refused_caller_changes_nothing_and_learns_nothing(grants: Grants):
    vault = grants.by_roles
    name = spare_name("kept")
    vault.put(name, "kept")
    nobody = grants.caller("nobody", vault)
    for unknown in (name, spare_name("unknown")):
        for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/backup")):
            answer = nobody.ask(method, f"/secrets/{unknown}{path}", {"value": "x"} if method == "PUT" else None)
            assert answer.status_code == 403
    assert vault.get(name)["value"] == "kept"


def test_rights_are_checked_before_the_body(grants: Grants):
    nobody = grants.caller("nobody", grants.by_roles)
    answer = nobody.ask("PUT", "/secrets/subject", content=b"{not json")
    refused(answer, 403, "Forbidden", inner="ForbiddenByRbac")


def test_a_role_at_one_secret_holds_there_alone(estate: Estate, vault: VaultClient):
    application = estate.make_application()
    mine, other = spare_name("mine"), spare_name("other")
    assign = ("role", "assign", "Key Vault Secrets Officer", application.client_id)
    estate.server.command(*assign, "--vault", vault.name, "--secret", mine)
    caller = vault.as_caller(estate.token(application))
    estate.noticed(lambda: caller.ask("GET", f"/secrets/{mine}").status_code == 404)
    assert caller.put(mine, "mine")["value"] == "mine"
    assert caller.get(mine.upper())["value"] == "mine"
    assert len(caller.versions(mine)) == 1
    vault.put(other)
    for method, path in (("GET", f"/secrets/{other}"), ("GET", "/secrets"), ("GET", "/deletedsecrets")):
        refused(caller.ask(method, path), 403, "Forbidden", inner="ForbiddenByRbac")
    refused(caller.ask("POST", "/secrets/restore", {"value": "AAAA"}), 403, "Forbidden", inner="ForbiddenByRbac")


def test_rights_in_one_vault_are_none_in_another(estate: Estate, vault: VaultClient, name: str):
    application = estate.make_application()
    other = estate.make_vault(for_application=application)
    other.put(name, "theirs")
    vault.put(name, "mine")
    refused(vault.as_caller(other.token).ask("GET", f"/secrets/{name}"), 403, "Forbidden", inner="ForbiddenByRbac")


def test_a_role_counts_from_the_next_request_and_ends_with_it(estate: Estate, vault: VaultClient, name: str):
    vault.put(name)
    application: Application = estate.make_application()
    caller = vault.as_caller(estate.token(application))
    assert caller.ask("GET", f"/secrets/{name}").status_code == 403
    role, app = "Key Vault Secrets User", application.client_id
    estate.server.command("role", "assign", role, app, "--vault", vault.name)
    estate.noticed(lambda: caller.ask("GET", f"/secrets/{name}").status_code == 200)
    estate.server.command("role", "remove", "--role", role, "--app", app, "--vault", vault.name)
    estate.noticed(lambda: caller.ask("GET", f"/secrets/{name}").status_code == 403)


def test_the_application_that_is_deleted_can_do_nothing_more(estate: Estate, vault: VaultClient, name: str):
    application = estate.make_application()
    other = estate.make_vault(for_application=application)
    other.put(name)
    estate.server.command("app", "delete", application.client_id)
    estate.noticed(lambda: other.ask("GET", f"/secrets/{name}").status_code in (401, 403))
