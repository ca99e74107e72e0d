"""Secrets through the control plane of a real server, seen from the other side by the unmodified SDK."""

from __future__ import annotations

import re
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError

from claviger.cckm.azure.secrets.rules import LONGEST_VALUE_BYTES
from tests.desk import SECRETS, Desk, Managed
from tests.vaults import spare_name

STATES = ("AVAILABLE", "SOFT-DELETED", "DELETED")
ALLOWED = {
    ("AVAILABLE", "update"): "AVAILABLE",
    ("AVAILABLE", "soft-delete"): "SOFT-DELETED",
    ("SOFT-DELETED", "hard-delete"): "DELETED",
    ("SOFT-DELETED", "recover"): "AVAILABLE",
    ("DELETED", "restore"): "AVAILABLE",
    ("DELETED", "delete"): None,
}
FLAGS = {"AVAILABLE": (False, False), "SOFT-DELETED": (False, True), "DELETED": (True, True)}
FIELDS = {
    *("id", "uri", "account", "application", "devAccount", "createdAt", "updatedAt", "key_vault", "key_vault_id"),
    *("region", "deleted", "backup_at", "soft_delete_enabled", "secret_soft_deleted_in_azure"),
    *("key_soft_deleted_in_azure", "syncedAt", "created_by", "modified_by", "version", "backup", "secret_name"),
    *("cloud_name", "azure_created_at", "azure_updated_at", "tenant", "status", "gone", "azure_param"),
    "key_material_origin",
}
SHAPES = {
    "id": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "createdAt": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z",
    "updatedAt": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z",
    "backup_at": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z",
    "syncedAt": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "azure_created_at": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "azure_updated_at": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "created_by": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "version": r"[0-9a-f]{32}",
    "backup": r"[0-9a-f]{64}",
    "account": r"kylo:kylo:admin:accounts:kylo",
}


def flags(record: Any) -> tuple[bool, bool]:
    assert record["key_soft_deleted_in_azure"] == record["secret_soft_deleted_in_azure"]
    return record["deleted"], record["secret_soft_deleted_in_azure"]


def in_state(desk: Desk, vault: Managed, state: str) -> Any:
    """A record in a state."""
    record = desk.admin.create(spare_name(), vault)
    for action in ("soft-delete", "hard-delete")[: STATES.index(state)]:
        record = desk.admin.act(record, action)
    assert (record["status"], flags(record)) == (state, FLAGS[state])
    return record


def test_a_whole_life(desk: Desk, desk_vault: Managed) -> None:
    name, sdk, admin = spare_name(), desk_vault.sdk(), desk.admin
    made = admin.create(name, desk_vault, "first", contentType="password", tags={"a": "b"})
    seen = sdk.get_secret(name)
    assert (seen.value, seen.properties.version, seen.properties.tags) == ("first", made["version"], {"a": "b"})
    assert (made["status"], made["azure_param"]["id"]) == ("AVAILABLE", seen.id)
    changed = admin.patch(made, attributes={"enabled": False}, tags={"c": "d"})
    assert changed["azure_param"]["tags"] == {"c": "d"}
    assert not changed["azure_param"]["attributes"]["enabled"]
    admin.patch(made, attributes={"enabled": True})
    admin.act(made, "soft-delete")
    assert sdk.get_deleted_secret(name).name == name
    admin.act(made, "recover")
    assert sdk.get_secret(name).value == "first"
    admin.act(made, "soft-delete")
    ended = admin.act(made, "hard-delete")
    assert (ended["status"], ended["gone"]) == ("DELETED", False)
    with pytest.raises(ResourceNotFoundError):
        sdk.get_deleted_secret(name)
    again = admin.act(made, "restore")
    assert (again["id"], again["version"]) == (made["id"], sdk.get_secret(name).properties.version)
    assert sdk.get_secret(name).value == "first"
    admin.act(made, "soft-delete")
    admin.act(made, "hard-delete")
    admin.remove(made)
    admin.refuse("GET", f"{SECRETS}/{made['id']}", status=404)
    assert admin.records(desk_vault, name) == []


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("action", ["update", "soft-delete", "hard-delete", "recover", "restore", "delete"])
def test_every_cell_of_the_state_table(desk: Desk, desk_vault: Managed, state: str, action: str) -> None:
    record, admin = in_state(desk, desk_vault, state), desk.admin
    path = f"{SECRETS}/{record['id']}"
    method, path, body = {
        "update": ("PATCH", path, {"tags": {"n": "1"}}),
        "delete": ("DELETE", path, None),
    }.get(action, ("POST", f"{path}/{action}", None))
    if (state, action) not in ALLOWED:
        assert state in admin.refuse(method, path, body, status=400, part="needs it to be")
        assert admin.read(record) == record
        return
    after = ALLOWED[state, action]
    if after is None:
        assert admin.accept(method, path, body, 204) is None
        admin.refuse("GET", path, status=404)
        return
    answer = admin.accept(method, path, body)
    assert (answer["status"], flags(answer), answer["gone"]) == (after, FLAGS[after], False)
    assert admin.read(record) == answer


