"""Regions, tenancies, compartments, tags, buckets and vaults of the embedded OCI under management (OCI §2-§4).

A real server, asked over HTTPS, which asks its own OCI by the official SDK; on both databases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.desk import PASSWORD, Operator
from tests.oci_plane import EMBEDDED, KEYS, REGION, VAULTS, OciDesk, OciManaged
from tests.vaults import spare_name

OCI = "/cckm/oci"
CONNECTIONS = "/connectionmgmt/services/oci/connections"
KEYS_OF = (
    "view keycreate keyupload keyupdate keydelete keycanceldelete keyrestore deletebackup keyrotatetonative "
    "keyrotatetobyok keysynchronize keyremove"
)
OF_EXTERNAL = "viewhyokkey hyokkeycreate hyokkeyupdate hyokkeyblockunblock hyokkeydelete hyokkeyrotate"
ACTIONS = f"{KEYS_OF} {OF_EXTERNAL} reportview reportcreate reportdelete reportdownload".split()  # OCI §4
NO_ID = "73524b70-1234-4f92-954b-6312f4567d1a"
HEADER = {"id", "uri", "account", "application", "devAccount", "createdAt", "updatedAt"}
SECONDS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
MILLISECONDS = rf"{SECONDS}\.\d{{3}}Z"
MICROSECONDS = rf"{SECONDS}\.\d{{6}}Z"


def connection_body(desk: OciDesk, name: str, **more: Any) -> dict[str, Any]:
    """A connection to the server's own OCI as its demo user."""
    told = desk.config
    return {
        "name": name,
        "user_ocid": told["user"],
        "tenancy_ocid": told["tenancy"],
        "fingerprint": told["fingerprint"],
        "region": told["region"],
        "credentials": {"key_file": Path(told["key_file"]).read_text()},
        "realm_domain": f"localhost:{desk.server.port}",
        "server_certificate": (desk.server.data / "tls" / "ca.pem").read_text(),
        **more,
    }


def connect(desk: OciDesk, **more: Any) -> Any:
    return desk.admin.accept("POST", CONNECTIONS, connection_body(desk, spare_name("connection"), **more), 201)


def listed(desk: OciDesk, path: str, **query: Any) -> list[Any]:
    return list(desk.admin.accept("GET", path, query={"limit": -1, **query})["resources"])


def pages(who: Operator, path: str, body: dict[str, Any]) -> list[list[Any]]:
    """All pages that discovery shows."""
    found, mark = [], ""
    while True:
        told = who.accept("POST", path, {**body, "ociNextPage": mark})
        assert set(told) == {"data", "ociNextPage"}
        found.append(told["data"])
        mark = told["ociNextPage"]
        if not mark:
            return found
        assert len(found) < 50


def test_regions(oci_desk: OciDesk) -> None:
    ident = oci_desk.admin.accept("GET", f"{CONNECTIONS}/{EMBEDDED}")["id"]
    for named in (EMBEDDED, ident):
        told = oci_desk.admin.accept("POST", f"{OCI}/get-subscribed-regions", {"connection": named})
        assert sorted(told["regions"]) == ["eu-frankfurt-1", "us-ashburn-1"]
        assert set(told) == {"regions"}


def test_the_test_of_a_connection(oci_desk: OciDesk) -> None:
    """What is wrong is told as an answer, in OCI's words; nothing is an expired token to whoever asks."""
    admin = oci_desk.admin
    made = connect(oci_desk)
    assert admin.accept("POST", f"{CONNECTIONS}/{made['id']}/test") == {"connection_ok": True}
    tested = admin.accept("GET", f"{CONNECTIONS}/{made['name']}")
    assert (tested["last_connection_ok"], tested["last_connection_error"]) == (True, None)
    assert re.fullmatch(MICROSECONDS, tested["last_connection_at"])
    other = Path(oci_desk.config["key_file"]).read_text().replace("A", "B", 1)
    for wrong, part in (
        ({"fingerprint": ":".join(["00"] * 16)}, "OCI answered 401: NotAuthenticated"),
        ({"user_ocid": "ocid1.user.oc1..nobody"}, "look at the connection's user_ocid"),
        ({"tenancy_ocid": "ocid1.tenancy.oc1..nothing"}, "OCI answered 401: NotAuthenticated"),
        ({"credentials": {"key_file": other}}, "the connection's key cannot be used"),
        ({"realm_domain": "localhost:1"}, "cannot be reached"),
        ({"server_certificate": ""}, "cannot be reached"),
    ):
        body = connection_body(oci_desk, "one", **wrong)
        told = admin.accept("POST", "/connectionmgmt/services/oci/connection-test", body)
        assert told["connection_ok"] is False
        assert part in told["connection_error"]
    admin.accept("PATCH", f"{CONNECTIONS}/{made['id']}", {"fingerprint": ":".join(["00"] * 16)})
    assert admin.accept("POST", f"{CONNECTIONS}/{made['id']}/test")["connection_ok"] is False
    refused = admin.refuse(
        "POST", f"{OCI}/get-subscribed-regions", {"connection": made["name"]}, status=403, part="NotAuthenticated"
    )
    assert "PRIVATE" not in refused
    admin.accept("DELETE", f"{CONNECTIONS}/{made['id']}", status=204)


