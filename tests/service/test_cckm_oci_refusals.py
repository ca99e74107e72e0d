"""Every row of the contract's table of errors, against a real server (CCKM contract, OCI §12)."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from claviger.switches.client import Switchboard
from tests.agreeing import open_intents, until
from tests.oci_plane import EMBEDDED, KEYS, REGION, VAULTS, OciDesk, OciManaged, state_of
from tests.serving import NOTICED_WITHIN_S
from tests.vaults import spare_name

OCI = "/cckm/oci"
GONE = "0f0e0d0c-0000-4000-8000-00000000000a"
SOON_S = 60.0


def body(answer: httpx.Response, status: int, code_desc: str) -> str:
    """The message of a refusal with this status and kind."""
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert told["codeDesc"].startswith(code_desc), told
    return str(told["message"])


# ---------------------------------------------------------------------- what is not there


def test_an_unknown_id_is_not_found(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    asked: list[tuple[str, str, Any]] = [
        *((method, f"{KEYS}/{GONE}", {}) for method in ("GET", "PATCH", "DELETE")),
        *(("POST", f"{KEYS}/{GONE}/{action}", {}) for action in ("enable", "schedule-deletion", "refresh", "restore")),
        ("POST", f"{KEYS}/{GONE}/change-compartment", {"compartment_id": oci_desk.compartment()}),
        ("GET", f"{KEYS}/{GONE}/versions", None),
        ("POST", f"{KEYS}/{GONE}/versions", {"is_native": True}),
        ("GET", f"{KEYS}/{key['id']}/versions/{GONE}", None),
        ("POST", f"{KEYS}/{key['id']}/versions/{GONE}/schedule-deletion", {}),
        *((method, f"{VAULTS}/{GONE}", {}) for method in ("GET", "PATCH", "DELETE")),
        ("POST", f"{VAULTS}/{GONE}/update-acls", {"acls": []}),
        ("POST", KEYS, oci_desk.body(oci_vault) | {"vault": GONE}),
        ("POST", f"{OCI}/synchronization-jobs", {"vaults": [GONE]}),
        *(("GET", f"{OCI}/{kind}/{GONE}", None) for kind in ("synchronization-jobs", "reports", "tenancy")),
        *(("GET", f"{OCI}/{kind}/{GONE}", None) for kind in ("compartments", "issuers")),
        ("POST", f"{OCI}/get-subscribed-regions", {"connection": "nowhere"}),
        *(("GET", f"{KEYS}/{ocid}", None) for ocid in (key["oci_params"]["key_id"], oci_vault.ocid)),
    ]
    for method, path, given in asked:
        body(oci_desk.admin.ask(method, path, given), 404, "NCERRResourceNotFound")


def test_a_key_of_a_removed_vault_is_not_found(oci_desk: OciDesk) -> None:
    vault = oci_desk.vault()
    key = oci_desk.made(vault)
    (version,) = oci_desk.admin.accept("GET", f"{KEYS}/{key['id']}/versions")["resources"]
    oci_desk.admin.accept("DELETE", f"{VAULTS}/{vault.id}", status=204)
    for method, path in (
        ("GET", ""),
        ("POST", "/disable"),
        ("POST", "/refresh"),
        ("GET", "/versions"),
        ("GET", f"/versions/{version['id']}"),
    ):
        answer = oci_desk.admin.ask(method, f"{KEYS}/{key['id']}{path}")
        body(answer, 404, "NCERRResourceNotFound")
    assert vault.state(key) == "ENABLED", "nothing happens in OCI"


# ---------------------------------------------------------------------- what is wrong with the request


def test_what_is_not_valid_names_every_field(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    created = oci_desk.body(oci_vault) | {"algorithm": "AES", "length": 7, "protection_mode": "none"}
    upload = {name: created[name] for name in ("vault", "name", "compartment_id", "protection_mode")}
    cases: list[tuple[str, str, dict[str, Any], tuple[str, ...]]] = [
        ("POST", KEYS, created, ("length", "protection_mode")),
        ("POST", f"{OCI}/upload-key", upload | {"source_key_identifier": "x"}, ("protection_mode",)),
        ("POST", f"{KEYS}/{key['id']}/versions", {"is_native": False}, ("source_key_identifier",)),
        ("PATCH", f"{KEYS}/{key['id']}", {"display_name": "\a"}, ("display_name",)),
        ("POST", f"{KEYS}/{key['id']}/schedule-deletion", {"days": 6}, ("days",)),
        ("POST", f"{KEYS}/{key['id']}/schedule-deletion", {"days": 31}, ("days",)),
        ("POST", f"{KEYS}/{key['id']}/change-compartment", {"compartment_id": "x"}, ("compartment_id",)),
        ("POST", f"{OCI}/get-compartments", {"connection": EMBEDDED, "limit": -1}, ("limit",)),
    ]
    for method, path, given, fields in cases:
        told = body(oci_desk.admin.ask(method, path, given), 400, "NCERRBadRequest")
        first, *lines = told.splitlines()
        assert first == "Validation errors:", told
        assert sorted(line.partition(":")[0] for line in lines) == sorted(fields), told


def test_a_synchronization_is_of_some_vaults_or_of_all(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    path = f"{OCI}/synchronization-jobs"
    for given in ({}, {"vaults": []}, {"synchronize_all": False}, {"vaults": [oci_vault.id], "synchronize_all": True}):
        body(oci_desk.admin.ask("POST", path, given), 400, "NCERR")


# ---------------------------------------------------------------------- states


def test_a_wrong_state_is_a_conflict_whoever_finds_it_out(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    for action in ("enable", "cancel-deletion"):
        body(oci_desk.admin.ask("POST", f"{KEYS}/{key['id']}/{action}"), 409, "NCERRConflict")
    oci_vault.sdk.disable_key(key["oci_params"]["key_id"])
    told = body(oci_desk.admin.ask("POST", f"{KEYS}/{key['id']}/disable"), 409, "NCERRConflict")
    assert "IncorrectState" in told, "OCI's own word"
    oci_desk.settled(key, "DISABLED")
    told = body(oci_desk.admin.ask("POST", f"{KEYS}/{key['id']}/versions", {"is_native": True}), 409, "NCERRConflict")
    assert "DISABLED" in told


def test_the_current_version_is_not_deleted(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    path = f"{KEYS}/{key['id']}/versions"
    (first,) = oci_desk.admin.accept("GET", path)["resources"]
    text = "cannot be deleted because it is the current key version"
    told = body(oci_desk.admin.ask("POST", f"{path}/{first['id']}/schedule-deletion", {}), 400, "NCERRBadRequest")
    assert text in told
    second = oci_desk.admin.accept("POST", path, {"is_native": True}, 201)
    told = body(oci_desk.admin.ask("POST", f"{path}/{second['id']}/schedule-deletion", {"days": 7}), 400, "NCERR")
    assert text in told
    after = oci_desk.admin.accept("POST", f"{path}/{first['id']}/schedule-deletion", {"days": 7})
    assert state_of(after) == "SCHEDULING_DELETION"


# ---------------------------------------------------------------------- throttling


def test_what_oci_throttles_for_good_says_too_many_requests(
    oci_desk: OciDesk, oci_vault: OciManaged, oci_board: Switchboard
) -> None:
    key = oci_desk.made(oci_vault)
    oci_board.clock_freeze()  # or a slow machine might make the calls one a second
    oci_board.limits(oci_calls=1, retry_after=True)
    with ThreadPoolExecutor(12) as at_once:
        asked = [at_once.submit(_refreshed, oci_desk, key["id"]) for _ in range(12)]
        answers = [each.result() for each in asked]
    assert {each.status_code for each in answers} <= {200, 409, 429}
    refused = [each for each in answers if each.status_code == 429]
    assert refused, "a call a second is too little for so many"
    for answer in refused:
        assert "TooManyRequests" in body(answer, 429, "NCERRTooManyRequests")
        assert int(answer.headers["retry-after"]) >= 1
    oci_board.limits_off()
    oci_board.clock_reset()
    assert state_of(oci_desk.refresh(key)) == "ENABLED"


def _refreshed(desk: OciDesk, ident: str) -> httpx.Response:
    return desk.admin.ask("POST", f"{KEYS}/{ident}/refresh")


@pytest.mark.parametrize(
    ("operation", "method", "path", "given"),
    [
        ("CreateKey", "POST", KEYS, "key"),
        ("UpdateKey", "PATCH", "{key}", {"freeform_tags": {"a": "b"}}),
        ("DisableKey", "POST", "{key}/disable", None),
        ("ScheduleKeyDeletion", "POST", "{key}/schedule-deletion", {"days": 7}),
        ("CreateKeyVersion", "POST", "{key}/versions", {"is_native": True}),
        ("ListVaults", "POST", f"{OCI}/get-vaults", "place"),
        ("ListCompartments", "POST", f"{OCI}/get-compartments", {"connection": EMBEDDED}),
    ],
)
def test_every_kind_of_call_says_so(
    oci_desk: OciDesk,
    oci_vault: OciManaged,
    oci_board: Switchboard,
    operation: str,
    method: str,
    path: str,
    given: Any,
) -> None:
    key = oci_desk.made(oci_vault)
    fields = {
        "key": oci_desk.body(oci_vault),
        "place": {"connection": EMBEDDED, "region": REGION, "compartment_id": oci_desk.compartment()},
    }
    asked = fields[given] if isinstance(given, str) else given
    oci_board.fault_add(kind="status", status=429, retry_after_s=600, service="ocikms", operation=operation)
    answer = oci_desk.admin.ask(method, path.replace("{key}", f"{KEYS}/{key['id']}"), asked)
    assert "TooManyRequests" in body(answer, 429, "NCERRTooManyRequests")
    assert answer.headers["retry-after"] == "600"
    assert open_intents(oci_desk.server) == [], "a throttled call did nothing"


# ---------------------------------------------------------------------- who asks


class Person:
    """A user of the embedded OCI, a connection that signs as he does, and a vault with a key reached by that."""

    def __init__(self, desk: OciDesk, folder: Path) -> None:
        self.desk = desk
        self.name = spare_name("person")
        desk.server.command("oci", "user", "create", self.name)
        desk.server.command("oci", "user", "grant", self.name, "manage", "/")
        pem = folder / f"{self.name}.pem"
        made = desk.server.command("oci", "api-key", "create", self.name, "--out", str(pem))
        self.fingerprint = str(made["fingerprint"])
        self.user_ocid = str(desk.server.command("oci", "user", "show", self.name)["id"])
        self.connection = spare_name("connection")
        given = {
            "name": self.connection,
            "user_ocid": self.user_ocid,
            "tenancy_ocid": desk.tenancy,
            "fingerprint": self.fingerprint,
            "region": REGION,
            "credentials": {"key_file": pem.read_text()},
            "realm_domain": f"localhost:{desk.server.port}",
            "server_certificate": (desk.server.data / "tls" / "ca.pem").read_text(),
        }
        desk.admin.accept("POST", "/connectionmgmt/services/oci/connections", given, 201)
        self.vault = desk.vault()
        desk.admin.accept("PATCH", f"{VAULTS}/{self.vault.id}", {"connection": self.connection})
        self.key = desk.made(self.vault)
        self.local = spare_name("local")
        desk.admin.accept("POST", "/vault/keys2", {"name": self.local, "algorithm": "AES", "size": 256}, 201)
        (self.version,) = desk.admin.accept("GET", f"{KEYS}/{self.key['id']}/versions")["resources"]
        desk.admin.accept("POST", f"{KEYS}/{self.key['id']}/versions", {"is_native": True}, 201)

    def asked(self) -> Iterator[tuple[str, str, Any]]:
        """Every call that asks OCI as this person, and none of which can succeed without it."""
        place = {"connection": self.connection, "region": REGION, "compartment_id": self.desk.compartment()}
        key, connection = f"{KEYS}/{self.key['id']}", {"connection": self.connection}
        yield "POST", f"{OCI}/get-vaults", place
        yield "POST", f"{OCI}/add-vaults", {**connection, "region": REGION, "vault_id": [self.vault.ocid]}
        yield "POST", f"{OCI}/storage/list-buckets", {**connection, "compartment_id": self.desk.compartment()}
        yield "POST", f"{OCI}/add-compartments", {**connection, "compartment_id": [self.desk.compartment("staging")]}
        yield "POST", f"{key}/refresh", None
        yield "PATCH", key, {"freeform_tags": {"a": "b"}}
        for action in ("disable", "schedule-deletion"):
            yield "POST", f"{key}/{action}", {}
        yield "POST", f"{key}/change-compartment", {"compartment_id": self.desk.compartment("staging")}
        yield "POST", f"{key}/versions", {"is_native": True}
        yield "POST", f"{key}/versions", {"is_native": False, "source_key_identifier": self.local}
        yield "POST", f"{key}/versions/{self.version['id']}/schedule-deletion", {}
        yield "POST", KEYS, self.desk.body(self.vault)
        upload = {name: self.desk.body(self.vault)[name] for name in ("vault", "name", "protection_mode")}
        more = {"compartment_id": self.desk.compartment(), "source_key_identifier": self.local}
        yield "POST", f"{OCI}/upload-key", {**upload, **more}

    def asked_of_identity(self) -> Iterator[tuple[str, str, Any]]:
        """What Identity answers to everybody who is known to it."""
        for path in ("get-subscribed-regions", "get-compartments", "get-defined-tags", "add-tenancy"):
            yield "POST", f"{OCI}/{path}", {"connection": self.connection}


@pytest.fixture
def person(oci_desk: OciDesk, tmp_path: Path) -> Person:
    return Person(oci_desk, tmp_path)


def is_as_before(person: Person) -> bool:
    """Whether nothing was changed, and nothing is still to be done."""
    desk, vault, key = person.desk, person.vault, person.key
    shown = vault.in_oci(key)
    return (
        open_intents(desk.server) == []
        and state_of(desk.read(key)) == shown.lifecycle_state == "ENABLED"
        and len(vault.sdk.list_key_versions(key["oci_params"]["key_id"]).data) == 2
        and shown.compartment_id == key["oci_params"]["compartment_id"]
    )


def job_of(person: Person) -> Any:
    """A synchronisation of the person's vault, at its end."""
    desk = person.desk
    asked = {"vaults": [person.vault.id]}
    job = desk.admin.accept("POST", f"{OCI}/synchronization-jobs", asked, 201)
    path = f"{OCI}/synchronization-jobs/{job['id']}"
    assert until(lambda: desk.admin.accept("GET", path)["overall_status"] != "in_progress", SOON_S)
    return desk.admin.accept("GET", path)


