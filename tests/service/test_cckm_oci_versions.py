"""Versions of OCI keys through a real server and the official SDK: rotation, uploads, deletion, rights (OCI §6)."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from oci.key_management import KmsCryptoClient, models

from claviger.switches.client import Switchboard
from tests.desk import Operator, execute
from tests.oci_plane import KEYS, OciDesk, OciManaged, state_of
from tests.vaults import spare_name

LOCAL = "/vault/keys2"
UPLOAD = "/cckm/oci/upload-key"
PLAN = "/claviger/plan"
APPROVALS = "/claviger/approvals"
CURRENT = "cannot be deleted because it is the current key version"


def local_key(who: Operator, **body: Any) -> Any:
    """A new local key."""
    return who.accept("POST", LOCAL, {"name": spare_name("local"), **body}, 201)


def add(desk: OciDesk, key: Any, **body: Any) -> Any:
    """A new version of a key that has settled; its record."""
    made = desk.admin.accept("POST", f"{KEYS}/{key['id']}/versions", body, 201)
    assert state_of(made) == "CREATING"
    return desk.settled_version(key, made, "ENABLED")


def versions(desk: OciDesk, key: Any, **query: Any) -> list[Any]:
    """The versions that a list shows."""
    return list(desk.admin.accept("GET", f"{KEYS}/{key['id']}/versions", query=query)["resources"])


def ocid_of(version: Any) -> str:
    return str(version["oci_key_version_params"]["version_id"])


def upload_body(desk: OciDesk, vault: OciManaged, source: str, **more: Any) -> dict[str, Any]:
    return {
        "vault": vault.id,
        "name": spare_name("uploaded"),
        "protection_mode": "SOFTWARE",
        "compartment_id": desk.compartment(),
        "source_key_identifier": source,
        **more,
    }


def upload(desk: OciDesk, vault: OciManaged, source: str, **more: Any) -> Any:
    """An uploaded key that has settled; its record."""
    made = desk.admin.accept("POST", UPLOAD, upload_body(desk, vault, source, **more), 201)
    assert state_of(made) == "CREATING"
    return desk.settled(made, "ENABLED")


def crypto(desk: OciDesk, vault: OciManaged) -> Any:
    """The official SDK on the vault's crypto endpoint."""
    endpoint = desk.vaults_sdk.get_vault(vault.ocid).data.crypto_endpoint
    return desk.client(KmsCryptoClient, endpoint)


def exported(desk: OciDesk, vault: OciManaged, key: Any, version: str | None = None) -> bytes:
    """The material of a SOFTWARE AES key as OCI gives it away: wrapped to a key of the test's own."""
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    asked = models.ExportKeyDetails(
        key_id=key["oci_params"]["key_id"], key_version_id=version, public_key=pem, algorithm="RSA_OAEP_SHA256"
    )
    wrapped = base64.b64decode(crypto(desk, vault).export_key(asked).data.encrypted_key)
    return own.decrypt(wrapped, padding.OAEP(padding.MGF1(SHA256()), SHA256(), None))


# ---------------------------------------------------------------------- rotation