def test_tenancies_in_both_forms(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    admin = oci_desk.admin
    made = admin.accept("POST", f"{OCI}/add-tenancy", {"connection": EMBEDDED, "tenancy_ocid": "", "tenancy": None})
    assert set(made) == HEADER | {"tenancy_ocid", "tenancy", "connection"}
    assert (made["tenancy_ocid"], made["tenancy"], made["connection"]) == (oci_desk.tenancy, "demo", EMBEDDED)
    assert made["uri"] == f"kylo:kylo:cckm:oci-tenancy:{made['id']}"
    again = admin.accept("POST", f"{OCI}/add-tenancy", {"connection": EMBEDDED})
    assert (again["id"], again["createdAt"]) == (made["id"], made["createdAt"])
    elsewhere = {"tenancy_ocid": "ocid1.tenancy.oc1..elsewhere", "tenancy": "elsewhere"}
    plain = admin.accept("POST", f"{OCI}/add-tenancy", elsewhere)
    assert "connection" not in plain
    for query, found in (
        ({"tenancy": "elsewhere"}, [plain["id"]]),
        ({"tenancy_ocid": oci_desk.tenancy}, [made["id"]]),
        ({"id": [plain["id"], made["id"]], "sort": "-tenancy"}, [plain["id"], made["id"]]),
        ({"tenancy": "else*"}, [plain["id"]]),
        ({"tenancy": "none"}, []),
    ):
        assert [each["id"] for each in listed(oci_desk, f"{OCI}/tenancy", **query)] == found
    assert admin.accept("GET", f"{OCI}/tenancy/{plain['id']}/") == plain
    admin.refuse("DELETE", f"{OCI}/tenancy/{made['id']}", status=409, part="managed")
    admin.accept("DELETE", f"{OCI}/tenancy/{plain['id']}", status=204)
    for method in ("GET", "DELETE"):
        told = admin.ask(method, f"{OCI}/tenancy/{plain['id']}")
        assert (told.status_code, "NCERRResourceNotFound" in told.text) == (404, True)


def test_compartments_as_oci_shows_them(oci_desk: OciDesk) -> None:
    whole = [
        each for page in pages(oci_desk.admin, f"{OCI}/get-compartments", {"connection": EMBEDDED}) for each in page
    ]
    assert {"demo", "production", "staging", "team-a"} <= {each["name"] for each in whole}
    root, *rest = whole
    assert (root["id"], root["name"]) == (oci_desk.tenancy, "demo")
    by_name = {each["name"]: each for each in rest}
    assert by_name["production"]["compartment_id"] == oci_desk.tenancy  # the parent, here
    assert by_name["team-a"]["compartment_id"] == by_name["staging"]["id"]
    for each in rest:
        assert each["lifecycle_state"] == "ACTIVE"
        assert re.fullmatch(MILLISECONDS, each["time_created"])
        assert all(isinstance(value, str) for value in each["freeform_tags"].values())
        assert isinstance(each["defined_tags"], dict)
    by_one = pages(oci_desk.admin, f"{OCI}/get-compartments", {"connection": EMBEDDED, "limit": 1})
    assert [len(page) for page in by_one[:2]] == [2, 1]  # the first has the root beside it
    assert by_one[0][0]["id"] == oci_desk.tenancy
    assert sorted(each["id"] for page in by_one for each in page) == sorted(each["id"] for each in whole)


def test_compartments_that_are_recorded(oci_desk: OciDesk) -> None:
    admin, production = oci_desk.admin, oci_desk.compartment()
    body = {"connection": EMBEDDED, "compartment_id": [production, oci_desk.tenancy]}
    told = admin.accept("POST", f"{OCI}/add-compartments", body)
    assert told["compartments"] == told["resources"]
    made, root = told["compartments"]
    assert {
        "tenancy",
        "compartment_id",
        "parent_compartment_id",
        "name",
        "description",
        "time_created",
        "lifecycle_state",
        "is_accessible",
        "freeform_tags",
        "defined_tags",
    } <= set(made) - HEADER
    assert made["is_accessible"] is root["is_accessible"] is True
    assert (made["compartment_id"], made["parent_compartment_id"]) == (production, oci_desk.tenancy)
    assert (made["name"], made["tenancy"], root["name"]) == ("production", "demo", "demo")
    again = admin.accept("POST", f"{OCI}/add-compartments", body)["compartments"]
    assert [each["id"] for each in again] == [made["id"], root["id"]]
    for query, found in (
        ({"name": "production"}, [made["id"]]),
        ({"compartment_id": oci_desk.tenancy}, [root["id"]]),
        ({"tenancy": "demo", "sort": "-name"}, [made["id"], root["id"]]),
        ({"id": root["id"]}, [root["id"]]),
        ({"name": "none"}, []),
    ):
        assert [each["id"] for each in listed(oci_desk, f"{OCI}/compartments", **query)] == found
    unknown = {"connection": EMBEDDED, "compartment_id": [production, "ocid1.compartment.oc1..nothing"]}
    admin.refuse("POST", f"{OCI}/add-compartments", unknown, status=400, part="ocid1.compartment.oc1..nothing")
    for each in (made, root):
        assert admin.accept("GET", f"{OCI}/compartments/{each['id']}")["id"] == each["id"]
        admin.accept("DELETE", f"{OCI}/compartments/{each['id']}", status=204)
        admin.refuse("GET", f"{OCI}/compartments/{each['id']}", status=404)


def test_defined_tags(oci_desk: OciDesk) -> None:
    name = spare_name("tags").replace("-", "_")
    oci_desk.server.command("oci", "tag-namespace", "create", name, "--tag", "cost", "--tag", "owner")
    found = [
        each for page in pages(oci_desk.admin, f"{OCI}/get-defined-tags", {"connection": EMBEDDED}) for each in page
    ]
    (space,) = [each for each in found if each["namespace_name"] == name]
    assert (space["name"], space["is_retired"]) == (name, False)
    assert sorted(tag["name"] for tag in space["tags"]) == ["cost", "owner"]
    by_one = pages(oci_desk.admin, f"{OCI}/get-defined-tags", {"connection": EMBEDDED, "limit": 1})
    assert [each for page in by_one for each in page] == found


def test_buckets(oci_desk: OciDesk) -> None:
    name, namespace = oci_desk.bucket()
    body = {"connection": EMBEDDED, "compartment_id": oci_desk.compartment()}
    found = [each for page in pages(oci_desk.admin, f"{OCI}/storage/list-buckets", body) for each in page]
    (bucket,) = [each for each in found if each["name"] == name]
    assert set(bucket) == {"namespace", "name", "compartment_id", "time_created", "freeform_tags", "defined_tags"}
    assert (bucket["namespace"], bucket["compartment_id"]) == (namespace, oci_desk.compartment())
    empty = {**body, "compartment_id": oci_desk.compartment("team-a")}
    assert oci_desk.admin.accept("POST", f"{OCI}/storage/list-buckets", empty) == {"data": [], "ociNextPage": ""}


def test_vaults_as_oci_shows_them(oci_desk: OciDesk, oci_vault: OciManaged, oci_private_vault: OciManaged) -> None:
    body = {"connection": EMBEDDED, "compartment_id": oci_desk.compartment(), "region": REGION}
    found = {each["vault_id"]: each for page in pages(oci_desk.admin, f"{OCI}/get-vaults", body) for each in page}
    seen = found[oci_vault.ocid]
    told = oci_desk.vaults_sdk.get_vault(oci_vault.ocid).data
    assert seen == {
        "compartment_id": told.compartment_id,
        "display_name": told.display_name,
        "vault_id": told.id,
        "lifecycle_state": "ACTIVE",
        "management_endpoint": told.management_endpoint,
        "time_created": seen["time_created"],
        "vault_type": "DEFAULT",
        "freeform_tags": {},
        "defined_tags": seen["defined_tags"],
    }
    assert re.fullmatch(MILLISECONDS, seen["time_created"])
    assert found[oci_private_vault.ocid]["vault_type"] == "VIRTUAL_PRIVATE"
    by_two = [
        each["vault_id"] for page in pages(oci_desk.admin, f"{OCI}/get-vaults", {**body, "limit": 2}) for each in page
    ]
    assert sorted(by_two) == sorted(set(by_two))
    assert set(found) <= set(by_two)
    assert oci_desk.admin.accept("POST", f"{OCI}/get-vaults", {**body, "region": "eu-frankfurt-1"})["data"] == []
    nowhere = {**body, "region": "uk-london-1"}  # not subscribed to
    oci_desk.admin.refuse("POST", f"{OCI}/get-vaults", nowhere, status=403, part="NotAuthenticated")
    hidden = {**body, "compartment_id": "ocid1.compartment.oc1..nothing"}
    oci_desk.admin.refuse("POST", f"{OCI}/get-vaults", hidden, status=403, part="NotAuthorizedOrNotFound")


def test_a_record_says_what_oci_says(oci_desk: OciDesk, oci_private_vault: OciManaged) -> None:
    record = oci_desk.admin.accept("GET", f"{VAULTS}/{oci_private_vault.id}")
    told = oci_desk.vaults_sdk.get_vault(oci_private_vault.ocid).data
    name, namespace = oci_desk.bucket()
    changing = {field: record[field] for field in (*HEADER - {"uri", "account"}, "time_created", "refreshed_at")}
    assert record == {
        **changing,
        "uri": f"kylo:kylo:cckm:oci-vault:{record['id']}",
        "account": "kylo:kylo:admin:accounts:kylo",
        "compartment_id": oci_desk.compartment(),
        "compartment_name": "production",
        "display_name": told.display_name,
        "vault_id": told.id,
        "lifecycle_state": "ACTIVE",
        "management_endpoint": told.management_endpoint,
        "cloud_name": "oci",
        "connection": EMBEDDED,
        "vault_type": "VIRTUAL_PRIVATE",
        "wrappingkey_id": told.wrappingkey_id,
        "freeform_tags": told.freeform_tags,
        "defined_tags": told.defined_tags,
        "restored_from_vault_id": "",
        "replication_id": "",
        "is_primary": True,
        "acls": record["acls"],
        "tenancy": "demo",
        "region": REGION,
        "bucket_name": name,
        "bucket_namespace": namespace,
        "protected": False,
        "hard_delete_quorum": None,
    }
    assert re.fullmatch(MILLISECONDS, record["time_created"])
    assert re.fullmatch(MICROSECONDS, record["refreshed_at"])


def test_lists(oci_desk: OciDesk) -> None:
    one, two = oci_desk.vault(), oci_desk.vault("VIRTUAL_PRIVATE")
    ids = {"id": [one.id, two.id]}
    for path in (VAULTS, f"{VAULTS}/"):  # Terraform asks with the slash
        assert [each["id"] for each in listed(oci_desk, path, **ids)] == [one.id, two.id]
    assert listed(oci_desk, VAULTS, id=two.id) == [oci_desk.admin.accept("GET", f"{VAULTS}/{two.id}/")]
    for query, found in (
        ({"display_name": one.record["display_name"]}, [one]),
        ({"vault_name": one.record["display_name"]}, [one]),
        ({"display_name": "VAULT-*"}, [one, two]),
        ({"vault_id": two.ocid}, [two]),
        ({"vault_type": "VIRTUAL_PRIVATE"}, [two]),
        ({"vault_type": ["VIRTUAL_PRIVATE", "DEFAULT"]}, [one, two]),
        ({"vault_type": "EXTERNAL"}, []),
        ({"tenancy": "demo", "compartment_name": "production", "cloud_name": "oci", "region": REGION}, [one, two]),
        ({"compartment_name": "staging"}, []),
        ({"lifecycle_state": "ACTIVE"}, [one, two]),
        ({"lifecycle_state": "DELETED"}, []),
        ({"region": "eu-frankfurt-1"}, []),
        ({"linked_state": "true"}, []),
        ({"issuer_id": NO_ID}, []),
        ({"blocked": "false"}, [one, two]),
        ({"unknown": "1", "tenancy": ""}, [one, two]),
        ({"sort": "-createdAt"}, [two, one]),
        ({"sort": "-display_name"}, [two, one]),
        ({"sort": "-vault_name"}, [two, one]),
    ):
        assert [each["id"] for each in listed(oci_desk, VAULTS, **ids, **query)] == [each.id for each in found], query
    page = oci_desk.admin.accept("GET", VAULTS, query={**ids, "skip": 1, "limit": 1})
    assert (page["skip"], page["limit"], page["total"], len(page["resources"])) == (1, 1, 2, 1)
    for bad in ({"skip": -1}, {"limit": -2}, {"limit": "x"}, {"sort": "details"}, {"sort": ","}):
        oci_desk.admin.refuse("GET", VAULTS, status=400, query=bad)


@pytest.mark.parametrize("ident", [NO_ID, "x", "a" * 2000, "%F0%9F%98%80", "ocid1.vault.oc1..x"])
def test_vaults_that_are_not_there(oci_desk: OciDesk, ident: str) -> None:
    for method, more, body in (
        ("GET", "", None),
        ("PATCH", "", {}),
        ("DELETE", "", None),
        ("POST", "/update-acls", {"acls": []}),
    ):
        told = oci_desk.admin.ask(method, f"{VAULTS}/{ident}{more}", body)
        assert (told.status_code, "NCERRResourceNotFound" in told.text) == (404, True), told.text


def test_vaults_come_all_or_none(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    fresh = oci_desk.vault()
    oci_desk.admin.accept("DELETE", f"{VAULTS}/{fresh.id}", status=204)
    body = {"connection": EMBEDDED, "region": REGION}
    for others, status in ((["ocid1.vault.oc1.iad.nothing.x"], 400), ([oci_vault.ocid], 409)):
        asked = {**body, "vault_id": [fresh.ocid, *others]}
        oci_desk.admin.refuse(
            "POST", f"{OCI}/add-vaults", asked, status=status, part=others[0] if status == 400 else ""
        )
        assert listed(oci_desk, VAULTS, vault_id=fresh.ocid) == []
    for wrong in ({"region": "eu-frankfurt-1"}, {"bucket_name": "b"}, {"vault_id": fresh.ocid}, {"vault_id": []}):
        asked = {**body, "vault_id": [fresh.ocid], **wrong}
        oci_desk.admin.refuse("POST", f"{OCI}/add-vaults", asked, status=400)
    assert listed(oci_desk, VAULTS, vault_id=fresh.ocid) == []


# ---------------------------------------------------------------- changing


def test_the_bucket_of_a_vault(oci_desk: OciDesk) -> None:
    vault, admin = oci_desk.vault(), oci_desk.admin
    path, space = f"{VAULTS}/{vault.id}", oci_desk.bucket()[1]
    one, two = oci_desk.new_bucket(), oci_desk.new_bucket()

    def bucket(body: Any) -> tuple[str, str]:
        told = admin.accept("PATCH", path, body)
        assert admin.accept("GET", path) == told
        assert (told["connection"], told["vault_id"]) == (EMBEDDED, vault.ocid)
        return told["bucket_name"], told["bucket_namespace"]

    assert bucket({"bucket_name": one, "bucket_namespace": space}) == (one, space)
    for unchanged in ({}, {"bucket_name": None, "bucket_namespace": None}, {"connection": "", "bucket_name": None}):
        assert bucket(unchanged) == (one, space)
    assert bucket({"bucket_name": two}) == (two, space)
    for blank in ({"bucket_name": ""}, {"bucket_namespace": ""}, {"bucket_name": "", "bucket_namespace": ""}):
        assert bucket(blank) == ("", "")
        for half in (
            {"bucket_name": one},
            {"bucket_namespace": space},
            {"bucket_name": "a/b", "bucket_namespace": space},
        ):
            admin.refuse("PATCH", path, half, status=400, part="bucket_")
        assert bucket({"bucket_name": one, "bucket_namespace": space}) == (one, space)
    admin.refuse("PATCH", path, {"bucket_name": "", "bucket_namespace": "s"}, status=400, part="bucket_name")


def test_another_connection_has_to_reach_the_same_vault(oci_desk: OciDesk) -> None:
    vault, admin = oci_desk.vault(), oci_desk.admin
    path = f"{VAULTS}/{vault.id}"
    made = connect(oci_desk)
    assert admin.accept("PATCH", path, {"connection": made["id"]})["connection"] == made["name"]
    blind = connect(oci_desk, region="eu-frankfurt-1", fingerprint=":".join(["00"] * 16))
    admin.refuse("PATCH", path, {"connection": blind["name"]}, status=403, part="NotAuthenticated")
    admin.refuse("PATCH", path, {"connection": "none"}, status=404, part="no such connection")
    admin.accept("DELETE", f"{CONNECTIONS}/{blind['id']}", status=204)
    told = admin.refuse("DELETE", f"{CONNECTIONS}/{made['id']}", status=409, part="used by vaults or other records (1)")
    assert made["name"] in told
    admin.accept("POST", f"/connectionmgmt/connections/{made['id']}/delete", status=204)
    assert admin.accept("GET", path)["connection"] == made["name"]  # the stale name stays
    admin.refuse("PATCH", path, {"bucket_name": "a", "bucket_namespace": "b"}, status=409, part="name another one")
    assert admin.accept("PATCH", path, {"connection": EMBEDDED})["connection"] == EMBEDDED


def test_a_vault_that_leaves_comes_back_as_the_same(oci_desk: OciDesk) -> None:
    vault, admin = oci_desk.vault(), oci_desk.admin
    key = oci_desk.made(vault)
    _, user_id = oci_desk.user("CCKM Users")
    oci_desk.permit(vault, user_id, "view")
    admin.accept("DELETE", f"{VAULTS}/{vault.id}", status=204)
    for path in (f"{VAULTS}/{vault.id}", f"{KEYS}/{key['id']}", f"{KEYS}/{key['id']}/versions"):
        told = admin.ask("GET", path)
        assert (told.status_code, "NCERRResourceNotFound" in told.text) == (404, True)
    for path in (f"{VAULTS}/{vault.id}", f"{KEYS}/{key['id']}"):
        admin.refuse("DELETE", path, status=404)
    assert listed(oci_desk, VAULTS, vault_id=vault.ocid) == []
    assert oci_desk.records(cckm_vault_id=vault.id) == []
    assert oci_desk.vaults_sdk.get_vault(vault.ocid).data.lifecycle_state == "ACTIVE"
    assert vault.state(key) == "ENABLED"
    again = oci_desk.manage(vault.ocid)
    assert (again.id, again.record["createdAt"]) == (vault.id, vault.record["createdAt"])
    assert again.record["acls"] == []
    assert oci_desk.read(key)["oci_params"] == key["oci_params"]
    assert [each["id"] for each in oci_desk.records(cckm_vault_id=vault.id)] == [key["id"]]


# ---------------------------------------------------------------- who sees and may what


def test_acls_grow_and_shrink(oci_desk: OciDesk) -> None:
    vault, admin = oci_desk.vault(), oci_desk.admin
    path = f"{VAULTS}/{vault.id}/update-acls"
    _, bob = oci_desk.user("CCKM Users")

    def update(*acls: dict[str, Any]) -> list[Any]:
        changed = admin.accept("POST", path, {"acls": list(acls)})
        assert set(changed) == set(vault.record)
        assert admin.accept("GET", f"{VAULTS}/{vault.id}") == changed
        return list(changed["acls"])

    assert update({"user_id": bob, "permit": True, "actions": ["view", "keycreate"]}) == [
        {"user_id": bob, "actions": ["keycreate", "view"]}
    ]
    every = sorted(ACTIONS)
    assert update(
        {"group": "CCKM Users", "user_id": "", "permit": True, "actions": every},
        {"user_id": bob, "permit": False, "actions": ["keycreate", "keyremove"]},
    ) == [{"group": "CCKM Users", "actions": every}, {"user_id": bob, "actions": ["view"]}]
    assert (
        update(
            {"user_id": bob, "permit": False, "actions": ["view"]},
            {"group": "CCKM Users", "permit": False, "actions": every},
        )
        == []
    )
    good = {"group": "CCKM Users", "permit": True, "actions": ["view"]}
    for bad in (
        {**good, "user_id": bob},
        {"permit": True, "actions": ["view"]},
        {**good, "actions": ["secretview"]},
        {**good, "actions": []},
        {**good, "actions": "view"},
        {**good, "group": "Nobody"},
        {**good, "permit": "yes"},
        {"user_id": "bob", "permit": True, "actions": ["view"]},
        {"user_id": f"local|{NO_ID}", "permit": True, "actions": ["view"]},
        5,
    ):
        admin.refuse("POST", path, {"acls": [good, bad]}, status=400)
    for body in ({}, {"acls": None}, {"acls": {}}, {"acls": [good] * 1001}):
        admin.refuse("POST", path, body, status=400)
    assert admin.accept("GET", f"{VAULTS}/{vault.id}")["acls"] == []


def test_users_see_the_vaults_whose_acl_names_them(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    vault = oci_desk.vault()
    user, user_id = oci_desk.user("CCKM Users")
    assert user.accept("GET", VAULTS)["total"] == 0
    for action in ("view", "keydelete", "reportview"):
        oci_desk.permit(vault, user_id, action)
        assert [each["id"] for each in user.accept("GET", f"{VAULTS}/")["resources"]] == [vault.id]
        assert user.accept("GET", f"{VAULTS}/{vault.id}")["display_name"] == vault.record["display_name"]
        user.refuse("GET", f"{VAULTS}/{oci_vault.id}", status=404)
        oci_desk.permit(vault, user_id, action, permit=False)
        user.refuse("GET", f"{VAULTS}/{vault.id}", status=404)
    oci_desk.permit(vault, user_id, "view", "keydelete", "keycreate")
    for method, path, body in (
        ("PATCH", f"{VAULTS}/{vault.id}", {}),
        ("DELETE", f"{VAULTS}/{vault.id}", None),
        ("POST", f"{VAULTS}/{vault.id}/update-acls", {"acls": []}),
        ("POST", f"{OCI}/add-vaults", {"connection": EMBEDDED, "region": REGION, "vault_id": [vault.ocid]}),
        ("POST", f"{OCI}/get-vaults", {"connection": EMBEDDED, "region": REGION, "compartment_id": oci_desk.tenancy}),
        ("POST", f"{OCI}/get-compartments", {"connection": EMBEDDED}),
        ("POST", f"{OCI}/add-compartments", {"connection": EMBEDDED, "compartment_id": [oci_desk.tenancy]}),
        ("POST", f"{OCI}/get-subscribed-regions", {"connection": EMBEDDED}),
        ("POST", f"{OCI}/add-tenancy", {"connection": EMBEDDED}),
        ("POST", f"{OCI}/get-defined-tags", {"connection": EMBEDDED}),
        ("POST", f"{OCI}/storage/list-buckets", {"connection": EMBEDDED, "compartment_id": oci_desk.tenancy}),
        ("GET", f"{OCI}/tenancy", None),
        ("GET", f"{OCI}/compartments", None),
        ("GET", CONNECTIONS, None),
        ("POST", CONNECTIONS, {}),
    ):
        user.refuse(method, path, body, status=403)
    user.close()


@pytest.fixture
def elsewhere(oci_desk: OciDesk) -> Iterator[tuple[Operator, str]]:
    """The admin of a domain of his own, and its id."""
    boss, domain = spare_name("boss"), spare_name("domain")
    admin = oci_desk.admin
    admin.accept("POST", "/usermgmt/users", {"username": boss, "password": PASSWORD}, 201)
    made = admin.accept("POST", "/domains", {"name": domain, "admins": [boss]}, 201)
    found = Operator(oci_desk.server, boss)
    found._credentials["domain"] = domain
    yield found, made["id"]
    found.close()


def test_another_domain_sees_nothing_and_may_manage_the_same_vault(
    oci_desk: OciDesk, oci_vault: OciManaged, elsewhere: tuple[Operator, str]
) -> None:
    boss, domain_id = elsewhere
    for path in (VAULTS, f"{OCI}/tenancy", f"{OCI}/compartments", CONNECTIONS, KEYS):
        assert boss.accept("GET", path)["total"] == 0
    for method, more, body in (
        ("GET", "", None),
        ("PATCH", "", {}),
        ("DELETE", "", None),
        ("POST", "/update-acls", {"acls": []}),
    ):
        boss.refuse(method, f"{VAULTS}/{oci_vault.id}{more}", body, status=404)
    asked = {"connection": EMBEDDED, "region": REGION, "vault_id": [oci_vault.ocid]}
    boss.refuse("POST", f"{OCI}/add-vaults", asked, status=404, part="no such connection")
    name = spare_name("connection")
    made = boss.accept("POST", CONNECTIONS, connection_body(oci_desk, name), 201)
    added = boss.accept("POST", f"{OCI}/add-vaults", {**asked, "connection": name})["vaults"][0]
    assert (added["id"] != oci_vault.id, added["vault_id"]) == (True, oci_vault.ocid)
    assert domain_id in added["account"]
    assert boss.accept("GET", VAULTS)["total"] == 1
    oci_desk.admin.refuse("GET", f"{VAULTS}/{added['id']}", status=404)
    oci_desk.admin.refuse("DELETE", f"/domains/{domain_id}", status=409)
    boss.accept("DELETE", f"{VAULTS}/{added['id']}", status=204)
    boss.accept("DELETE", f"{CONNECTIONS}/{made['id']}", status=204)
    boss.accept("POST", f"{OCI}/add-tenancy", {"tenancy_ocid": "ocid1.tenancy.oc1..b", "tenancy": "b"})
    told = oci_desk.admin.refuse("DELETE", f"/domains/{domain_id}", status=409)
    assert "OCI" in told


# ---------------------------------------------------------------- what is told and agreed to


def test_every_change_has_its_record(oci_desk: OciDesk) -> None:
    admin = oci_desk.admin
    made = connect(oci_desk)
    vault = oci_desk.vault(connection=made["name"])
    _, user_id = oci_desk.user("CCKM Users")
    oci_desk.permit(vault, user_id, "view")
    admin.accept("PATCH", f"{VAULTS}/{vault.id}", {"connection": EMBEDDED})
    admin.refuse("PATCH", f"{VAULTS}/{vault.id}", {"bucket_name": "x"}, status=400)
    admin.accept("DELETE", f"{VAULTS}/{vault.id}", status=204)
    admin.accept("POST", f"{CONNECTIONS}/{made['id']}/test")
    admin.accept("PATCH", f"{CONNECTIONS}/{made['id']}", {"description": "x"})
    admin.accept("DELETE", f"{CONNECTIONS}/{made['id']}", status=204)
    tenancy = admin.accept("POST", f"{OCI}/add-tenancy", {"tenancy_ocid": "ocid1.tenancy.oc1..z", "tenancy": "z"})
    admin.accept("DELETE", f"{OCI}/tenancy/{tenancy['id']}", status=204)
    both = [oci_desk.compartment("staging"), oci_desk.compartment("team-a")]
    added = admin.accept("POST", f"{OCI}/add-compartments", {"connection": EMBEDDED, "compartment_id": both})
    for each in added["compartments"]:
        admin.accept("DELETE", f"{OCI}/compartments/{each['id']}", status=204)

    def told(ident: str) -> list[tuple[str, bool]]:
        found = listed(oci_desk, "/audit/records", object_id=ident)
        assert {each["username"] for each in found} == {"admin"}
        assert not [each for each in found if "PRIVATE KEY" in str(each)]
        return [(each["message"], each["success"]) for each in reversed(found)]

    assert told(vault.id) == [
        ("Bring vaults under management", True),
        ("Change who may do what in a vault", True),
        ("Change a vault's connection, its bucket, or how it is protected", True),
        ("Change a vault's connection, its bucket, or how it is protected", False),
        ("Stop managing a vault", True),
    ]
    assert told(made["id"]) == [
        ("Make a connection to OCI", True),
        ("Change a connection to OCI", True),
        ("Delete a connection to OCI", True),
    ]
    assert told(tenancy["id"]) == [("Add a tenancy", True), ("Remove a tenancy's record", True)]
    for each in added["compartments"]:
        assert told(each["id"]) == [("Add compartments", True), ("Remove a compartment's record", True)]
    refused = listed(oci_desk, "/audit/records", object_id=vault.id, success="false")
    assert [each["details"]["kind"] for each in refused] == ["oci-vault"], refused


def approve(second: Operator, refused: str) -> None:
    ident = re.search(r"approval request ([0-9a-f-]{36})", refused)
    assert ident is not None, refused
    second.accept("POST", f"/claviger/approvals/{ident[1]}/approve", {})


def test_where_a_protected_vault_is_takes_two(oci_desk: OciDesk) -> None:
    """Its connection, what that connection leads to, its bucket, its protection, and its leaving."""
    admin = oci_desk.admin
    second, _ = oci_desk.user("CCKM Admins")
    made, other = connect(oci_desk), connect(oci_desk)
    vault = oci_desk.vault(connection=made["name"])
    oci_desk.protect(vault)
    way, path = f"{CONNECTIONS}/{made['id']}", f"{VAULTS}/{vault.id}"
    admin.accept("PATCH", way, {"description": "words", "credentials": connection_body(oci_desk, "")["credentials"]})
    wrong: list[dict[str, Any]] = [{"realm_domain": "localhost:9"}, {"tenancy_ocid": "ocid1.tenancy.oc1..other"}]
    for body in wrong:
        admin.refuse("PATCH", way, body, status=403, part="2 people")
    assert admin.accept("GET", way)["realm_domain"] == made["realm_domain"]
    before = admin.accept("GET", path)
    less: list[dict[str, Any]] = [
        {"connection": other["name"]},
        dict(zip(("bucket_name", "bucket_namespace"), oci_desk.bucket(), strict=True)),
        {"protected": False},
    ]
    for body in less:
        admin.refuse("PATCH", path, body, status=403, part="2 people")
    assert admin.accept("GET", path) == before
    told = admin.refuse("PATCH", way, {"realm_domain": "localhost:9"}, status=403, part="2 people")
    approve(second, told)
    assert admin.accept("PATCH", way, {"realm_domain": "localhost:9"})["realm_domain"] == "localhost:9"
    admin.refuse("PATCH", way, {"realm_domain": made["realm_domain"]}, status=403, part="2 people")  # once is once
    told = admin.refuse("PATCH", path, {"connection": other["name"]}, status=403)
    approve(second, told)
    assert admin.accept("PATCH", path, {"connection": other["name"]})["connection"] == other["name"]
    admin.accept("PATCH", way, {"realm_domain": made["realm_domain"]})  # no protected vault is reached by it now
    told = admin.refuse("DELETE", path, status=403, part="2 people")
    approve(second, told)
    admin.accept("DELETE", path, status=204)
    assert oci_desk.manage(vault.ocid).record["protected"] is True
    second.close()