def test_an_authentication_that_oci_refuses_is_never_a_401(person: Person) -> None:
    desk = person.desk
    for method, path, given in person.asked_of_identity():
        assert desk.admin.ask(method, path, given).status_code in (200, 201), path
    assert job_of(person)["overall_status"] == "completed"
    desk.server.command("oci", "api-key", "delete", person.name, person.fingerprint)
    time.sleep(NOTICED_WITHIN_S[desk.server.kind])
    for method, path, given in (*person.asked(), *person.asked_of_identity()):
        answer = desk.admin.ask(method, path, given)
        assert "NotAuthenticated" in body(answer, 403, "NCERRForbidden"), path
    told = desk.admin.accept("POST", f"/connectionmgmt/services/oci/connections/{person.connection}/test", {})
    assert told["connection_ok"] is False
    job = job_of(person)
    assert job["overall_status"] == "failed"
    assert "NotAuthenticated" in str(job)
    assert is_as_before(person)
    assert desk.admin.ask("GET", "/auth/self/user").status_code == 200, "nobody has lost his token"


def test_a_right_that_is_missing_in_oci_is_a_403_with_its_words(person: Person) -> None:
    desk = person.desk
    desk.server.command("oci", "grant", "remove", person.name, "/")
    time.sleep(NOTICED_WITHIN_S[desk.server.kind])
    for method, path, given in person.asked():
        answer = desk.admin.ask(method, path, given)
        assert answer.status_code in (400, 403), f"{path}: {answer.status_code} {answer.text}"
        assert "NotFound" in answer.json()["message"], "OCI's own word, which says no more"
        assert "NotFound" not in answer.json()["codeDesc"], "or the record would be taken for gone"
    job = job_of(person)
    assert job["overall_status"] == "failed"
    assert is_as_before(person)
    assert desk.read(person.key)["gone"] is False


