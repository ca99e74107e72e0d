"""Versions and uploads while things go wrong: the server ends in the middle, OCI does not answer, or shows it late."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from claviger.switches.client import Switchboard
from tests.agreeing import finished, open_intents
from tests.desk import execute, still, struck
from tests.oci_plane import KEYS, OciDesk, OciManaged, rough_oci_desk_on, state_of
from tests.service.test_cckm_oci_versions import UPLOAD, exported, local_key, ocid_of, upload_body, versions

SOON_S = 60.0
POINTS = ("intended", "changed", "acted")
NATIVE, LOCAL, UPLOADED = "add-version", "add-version of a local key", "upload"
SCHEDULED, CANCELLED = "version-schedule-deletion", "version-cancel-deletion"
OPERATIONS = (NATIVE, LOCAL, UPLOADED, SCHEDULED, CANCELLED)
CALLS = {
    NATIVE: "CreateKeyVersion",
    LOCAL: "ImportKeyVersion",
    UPLOADED: "ImportKey",
    SCHEDULED: "ScheduleKeyVersionDeletion",
    CANCELLED: "CancelKeyVersionDeletion",
}
"""What OCI is asked for by each operation."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def rough(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciDesk]:
    yield from rough_oci_desk_on(request.param, request, tmp_path_factory.mktemp("rough-oci-versions"))


@pytest.fixture(scope="module")
def vault(rough: OciDesk) -> OciManaged:
    return rough.vault()


@pytest.fixture
def switches(rough: OciDesk) -> Iterator[Switchboard]:
    yield rough.board()
    still(rough.board())


class Scene:
    """A key with two versions, and a local key; the older version waits for its deletion where that is needed."""

    def __init__(self, desk: OciDesk, vault: OciManaged, operation: str) -> None:
        self.desk, self.vault, self.operation = desk, vault, operation
        self.source = local_key(desk.admin)
        self.key = desk.made(vault)
        self.versions = f"{KEYS}/{self.key['id']}/versions"
        made = desk.admin.accept("POST", self.versions, {"is_native": True}, 201)
        desk.settled_version(self.key, made, "ENABLED")
        self.old = versions(desk, self.key)[-1]
        self.one = f"{self.versions}/{self.old['id']}"
        self.body = upload_body(desk, vault, self.source["id"])
        if operation == CANCELLED:
            desk.admin.accept("POST", f"{self.one}/schedule-deletion")
            desk.settled_version(self.key, self.old, "PENDING_DELETION")

    def ask(self) -> httpx.Response:
        """The answer to the operation, whatever it is."""
        path, body = {
            NATIVE: (self.versions, {"is_native": True}),
            LOCAL: (self.versions, {"is_native": False, "source_key_identifier": self.source["id"]}),
            UPLOADED: (UPLOAD, self.body),
            SCHEDULED: (f"{self.one}/schedule-deletion", None),
            CANCELLED: (f"{self.one}/cancel-deletion", None),
        }[self.operation]
        return self.desk.admin.ask("POST", path, body)

    def has_happened(self) -> bool:
        """Whether OCI shows the operation, once, and the records the same as OCI."""
        desk = self.desk
        assert execute(desk.server, "SELECT * FROM cckm_sealed WHERE kind = 'oci-intent'") == []
        if self.operation == UPLOADED:
            there = self.vault.keys_in_oci(self.body["name"])
            found = desk.records(key_name=self.body["name"])
            assert [each.id for each in there] == [each["oci_params"]["key_id"] for each in found]
            assert len(there) == 1
            self._check_upload(desk.settled(found[0], "ENABLED"))
            return True
        if self.operation in (NATIVE, LOCAL):
            return self._has_rotated()
        wanted = "PENDING_DELETION" if self.operation == SCHEDULED else "ENABLED"
        desk.settled_version(self.key, self.old, wanted)
        there = self.vault.sdk.get_key_version(self.key["oci_params"]["key_id"], ocid_of(self.old)).data
        return bool(there.lifecycle_state == wanted)

    def _has_rotated(self) -> bool:
        there = self.vault.sdk.list_key_versions(self.key["oci_params"]["key_id"]).data
        found = versions(self.desk, self.key)
        assert {each.id for each in there} == {ocid_of(each) for each in found}
        current = self.vault.in_oci(self.key).current_key_version
        assert self.desk.read(self.key)["oci_params"]["current_key_version"] == current
        newest = self.desk.settled_version(self.key, found[0], "ENABLED")
        assert ocid_of(newest) == current
        if self.operation == LOCAL:
            assert newest["source_key_identifier"] == self.source["id"]
            assert newest["key_material_origin"] == "cckm"
            assert exported(self.desk, self.vault, self.key).hex() == self._material()
        return len(there) == 3

    def _check_upload(self, key: Any) -> None:
        assert key["key_material_origin"] == "cckm"
        [first] = versions(self.desk, key)
        assert (first["source_key_identifier"], first["source_key_tier"]) == (self.source["id"], "local")
        assert exported(self.desk, self.vault, key).hex() == self._material()

    def _material(self) -> str:
        return str(self.desk.admin.accept("POST", f"/vault/keys2/{self.source['id']}/export")["material"])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_server_that_is_killed_anywhere_finishes_it_once(rough: OciDesk, vault: OciManaged, operation: str) -> None:
    for point in POINTS:
        scene = Scene(rough, vault, operation)
        kind = operation.partition(" ")[0]
        rough.board().fault_add(kind="crash", service="cckm", operation=f"oci-key-{kind}:{point}")
        with pytest.raises(httpx.TransportError):
            scene.ask()
        rough.server.kill()
        rough.admin.close()
        rough.server.start()
        assert finished(rough.server, SOON_S) == [], point
        assert scene.has_happened(), point