def test_every_field_of_a_record(desk: Desk, desk_vault: Managed) -> None:
    """The fields of the documentation's examples (contract §5.1), each of its shape."""
    admin = desk.admin
    exp = 2_000_000_000
    param: dict[str, Any] = {
        "contentType": "password",
        "tags": {"a": "b"},
        "attributes": {"nbf": 5, "exp": exp, "recoverableDays": 0},
    }
    record = admin.create("Field-Names", desk_vault, "v", **param)
    assert set(record) == FIELDS
    for field, shape in SHAPES.items():
        assert re.fullmatch(shape, record[field]), (field, record[field])
    assert record["uri"].startswith("kylo:kylo:cckm:azure-secret:field-names-")
    assert record["uri"].endswith(record["id"])
    assert record["key_vault"] == desk_vault.record["name"]
    assert (record["key_vault_id"], record["region"]) == (desk_vault.id, desk_vault.record["location"])
    assert (record["tenant"], record["cloud_name"]) == (desk_vault.cloud.tenant_id, "AzureCloud")
    assert record["soft_delete_enabled"] is True
    assert record["created_by"] == record["modified_by"]
    assert record["key_material_origin"] == "cckm"
    azure = desk_vault.azure.get("Field-Names")
    shown = record["azure_param"]
    assert set(shown) == {"id", "contentType", "tags", "attributes"}
    assert (shown["id"], shown["contentType"], shown["tags"]) == (azure["id"], "password", {"a": "b"})
    assert shown["attributes"] == azure["attributes"]
    assert set(shown["attributes"]) == {
        *("recoveryLevel", "recoverableDays", "enabled", "created", "updated", "nbf", "exp")
    }
    plain = admin.create(spare_name(), desk_vault)["azure_param"]
    assert set(plain) == {"id", "attributes"}
    assert set(plain["attributes"]) == {"recoveryLevel", "recoverableDays", "enabled", "created", "updated"}


def test_another_value_is_another_version_and_another_record(desk: Desk, desk_vault: Managed) -> None:
    name, admin = spare_name(), desk.admin
    one = admin.create(name, desk_vault, "one")
    two = admin.create(name.upper(), desk_vault, "two", content_type="of old")
    assert (one["id"] != two["id"], one["version"] != two["version"]) == (True, True)
    assert two["azure_param"]["contentType"] == "of old"
    assert admin.read(one)["backup"] == two["backup"]
    assert {version["id"].rpartition("/")[2] for version in desk_vault.azure.versions(name)} == {
        *(one["version"], two["version"])
    }
    admin.act(one, "soft-delete")  # through the record of the older one, for all
    assert {admin.read(each)["status"] for each in (one, two)} == {"SOFT-DELETED"}
    admin.act(one, "recover")
    again = [admin.read(each) for each in (one, two)]
    assert [each["version"] for each in again] == [one["version"], two["version"]]
    assert [each["azure_param"]["id"] for each in again] == [one["azure_param"]["id"], two["azure_param"]["id"]]
    admin.act(two, "soft-delete")
    admin.act(two, "hard-delete")
    admin.act(one, "restore")
    again = [admin.read(each) for each in (one, two)]
    assert [(each["status"], each["version"]) for each in again] == [
        *(("AVAILABLE", one["version"]), ("AVAILABLE", two["version"]))
    ]
    assert desk_vault.azure.get(name)["value"] == "two"
    admin.act(one, "soft-delete")
    admin.act(one, "hard-delete")
    admin.remove(one)
    assert admin.records(desk_vault, name) == []


