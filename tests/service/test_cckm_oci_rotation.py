"""Rotation of OCI keys by the scheduler: linked to a job, rotated when it is time, once a slot (CCKM, OCI §5.10)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.agreeing import finished
from tests.desk import still
from tests.oci_plane import DAY_S, KEYS, OciDesk, OciManaged, oci_desk_on, rough_oci_desk_on
from tests.service.test_cckm_oci_versions import exported, local_key, ocid_of, upload, versions
from tests.vaults import spare_name

CONFIGS, JOBS = "/scheduler/job-configs", "/scheduler/jobs"
NOTICES = "/claviger/notices"
NEVER = "0 0 29 2 *"  # clocks are advanced here by months
SOON_S = 80.0


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def moving(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciDesk]:
    yield from oci_desk_on(request.param, request, tmp_path_factory.mktemp("rotating-oci"))


@pytest.fixture(scope="module")
def vault(moving: OciDesk) -> OciManaged:
    return moving.vault()


@pytest.fixture
def desk(moving: OciDesk) -> Iterator[OciDesk]:
    """With a clock that may be moved forward; it is not put back, since keys would be from the future then."""
    yield moving
    still_but_the_clock(moving)


def still_but_the_clock(desk: OciDesk) -> None:
    desk.board().faults_clear()


def config(desk: OciDesk, run_at: str = NEVER, **params: Any) -> Any:
    """A new job configuration."""
    body = {
        "name": spare_name("rotation"),
        "operation": "cckm_key_rotation",
        "run_at": run_at,
        "cckm_key_rotation_params": {"cloud_name": "oci", **params},
    }
    return desk.admin.accept("POST", CONFIGS, body, 201)


def link(desk: OciDesk, key: Any, job: Any, source: str = "native") -> Any:
    body = {"job_config_id": job["id"], "auto_rotate_key_source": source}
    return desk.act(key, "enable-auto-rotation", body)


def ended(desk: OciDesk, **query: Any) -> Any:
    """The only job that matches, once it has ended."""
    give_up_at = time.monotonic() + SOON_S
    while True:
        found = desk.admin.accept("GET", JOBS, query=query)["resources"]
        if len(found) == 1 and found[0]["status"] != "in_progress":
            return found[0]
        assert time.monotonic() < give_up_at, found
        time.sleep(0.1)


def run(desk: OciDesk, job: Any) -> Any:
    """Runs a configuration by hand; the job when it has ended."""
    started = desk.admin.accept("POST", f"{CONFIGS}/{job['id']}/run-now", status=201)
    return ended(desk, id=started["id"])


def count(desk: OciDesk, key: Any) -> int:
    """How many versions a key has, in the records and in OCI."""
    found = versions(desk, key, limit=-1)
    assert desk.read(key)["oci_params"]["current_key_version"] == ocid_of(found[0])
    return len(found)


def test_a_key_is_linked_to_a_job_and_let_go(desk: OciDesk, vault: OciManaged) -> None:
    key = desk.made(vault)
    assert (key["auto_rotate"], key["labels"]) == (False, {})
    job = config(desk, rotation_after="30d")
    assert job["job_config_params"] == {
        "cloud_name": "oci",
        "expiration": "",
        "expire_in": "",
        "rotation_after": "30d",
    }
    linked = link(desk, key, job)
    labels = {"job_config_id": job["id"], "auto_rotate_key_source": "native"}
    assert (linked["auto_rotate"], linked["labels"]) == (True, labels)
    assert [each["id"] for each in desk.records(job_config_id=job["id"])] == [key["id"]]
    assert desk.refresh(key)["labels"] == labels
    assert link(desk, key, config(desk), "ciphertrust")["labels"]["auto_rotate_key_source"] == "ciphertrust"
    let_go = desk.act(key, "disable-auto-rotation")
    assert (let_go["auto_rotate"], let_go["labels"]) == (False, {})
    assert desk.act(key, "disable-auto-rotation") == let_go
    link(desk, key, job)
    desk.admin.accept("DELETE", f"{CONFIGS}/{job['id']}", status=204)
    assert (desk.read(key)["auto_rotate"], desk.read(key)["labels"]) == (False, {})


def test_links_that_cannot_be_are_refused(desk: OciDesk, vault: OciManaged) -> None:
    key = desk.made(vault)
    job = config(desk)
    other = desk.admin.accept(
        "POST",
        CONFIGS,
        {
            "name": "nightly",
            "operation": "cckm_synchronization",
            "run_at": NEVER,
            "cckm_synchronization_params": {"cloud_name": "AzureCloud", "synchronize_all": True},
        },
        201,
    )

    def refuse(status: int, part: str, source: str, config_id: str = job["id"], of: Any = key) -> None:
        body = {"job_config_id": config_id, "auto_rotate_key_source": source}
        desk.refuse_act(of, "enable-auto-rotation", status, part, body)

    refuse(404, "no such job configuration", "native", key["id"])
    refuse(400, "must be of a job that rotates keys", "native", other["id"])
    refuse(400, "job_config_id: is required", "native", "")
    for source in ("hsm-luna", "dsm", "external-cm"):
        refuse(400, "must be native or ciphertrust: this server has no connection to", source)
    refuse(400, "must be native or ciphertrust", "x")
    curve = desk.made(vault, algorithm="ECDSA", length=0, curve_id="NIST_P256")
    refuse(400, "must be native: OCI takes uploads of AES and RSA keys alone", "ciphertrust", of=curve)
    user, user_id = desk.user("CCKM Users")
    desk.permit(vault, user_id, "view", "keyupdate")
    path, body = f"{KEYS}/{key['id']}/enable-auto-rotation", {"job_config_id": job["id"]}
    for source, right in (("native", "keyrotatetonative"), ("ciphertrust", "keyrotatetobyok")):
        asked = body | {"auto_rotate_key_source": source}
        user.refuse("POST", path, asked, status=403, part=right)
        desk.permit(vault, user_id, right)
        assert user.accept("POST", path, asked)["auto_rotate"] is True
        desk.permit(vault, user_id, right, permit=False)
    desk.permit(vault, user_id, "keyupdate", permit=False)
    user.refuse("POST", f"{KEYS}/{key['id']}/disable-auto-rotation", status=403, part="keyupdate")
    user.close()


@pytest.mark.parametrize(
    ("params", "part"),
    [
        ({}, "cckm_key_rotation_params.cloud_name: is required"),
        ({"cloud_name": "aws"}, "aws keys are not rotated yet; this server rotates keys of oci"),
        ({"cloud_name": "x"}, "is not a cloud"),
        ({"cloud_name": "oci", "rotation_after": "soon"}, "rotation_after: must be days or hours"),
        ({"cloud_name": "oci", "expire_in": "0d"}, "expire_in: must be days or hours"),
        ({"cloud_name": "oci", "expiration": "999999d"}, "expiration: must be days or hours"),
        (None, "cckm_key_rotation_params: is required"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(desk: OciDesk, params: Any, part: str) -> None:
    body = {"name": "r", "operation": "cckm_key_rotation", "run_at": NEVER, "cckm_key_rotation_params": params}
    desk.admin.refuse("POST", CONFIGS, body, status=400, part=part)


def test_parameters_are_changed_and_taken_away(desk: OciDesk) -> None:
    job = config(desk, rotation_after="30d", expire_in="12h")
    path = f"{CONFIGS}/{job['id']}"
    changed = desk.admin.accept("PATCH", path, {"cckm_key_rotation_params": {"rotation_after": "", "expiration": None}})
    params = {"cloud_name": "oci", "expiration": "", "expire_in": "12h", "rotation_after": ""}
    assert changed["job_config_params"] == params
    wrong = {"cckm_synchronization_params": {"synchronize_all": True}}
    desk.admin.refuse("PATCH", path, wrong, status=400, part="is not for cckm_key_rotation")
    assert desk.admin.accept("GET", path)["job_config_params"] == params
    offers = desk.admin.accept("GET", "/scheduler/operations")
    [offer] = [
        each
        for each in (offers if isinstance(offers, list) else offers["resources"])
        if each["name"] == "cckm_key_rotation"
    ]
    assert (offer["supported"], offer["clouds"]) == (True, ["oci"])


def test_keys_are_rotated_when_their_time_has_come(desk: OciDesk, vault: OciManaged) -> None:
    job = config(desk, rotation_after="30d")
    native, byok = desk.made(vault), desk.made(vault)
    rsa = upload(desk, vault, local_key(desk.admin, algorithm="RSA")["id"])
    disabled, free = desk.made(vault), desk.made(vault)
    link(desk, native, job)
    for key in (byok, rsa):
        link(desk, key, job, "ciphertrust")
    link(desk, disabled, job)
    desk.act(disabled, "disable")
    desk.settled(disabled, "DISABLED")
    assert run(desk, job)["message"] == "keys: 3 not due yet, 1 not ENABLED"
    desk.board().clock_advance(29 * DAY_S)
    desk.admin.accept("POST", f"{KEYS}/{native['id']}/versions", {"is_native": True}, 201)
    desk.board().clock_advance(1 * DAY_S)
    told = run(desk, job)
    assert (told["status"], told["message"]) == ("completed", "keys: 2 rotated, 1 not due yet, 1 not ENABLED")
    assert "synchronization_id" not in told
    assert [count(desk, each) for each in (native, byok, rsa, disabled, free)] == [2, 2, 2, 1, 1]
    newest = versions(desk, byok)[0]
    assert (newest["key_material_origin"], newest["source_key_tier"]) == ("cckm", "local")
    source = desk.admin.accept("GET", f"/vault/keys2/{newest['source_key_identifier']}")
    assert (source["algorithm"], source["size"], source["unexportable"]) == ("AES", 256, True)
    assert source["name"] == newest["source_key_name"]
    assert len(exported(desk, vault, byok)) == 32
    made = desk.admin.accept("GET", f"/vault/keys2/{versions(desk, rsa)[0]['source_key_identifier']}")
    assert (made["algorithm"], made["size"]) == ("RSA", 2048)
    assert run(desk, job)["message"] == "keys: 3 not due yet, 1 not ENABLED"
    audited = desk.admin.accept("GET", "/audit/records", query={"object_id": newest["id"], "limit": 10})["resources"]
    assert sorted(each["details"]["stage"] for each in audited) == ["begun", "done"]
    assert {each["details"]["job_id"] for each in audited} == {told["id"]}


def test_only_what_expires_soon_is_rotated(desk: OciDesk, vault: OciManaged) -> None:
    key = desk.made(vault)
    for params, end in (
        ({"expire_in": "10d"}, "not expiring soon"),
        ({"expire_in": "10d", "expiration": "11d"}, "not expiring soon"),
        ({"expire_in": "10d", "expiration": "10d", "rotation_after": "1d"}, "not due yet"),
        ({"expire_in": "10d", "expiration": "10d"}, "rotated"),
    ):
        job = config(desk, **params)
        link(desk, key, job)
        assert run(desk, job)["message"] == f"keys: 1 {end}", params
    assert count(desk, key) == 2


def test_the_scheduler_rotates_once_for_each_slot(desk: OciDesk, vault: OciManaged) -> None:
    noon = (datetime.now(UTC).hour + 12) % 24  # half a day away, so that no slot comes but those of the days below
    job = config(desk, f"0 {noon} * * *")
    key = desk.made(vault)
    link(desk, key, job)
    for days in (1, 2):
        desk.board().clock_advance(DAY_S)
        give_up_at = time.monotonic() + SOON_S
        while len(jobs := desk.admin.accept("GET", JOBS, query={"job_config_id": job["id"]})["resources"]) < days:
            assert time.monotonic() < give_up_at, jobs
            time.sleep(0.1)
        told = ended(desk, id=jobs[0]["id"])
        assert (told["status"], told["message"].partition("; ")[2] or told["message"]) == (
            "completed",
            "keys: 1 rotated",
        )
        assert count(desk, key) == 1 + days


def test_the_date_of_a_version_comes(desk: OciDesk, vault: OciManaged) -> None:
    key = desk.made(vault)
    many = f"{KEYS}/{key['id']}/versions"
    desk.admin.accept("POST", many, {"is_native": True}, 201)
    old = versions(desk, key)[-1]
    desk.admin.accept("POST", f"{many}/{old['id']}/schedule-deletion")
    desk.settled_version(key, old, "PENDING_DELETION")
    desk.board().clock_advance(8 * DAY_S)
    desk.settled_version(key, old, "DELETED")
    desk.admin.refuse("POST", f"{many}/{old['id']}/cancel-deletion", status=409, part="the version is DELETED")


def test_what_could_not_be_rotated_is_told(desk: OciDesk, vault: OciManaged) -> None:
    job = config(desk)
    assert run(desk, job)["message"] == "no keys are linked to this job"
    good, bad, byok = desk.made(vault), desk.made(vault), desk.made(vault)
    link(desk, good, job)
    link(desk, bad, job)
    link(desk, byok, job, "ciphertrust")
    for key in (bad, byok):  # behind our back
        vault.sdk.disable_key(key["oci_params"]["key_id"])
    before = desk.admin.accept("GET", "/vault/keys2", query={"limit": 1})["total"]
    heard = {"url": "https://localhost:1/hook", "types": ["failed-job"]}
    subscription = desk.admin.accept("POST", f"{NOTICES}/subscriptions", heard, 201)
    told = run(desk, job)
    [notice] = desk.admin.accept("GET", f"{NOTICES}/deliveries", query={"subscription_id": subscription["id"]})[
        "resources"
    ]
    assert (notice["type"], notice["data"]["kind"]) == ("failed-job", "oci-key-rotation")
    assert (notice["data"]["job_id"], notice["data"]["message"]) == (told["id"], told["message"])
    desk.admin.accept("DELETE", f"{NOTICES}/subscriptions/{subscription['id']}", status=204)
    assert told["status"] == "failed"
    assert told["message"].startswith("keys: 1 rotated, 2 failed; ")
    assert f"{bad['key_name']}: " in told["message"]
    assert "IncorrectState" in told["message"]
    assert [count(desk, each) for each in (good, bad, byok)] == [2, 1, 1]
    assert desk.admin.accept("GET", "/vault/keys2", query={"limit": 1})["total"] == before, "nothing uses it"
    desk.settled(bad, "DISABLED")
    desk.settled(byok, "DISABLED")
    assert run(desk, job)["message"] == "keys: 1 rotated, 2 not ENABLED"


# ---------------------------------------------------------------------- crashes


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def rough(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciDesk]:
    yield from rough_oci_desk_on(request.param, request, tmp_path_factory.mktemp("rough-oci-rotation"))


@pytest.mark.parametrize("source", ["native", "ciphertrust"])
def test_a_server_that_ends_in_a_rotation_rotates_each_key_once(rough: OciDesk, source: str) -> None:
    vault = rough.vault()
    for point, at in (("intended", 1), ("changed", 5), ("concluded", 2)):  # four of them at once
        job = config(rough)
        keys = [rough.made(vault) for _ in range(6)]
        for key in keys:
            link(rough, key, job, source)
        place = keys[at]["key_name"]
        rough.board().fault_add(kind="crash", service="cckm", operation=f"oci-key-add-version:{point}", place=place)
        with pytest.raises(httpx.TransportError):
            run(rough, job)
        rough.server.kill()
        rough.admin.close()
        rough.server.start()
        told = ended(rough, job_config_id=job["id"])
        assert finished(rough.server, SOON_S) == []
        assert (told["status"], told["message"]) == ("completed", "keys: 6 rotated"), point
        assert [count(rough, each) for each in keys] == [2] * 6, point
        made = vault.sdk
        assert [len(made.list_key_versions(each["oci_params"]["key_id"]).data) for each in keys] == [2] * 6
        if source == "ciphertrust":
            found = {versions(rough, each)[0]["source_key_identifier"] for each in keys}
            assert len(found) == 6
            assert all(rough.admin.accept("GET", f"/vault/keys2/{each}") for each in found)
    still(rough.board())