@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_answer_that_is_lost_is_asked_for_by_the_token(
    rough: OciDesk, vault: OciManaged, switches: Switchboard, operation: str
) -> None:
    scene = Scene(rough, vault, operation)
    switches.fault_add(kind="drop", service="ocikms", operation=CALLS[operation], count=1)
    answer = scene.ask()
    assert answer.status_code in (200, 201), answer.text
    assert scene.has_happened()
    assert open_intents(rough.server) == []


@pytest.mark.parametrize("operation", [LOCAL, UPLOADED, SCHEDULED])
def test_what_is_not_known_stays_open_and_is_finished(
    rough: OciDesk, vault: OciManaged, switches: Switchboard, operation: str
) -> None:
    scene = Scene(rough, vault, operation)
    switches.fault_add(kind="status", status=503, service="ocikms", operation=CALLS[operation])
    answer = scene.ask()
    assert answer.status_code == 504, answer.text
    again = scene.ask()
    assert (again.status_code, "it waits: " in again.json()["message"]) == (409, True)
    switches.faults_clear()
    assert finished(rough.server, SOON_S) == []
    assert scene.has_happened()


def test_a_version_that_cannot_be_looked_at_is_looked_at_again(
    rough: OciDesk, vault: OciManaged, switches: Switchboard
) -> None:
    key = rough.made(vault)
    switches.fault_add(kind="status", status=500, service="ocikms", operation="GetKeyVersion", count=6)
    made = rough.admin.accept("POST", f"{KEYS}/{key['id']}/versions", {"is_native": True}, 201)
    assert state_of(made) == "CREATING"
    rough.settled_version(key, made, "ENABLED")


def test_an_upload_knows_its_first_version_even_if_that_is_not_shown_yet(
    rough: OciDesk, vault: OciManaged, switches: Switchboard
) -> None:
    source = local_key(rough.admin)
    switches.fault_add(kind="status", status=500, service="ocikms", operation="GetKeyVersion", count=6)
    made = rough.admin.accept("POST", UPLOAD, upload_body(rough, vault, source["id"]), 201)
    [first] = versions(rough, made)
    assert ocid_of(first) == made["oci_params"]["current_key_version"]
    assert (first["source_key_identifier"], state_of(first)) == (source["id"], "CREATING")
    rough.settled_version(made, first, "ENABLED")
    rough.settled(made, "ENABLED")


def test_a_version_that_was_met_meanwhile_keeps_the_id_that_it_was_to_have(
    rough: OciDesk, vault: OciManaged, switches: Switchboard
) -> None:
    scene = Scene(rough, vault, LOCAL)
    held = switches.fault_add(kind="delay", delay_s=40, service="cckm", operation="oci-key-add-version:acted", count=1)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(scene.ask)
        struck(switches, held)
        give_up_at = time.monotonic() + SOON_S
        while len(versions(rough, scene.key)) < 3:
            assert time.monotonic() < give_up_at
            rough.refresh(scene.key)
        [met] = [each for each in versions(rough, scene.key) if each["key_material_origin"] != "native"]
        assert (met["key_material_origin"], met["source_key_identifier"]) == ("unknown", "")
        switches.fault_remove(held)
        made = answer.result(SOON_S).json()
    assert made["id"] != met["id"]
    assert ocid_of(made) == ocid_of(met)
    assert scene.has_happened()
    rough.admin.refuse("GET", f"{scene.versions}/{met['id']}", status=404)


def test_a_cloud_that_refuses_leaves_nothing_open(rough: OciDesk, vault: OciManaged, switches: Switchboard) -> None:
    scene = Scene(rough, vault, LOCAL)
    vault.sdk.disable_key(scene.key["oci_params"]["key_id"])
    answer = scene.ask()
    assert (answer.status_code, "IncorrectState" in answer.json()["message"]) == (409, True)
    assert open_intents(rough.server) == []
    assert execute(rough.server, "SELECT * FROM cckm_sealed WHERE kind = 'oci-intent'") == []
    rough.settled(scene.key, "DISABLED")
    assert len(versions(rough, scene.key)) == 2