def test_a_key_is_rotated_to_material_of_ocis_own(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    [first] = versions(oci_desk, key)
    assert ocid_of(first) == key["oci_params"]["current_key_version"]
    asked = {"is_native": True, "source_key_identifier": "", "source_key_tier": "", "rotation_type": ""}
    second = add(oci_desk, key, **asked)
    assert second["key_material_origin"] == "native"
    assert (second["source_key_identifier"], second["source_key_name"], second["source_key_tier"]) == ("", "", "")
    params = second["oci_key_version_params"]
    assert (params["origin"], params["is_primary"]) == ("INTERNAL", True)
    assert (params["key_id"], params["vault_id"]) == (key["oci_params"]["key_id"], oci_vault.ocid)
    assert oci_desk.read(key)["oci_params"]["current_key_version"] == params["version_id"]
    assert oci_vault.in_oci(key).current_key_version == params["version_id"]
    assert [each["id"] for each in versions(oci_desk, key)] == [second["id"], first["id"]]
    assert [each["id"] for each in versions(oci_desk, key, sort="time_created")] == [first["id"], second["id"]]
    for word in ("version_id", "-origin", "key_id"):
        assert len(versions(oci_desk, key, sort=word)) == 2, word
    assert [each["id"] for each in versions(oci_desk, key, version_id=ocid_of(first))] == [first["id"]]
    assert versions(oci_desk, key, origin="EXTERNAL") == versions(oci_desk, key, is_primary="false") == []
    page = oci_desk.admin.accept("GET", f"{KEYS}/{key['id']}/versions", query={"skip": 1, "limit": 1, "id": ""})
    assert (page["total"], [each["id"] for each in page["resources"]]) == (2, [first["id"]])
    one = f"{KEYS}/{key['id']}/versions/{second['id']}"
    assert oci_desk.admin.accept("GET", one) == oci_desk.admin.accept("GET", f"{one}/") == second
    other = oci_desk.made(oci_vault)
    oci_desk.admin.refuse(
        "GET", f"{KEYS}/{other['id']}/versions/{second['id']}", status=404, part="no such key version"
    )


def test_a_key_is_rotated_to_a_local_key(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    source = local_key(oci_desk.admin, algorithm="AES", size=256)
    made = add(oci_desk, key, is_native=False, source_key_identifier=source["id"], source_key_tier="local")
    assert made["key_material_origin"] == "cckm"
    assert made["oci_key_version_params"]["origin"] == "EXTERNAL"
    assert made["source_key_identifier"] == source["id"]
    assert (made["source_key_name"], made["source_key_tier"]) == (source["name"], "local")
    shown = oci_desk.admin.accept("POST", f"{LOCAL}/{source['id']}/export")["material"]
    assert exported(oci_desk, oci_vault, key, ocid_of(made)).hex() == shown
    named = add(oci_desk, key, is_native=False, source_key_identifier=source["name"])
    assert named["source_key_identifier"] == source["id"]
    refreshed = oci_desk.refresh(key)
    assert refreshed["oci_params"]["current_key_version"] == ocid_of(named)
    assert versions(oci_desk, key, id=made["id"])[0]["source_key_identifier"] == source["id"]


def test_what_cannot_become_a_version_is_refused(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    path = f"{KEYS}/{key['id']}/versions"
    admin = oci_desk.admin
    short, rsa_key = local_key(admin, size=128), local_key(admin, algorithm="RSA", size=2048)
    curve = local_key(admin, algorithm="EC", curveid="secp256r1")

    def refuse(status: int, part: str, **body: Any) -> None:
        admin.refuse("POST", path, body, status=status, part=part)

    refuse(400, "is_native: is required")
    refuse(400, "source_key_identifier: is required", is_native=False)
    refuse(404, "no such local key", is_native=False, source_key_identifier="nowhere")
    for tier, told in (
        ("dsm", "Data Security Manager"),
        ("hsm-luna", "Luna"),
        ("external-cm", "CipherTrust"),
        ("x", ""),
    ):
        source = {"source_key_identifier": short["id"], "source_key_tier": tier}
        refuse(
            400,
            f"source_key_tier: must be local{': this server has no connection to' if told else ''}",
            is_native=False,
            **source,
        )
    refuse(
        400,
        "is AES of 128 bits, and the key in OCI is AES of 256 bits",
        is_native=False,
        source_key_identifier=short["id"],
    )
    refuse(400, "is RSA of 2048 bits", is_native=False, source_key_identifier=rsa_key["id"])
    refuse(400, "algorithm EC", is_native=False, source_key_identifier=curve["id"])
    assert len(versions(oci_desk, key)) == 1
    assert len(oci_vault.sdk.list_key_versions(key["oci_params"]["key_id"]).data) == 1
    oci_desk.act(key, "disable")
    refuse(409, "needs it to be ENABLED", is_native=True)
    admin.refuse("POST", f"{KEYS}/{short['id']}/versions", {"is_native": True}, status=404)
    assert execute(oci_desk.server, "SELECT * FROM cckm_sealed WHERE kind = 'oci-intent'") == []


# ---------------------------------------------------------------------- uploads


def test_an_uploaded_aes_key_is_the_local_one(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    for size in (128, 192, 256):
        source = local_key(oci_desk.admin, size=size)
        key = upload(oci_desk, oci_vault, source["id"], freeform_tags={"from": "here"})
        assert key["key_material_origin"] == "cckm"
        assert (key["oci_params"]["algorithm"], key["oci_params"]["length"]) == ("AES", size // 8)
        assert key["oci_params"]["freeform_tags"] == {"from": "here"}
        [first] = versions(oci_desk, key)
        assert ocid_of(first) == key["oci_params"]["current_key_version"]
        assert (first["source_key_identifier"], first["source_key_name"]) == (source["id"], source["name"])
        assert (first["source_key_tier"], first["key_material_origin"]) == ("local", "cckm")
        shown = oci_desk.admin.accept("POST", f"{LOCAL}/{source['id']}/export")["material"]
        assert exported(oci_desk, oci_vault, key).hex() == shown


def test_what_is_encrypted_with_a_local_rsa_key_is_decrypted_by_oci(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    own = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    pem = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    source = local_key(oci_desk.admin, algorithm="RSA", size=3072, material=pem, unexportable=True)
    key = upload(oci_desk, oci_vault, source["name"], protection_mode="HSM")
    sdk = crypto(oci_desk, oci_vault)

    def decrypted(public: Any, message: bytes) -> bytes:
        sealed = public.encrypt(message, padding.OAEP(padding.MGF1(SHA256()), SHA256(), None))
        asked = models.DecryptDataDetails(
            key_id=key["oci_params"]["key_id"],
            key_version_id=oci_desk.read(key)["oci_params"]["current_key_version"],
            ciphertext=base64.b64encode(sealed).decode(),
            encryption_algorithm="RSA_OAEP_SHA_256",
        )
        return base64.b64decode(sdk.decrypt(asked).data.plaintext)

    assert decrypted(own.public_key(), b"by the first") == b"by the first"
    [first] = versions(oci_desk, key)
    shown = load_pem_public_key(first["oci_key_version_params"]["public_key"].encode())
    assert shown == own.public_key()
    second = local_key(oci_desk.admin, algorithm="RSA", size=3072)
    add(oci_desk, key, is_native=False, source_key_identifier=second["id"])
    secret = oci_desk.admin.accept("POST", f"{LOCAL}/{second['id']}/export")["material"]
    assert decrypted(load_pem_private_key(secret.encode(), None).public_key(), b"by the second") == b"by the second"


def test_what_cannot_be_uploaded_is_refused(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    source = local_key(oci_desk.admin)
    curve = local_key(oci_desk.admin, algorithm="EC")
    body = upload_body(oci_desk, oci_vault, source["id"])

    def refuse(status: int, part: str, **more: Any) -> None:
        oci_desk.admin.refuse("POST", UPLOAD, body | more, status=status, part=part)

    refuse(400, "source_key_identifier: is required", source_key_identifier="")
    refuse(404, "no such local key", source_key_identifier="nowhere")
    refuse(400, "OCI takes uploads of AES and RSA keys alone", source_key_identifier=curve["id"])
    refuse(400, "source_key_tier: must be local", source_key_tier="hsm-luna")
    refuse(400, "protection_mode: must be one of HSM, SOFTWARE", protection_mode="EXTERNAL")
    refuse(400, "compartment_id: must be the OCID", compartment_id="x")
    refuse(400, "name: ", name=" ")
    refuse(404, "no such vault under management", vault="nowhere")
    assert oci_desk.records(key_name=body["name"]) == []


# ---------------------------------------------------------------------- deletion


def test_a_version_is_deleted_and_kept(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    [first] = versions(oci_desk, key)
    path = f"{KEYS}/{key['id']}/versions/{first['id']}"
    admin = oci_desk.admin
    admin.refuse("POST", f"{path}/schedule-deletion", {}, status=400, part=CURRENT)
    admin.accept("POST", f"{KEYS}/{key['id']}/versions", {"is_native": True}, 201)
    for days in (6, 31, 0, -1):
        admin.refuse("POST", f"{path}/schedule-deletion", {"days": days}, status=400, part="must be 7 to 30")
    admin.refuse("POST", f"{path}/cancel-deletion", status=409, part="needs it to be PENDING_DELETION")
    scheduled = admin.accept("POST", f"{path}/schedule-deletion", {"days": 9})
    assert state_of(scheduled) == "SCHEDULING_DELETION"
    assert scheduled["id"] == first["id"]
    pending = oci_desk.settled_version(key, first, "PENDING_DELETION")
    there = oci_vault.sdk.get_key_version(key["oci_params"]["key_id"], ocid_of(first)).data
    assert there.lifecycle_state == "PENDING_DELETION"
    assert pending["oci_key_version_params"]["time_of_deletion"][:19] == there.time_of_deletion.isoformat()[:19]
    admin.refuse("POST", f"{path}/schedule-deletion", {"days": 20}, status=409, part="cancel its deletion")
    cancelled = admin.accept("POST", f"{path}/cancel-deletion")
    assert state_of(cancelled) == "CANCELLING_DELETION"
    assert "time_of_deletion" not in cancelled["oci_key_version_params"]
    assert state_of(admin.accept("POST", f"{path}/schedule-deletion")) == "SCHEDULING_DELETION"
    oci_desk.settled_version(key, first, "PENDING_DELETION")
    admin.accept("POST", f"{path}/cancel-deletion")
    oci_desk.settled_version(key, first, "ENABLED")
    for action in ("schedule-deletion", "cancel-deletion"):
        admin.refuse(
            "POST", f"{KEYS}/{key['id']}/versions/{key['id']}/{action}", status=404, part="no such key version"
        )
    oci_desk.act(key, "schedule-deletion")
    admin.refuse("POST", f"{path}/schedule-deletion", {}, status=409, part="the key is")


def test_a_version_that_became_current_elsewhere_is_kept(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    """What OCI says of a current version that is not known as such here, in the words that clients look for."""
    key = oci_desk.made(oci_vault)
    made = oci_vault.sdk.create_key_version(key["oci_params"]["key_id"]).data
    oci_desk.refresh(key)
    [found] = versions(oci_desk, key, version_id=made.id)
    execute(oci_desk.server, f"UPDATE cckm_oci_keys SET current_version_ocid = 'x' WHERE id = '{key['id']}'")
    path = f"{KEYS}/{key['id']}/versions/{found['id']}/schedule-deletion"
    oci_desk.admin.refuse("POST", path, {}, status=400, part=CURRENT)


# ---------------------------------------------------------------------- rights, approval, plans, the log


def test_rights_are_those_of_the_vault(oci_desk: OciDesk) -> None:
    vault = oci_desk.vault()
    key = oci_desk.made(vault)
    add(oci_desk, key, is_native=True)
    first = versions(oci_desk, key)[-1]
    user, user_id = oci_desk.user("CCKM Users", "Key Admins")
    own = local_key(user)
    oci_desk.admin.ask("DELETE", f"/usermgmt/groups/Key%20Admins/users/{user_id}")
    others = local_key(oci_desk.admin)
    many = f"{KEYS}/{key['id']}/versions"
    one = f"{many}/{first['id']}"
    native, byok = {"is_native": True}, {"is_native": False, "source_key_identifier": own["id"]}

    def status(method: str, where: str, body: Any = None) -> int:
        return int(user.ask(method, where, body).status_code)

    body = upload_body(oci_desk, vault, own["id"])
    assert status("GET", many) == status("GET", one) == status("POST", many, native) == 404
    assert status("POST", UPLOAD, body) == 404
    oci_desk.permit(vault, user_id, "view")
    assert status("GET", many) == status("GET", one) == 200
    assert status("POST", many, native) == status("POST", many, byok) == status("POST", UPLOAD, body) == 403
    assert status("POST", f"{one}/schedule-deletion") == status("POST", f"{one}/cancel-deletion") == 403
    oci_desk.permit(vault, user_id, "keyrotatetonative")
    assert (status("POST", many, native), status("POST", many, byok)) == (201, 403)
    oci_desk.permit(vault, user_id, "keyrotatetonative", permit=False)
    oci_desk.permit(vault, user_id, "keyrotatetobyok", "keyupload", "keydelete", "keycanceldelete")
    assert (status("POST", many, native), status("POST", many, byok)) == (403, 201)
    assert status("POST", UPLOAD, body) == 201
    user.refuse("POST", many, byok | {"source_key_identifier": others["id"]}, status=404, part="no such local key")
    user.refuse("POST", UPLOAD, body | {"source_key_identifier": others["name"]}, status=404, part="no such local key")
    oci_desk.settled(key)
    assert status("POST", f"{one}/schedule-deletion") == status("POST", f"{one}/cancel-deletion") == 200
    user.close()


def test_a_protected_vault_needs_more_people(oci_desk: OciDesk) -> None:
    vault = oci_desk.vault()
    key = oci_desk.made(vault)
    add(oci_desk, key, is_native=True)
    first = versions(oci_desk, key)[-1]
    path = f"{KEYS}/{key['id']}/versions/{first['id']}"
    oci_desk.protect(vault)
    told = oci_desk.admin.refuse("POST", f"{path}/schedule-deletion", {}, status=403, part="needs 2 people to agree")
    open_now = oci_desk.admin.accept("GET", APPROVALS, query={"limit": -1})["resources"]
    [wanted] = [each for each in open_now if each["id"] in told]
    assert wanted["action"] == "schedule-oci-key-version-deletion"
    other, _ = oci_desk.user("CCKM Admins")
    other.accept("POST", f"{APPROVALS}/{wanted['id']}/approve", {})
    assert state_of(oci_desk.admin.accept("POST", f"{path}/schedule-deletion", {})) == "SCHEDULING_DELETION"
    other.close()


def test_plans_tell_and_change_nothing(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    add(oci_desk, key, is_native=True)
    now, before = versions(oci_desk, key)
    source = local_key(oci_desk.admin)
    many = f"{KEYS}/{key['id']}/versions"

    def plan(path: str, body: Any = None) -> Any:
        return oci_desk.admin.accept("POST", PLAN, {"method": "POST", "path": f"/api/v1{path}", "body": body})

    told = plan(many, {"is_native": True})
    assert [each["effect"] for each in told["effects"]] == ["oci-key-version.add"]
    assert told["permissions"][0]["actions"] == ["keyrotatetonative", "view"]
    told = plan(many, {"is_native": False, "source_key_identifier": source["id"]})
    assert f"of the local key {source['name']}" in told["effects"][0]["message"]
    assert told["permissions"][0]["actions"] == ["keyrotatetobyok", "view"]
    told = plan(UPLOAD, upload_body(oci_desk, oci_vault, source["id"]))
    assert told["effects"][0]["effect"] == "oci-key.upload"
    told = plan(f"{many}/{before['id']}/schedule-deletion", {"days": 9})
    assert told["effects"][0]["effect"] == "oci-key-version.schedule-deletion"
    assert told["effects"][0]["undo"] == "cancel-deletion"
    assert told["undo_until"]
    assert told["irreversible"]
    told = plan(f"{many}/{now['id']}/schedule-deletion")
    assert (told["allowed"], told["refusal"]["status"]) == (False, 400)
    assert versions(oci_desk, key) == [now, before]


def test_every_change_is_in_the_log_and_no_material_is(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    material = "5c" * 32
    source = local_key(oci_desk.admin, material=material)
    made = add(oci_desk, key, is_native=False, source_key_identifier=source["id"])

    def records(ident: str) -> list[Any]:
        query = {"limit": 50, "object_id": ident, "service": "cckm"}
        return list(oci_desk.admin.accept("GET", "/audit/records", query=query)["resources"])

    told = records(made["id"])
    assert sorted(each["details"]["stage"] for each in told) == ["begun", "done"]
    assert {each["details"]["source_key_id"] for each in told} == {source["id"]}
    uploaded = upload(oci_desk, oci_vault, source["id"])
    assert sorted(each["details"]["stage"] for each in records(uploaded["id"])) == ["begun", "done"]
    text = str(records(made["id"]) + records(uploaded["id"]))
    text += oci_desk.server.log.read_text(errors="replace")
    for form in (material, base64.b64encode(bytes.fromhex(material)).decode()):
        assert form not in text
    assert execute(oci_desk.server, "SELECT * FROM cckm_sealed WHERE kind = 'oci-intent'") == []


@pytest.mark.parametrize("operation", ["CreateKeyVersion", "ImportKey"])
def test_throttling_is_told_in_words_that_clients_know(
    oci_desk: OciDesk, oci_vault: OciManaged, oci_board: Switchboard, operation: str
) -> None:
    key = oci_desk.made(oci_vault)
    source = local_key(oci_desk.admin)
    oci_board.fault_add(kind="status", status=429, retry_after_s=77, service="ocikms", operation=operation, count=1)
    if operation == "ImportKey":
        answer = oci_desk.admin.ask("POST", UPLOAD, upload_body(oci_desk, oci_vault, source["id"]))
    else:
        answer = oci_desk.admin.ask("POST", f"{KEYS}/{key['id']}/versions", {"is_native": True})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "77")
    assert "TooManyRequests" in answer.json()["message"]
    assert len(versions(oci_desk, key)) == 1