def test_a_name_that_is_soft_deleted_cannot_be_used(desk: Desk, desk_vault: Managed) -> None:
    record = in_state(desk, desk_vault, "SOFT-DELETED")
    body = {"secret_name": record["secret_name"], "key_vault": desk_vault.id, "azure_param": {"value": "x"}}
    desk.admin.refuse("POST", SECRETS, body, status=409, part="ObjectIsDeletedButRecoverable")
    assert "currently in a deleted but recoverable state" in desk.admin.refuse(
        "POST", SECRETS, body, status=409, query={"wait": 200}
    )
    assert desk.admin.read(record) == record


def test_each_life_of_a_name_keeps_its_own_backup(desk: Desk, desk_vault: Managed) -> None:
    first, admin = in_state(desk, desk_vault, "DELETED"), desk.admin
    name = first["secret_name"]
    second = admin.create(name, desk_vault, "second")
    assert second["backup"] != first["backup"]
    admin.refuse_act(first, "restore", 409, "Azure answered 409")
    admin.act(second, "soft-delete")
    admin.act(second, "hard-delete")
    admin.act(first, "restore")
    assert desk_vault.azure.get(name)["value"] == "value"
    assert admin.read(second)["status"] == "DELETED"
    admin.act(first, "soft-delete")
    admin.act(first, "hard-delete")
    admin.remove(first)
    admin.act(second, "restore")
    assert desk_vault.azure.get(name)["value"] == "second"


def test_patch_changes_what_is_given_and_nothing_else(desk: Desk, desk_vault: Managed) -> None:
    admin = desk.admin
    made = admin.create(spare_name(), desk_vault, contentType="a", tags={"a": "b"}, attributes={"nbf": 10})
    now = admin.patch(made, attributes={"exp": "2033-05-18T03:33:20Z"}, contentType="", tags=None)
    expected = made["azure_param"]["attributes"] | {"exp": 2_000_000_000}
    assert now["azure_param"]["attributes"] | {"updated": 0} == expected | {"updated": 0}
    assert (now["azure_param"]["contentType"], now["azure_param"]["tags"]) == ("a", {"a": "b"})
    assert now["updatedAt"] > made["updatedAt"]
    zeros = {"exp": 0, "nbf": "0001-01-01T00:00:00Z"}
    now = admin.patch(made, attributes={"enabled": False, **zeros}, content_type="b", tags={})
    assert now["azure_param"]["attributes"]["exp"] == 2_000_000_000
    assert not now["azure_param"]["attributes"]["enabled"]
    assert (now["azure_param"]["contentType"], "tags" in now["azure_param"]) == ("b", False)
    assert desk_vault.azure.versions(made["secret_name"])[0]["attributes"] == now["azure_param"]["attributes"]
    before = admin.read(made)
    for body, part in (
        ({"value": "x"}, "value: cannot be changed"),
        ({"azure_param": {"value": "x"}}, "value: cannot be changed"),
        ({"attributes": {"exp": 9}}, "attributes.exp: must be later than nbf"),
        ({"attributes": {"nbf": "tomorrow"}}, "attributes.nbf: must be seconds"),
        ({"tags": {"a": "b:c"}}, "tags.a: "),
        ({"attributes": {"recoveryLevel": "Never"}}, "recoveryLevel"),
    ):
        admin.refuse("PATCH", f"{SECRETS}/{made['id']}", body, status=400, part=part)
    assert admin.read(made) == before


def test_a_disabled_secret_goes_through_its_whole_life(desk: Desk, desk_vault: Managed) -> None:
    """Azure does not show a deleted secret whose latest version is disabled; it can be purged and recovered though."""
    admin = desk.admin
    made = admin.create(spare_name(), desk_vault, attributes={"enabled": False})
    for action in ("soft-delete", "recover", "soft-delete", "hard-delete", "restore"):
        made = admin.act(made, action)
    assert (made["status"], made["azure_param"]["attributes"]["enabled"]) == ("AVAILABLE", False)