def test_an_action_that_the_acl_does_not_give_is_a_403(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    (version,) = oci_desk.admin.accept("GET", f"{KEYS}/{key['id']}/versions")["resources"]
    user, user_id = oci_desk.user("CCKM Users")
    oci_desk.permit(oci_vault, user_id, "view")
    path = f"{KEYS}/{key['id']}"
    upload = {name: oci_desk.body(oci_vault)[name] for name in ("vault", "name", "protection_mode", "compartment_id")}
    job = {"job_config_id": str(uuid.uuid4()), "auto_rotate_key_source": "native"}
    asked: list[tuple[str, str, Any]] = [
        ("POST", KEYS, oci_desk.body(oci_vault)),
        ("POST", f"{OCI}/upload-key", upload | {"source_key_identifier": "x"}),
        ("PATCH", path, {}),
        ("DELETE", path, None),
        ("POST", f"{path}/versions", {"is_native": True}),
        ("POST", f"{path}/versions", {"is_native": False, "source_key_identifier": "x"}),
        ("POST", f"{path}/versions/{version['id']}/schedule-deletion", {}),
        ("POST", f"{path}/versions/{version['id']}/cancel-deletion", None),
        ("POST", f"{path}/enable-auto-rotation", job),
        ("POST", f"{path}/disable-auto-rotation", None),
        ("POST", f"{OCI}/synchronization-jobs", {"vaults": [oci_vault.id]}),
        *(("POST", f"{path}/{action}", None) for action in ("enable", "disable", "refresh", "restore")),
        *(("POST", f"{path}/{action}", {}) for action in ("schedule-deletion", "cancel-deletion", "delete-backup")),
        ("POST", f"{path}/change-compartment", {"compartment_id": oci_desk.compartment("staging")}),
    ]
    for method, where, given in asked:
        body(user.ask(method, where, given), 403, "NCERRForbidden")
    user.close()