def test_a_restore_into_another_vault_makes_another_record(desk: Desk, desk_vault: Managed) -> None:
    source, other, admin = in_state(desk, desk_vault, "DELETED"), desk.vault(), desk.admin
    made = admin.act(source, "restore", {"key_vault": other.record["name"]})
    assert made["id"] != source["id"]
    assert (made["key_vault_id"], made["status"], made["secret_name"]) == (
        *(other.id, "AVAILABLE", source["secret_name"]),
    )
    assert made["backup"] != source["backup"]
    assert admin.read(source) == source
    assert other.sdk().get_secret(source["secret_name"]).value == "value"
    admin.refuse_act(source, "restore", 409, "Azure answered 409", {"key_vault": other.name})
    admin.refuse_act(source, "restore", 404, "no such key vault", {"key_vault": "nowhere"})
    admin.remove(source)  # the other record lives on a backup of its own
    admin.act(made, "soft-delete")
    admin.act(made, "hard-delete")
    admin.act(made, "restore")
    assert other.sdk().get_secret(source["secret_name"]).value == "value"


def test_a_vault_without_soft_delete(desk: Desk) -> None:
    vault, admin = desk.vault("--no-soft-delete"), desk.admin
    made = admin.create(spare_name(), vault, "kept")
    assert made["soft_delete_enabled"] is False
    gone = admin.act(made, "soft-delete")
    assert (gone["status"], flags(gone)) == ("DELETED", (True, False))
    assert vault.azure.versions(made["secret_name"]) == []
    for action in ("hard-delete", "recover"):
        admin.refuse_act(made, action, 400, "DELETED")
    admin.act(made, "restore")
    assert vault.sdk().get_secret(made["secret_name"]).value == "kept"
    body = {"secret_name": "x", "key_vault": vault.id, "azure_param": {"value": "v"}}
    body["azure_param"] = {"value": "v", "attributes": {"recoverableDays": 7}}
    admin.refuse("POST", SECRETS, body, status=400, part="recoverableDays: must be 0")


def test_what_cannot_be_backed_up_is_not_deleted_for_good(desk: Desk) -> None:
    vault, admin = desk.vault("--no-soft-delete", "--access-policies"), desk.admin
    made = admin.create(spare_name(), vault, "kept")
    rights = "get,list,set,delete"
    vault.cloud.server.command("policy", "set", vault.name, "claviger-control-plane", "--secrets", rights)
    vault.cloud.noticed(lambda: vault_refuses_backup(desk, vault))
    admin.refuse_act(made, "soft-delete", 409, "ForbiddenByPolicy")
    assert admin.read(made) == made
    assert vault.azure.get(made["secret_name"])["value"] == "kept"
    bare = admin.create(spare_name(), vault)
    assert {"backup", "backup_at"}.isdisjoint(bare)
    newer = admin.create(made["secret_name"], vault, "newer")  # the backup there is does not hold this version
    assert (newer["backup"], newer["backup_at"]) == (made["backup"], made["backup_at"])


def vault_refuses_backup(desk: Desk, vault: Managed) -> bool:
    probe = desk.admin.create(spare_name("probe"), vault)
    return "backup" not in probe


def test_purge_protection(desk: Desk) -> None:
    vault, admin = desk.vault("--purge-protection"), desk.admin
    nobody = {"url": "https://localhost:9/", "types": ["refused-purge"]}
    admin.accept("POST", "/claviger/notices/subscriptions", nobody, 201)
    made = admin.act(admin.create(spare_name(), vault), "soft-delete")
    admin.refuse_act(made, "hard-delete", 403, "purge protection is enabled for this vault")
    assert admin.read(made) == made
    told = admin.accept("GET", f"/claviger/notices/deliveries?object_key={made['id']}")["resources"]
    assert [each["type"] for each in told] == ["refused-purge"]
    assert admin.act(made, "recover")["status"] == "AVAILABLE"


def test_a_value_of_the_greatest_size(desk: Desk, desk_vault: Managed) -> None:
    name = spare_name()
    value = "\u20ac" * (LONGEST_VALUE_BYTES // 3)
    desk.admin.create(name, desk_vault, value)
    assert desk_vault.sdk().get_secret(name).value == value
