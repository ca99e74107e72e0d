"""Plans of every changing call of the OCI half: each says what it does, and nothing happens, here or in OCI."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from claviger.cckm.planning.rules import ONLY_ASKS
from tests.desk import execute
from tests.oci_plane import DAY_S, EMBEDDED, KEYS, REGION, VAULTS, OciDesk, oci_desk_on
from tests.vaults import spare_name

PLAN = "/claviger/plan"
CONNECTIONS = "/connectionmgmt/services/oci/connections"
LEAVING = "/claviger/leaving"
PATIENCE_S = 60.0
MOVES_BY_ITSELF = ("audit", "meta", "cckm_sessions", "cckm_tokens")
"""Tables that reading moves: the log of what was shown, tokens that were used."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciDesk]:
    yield from oci_desk_on(request.param, request, tmp_path_factory.mktemp("planning-oci"))


def dump(desk: OciDesk) -> dict[str, list[str]]:
    """Every row of every table, but of those that reading moves. The cloud's own are among them."""
    tables = (
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        if desk.server.database_url is None
        else "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    names = [row[0] for row in execute(desk.server, tables)]
    kept = sorted(name for name in names if not any(word in name for word in MOVES_BY_ITSELF))
    return {name: sorted(map(repr, execute(desk.server, f'SELECT * FROM "{name}"'))) for name in kept}


def leaving_key(desk: OciDesk, vault: Any, **more: Any) -> Any:
    key = desk.made(vault, **more)
    desk.act(key, "schedule-deletion", {"days": 7})
    return desk.settled(key, "PENDING_DELETION")


def running(desk: OciDesk) -> bool:
    """Whether a job works in the background."""
    return execute(desk.server, "SELECT COUNT(*) FROM job_runs WHERE state = 'in_progress'")[0][0] > 0


def until(check: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not check():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def objects(desk: OciDesk) -> dict[str, tuple[dict[str, str], Any]]:
    """By method and path: the segments of a real object that allows it, and a body that is good."""
    admin = desk.admin
    private = desk.vault("VIRTUAL_PRIVATE", bucket=True)
    dead, kept = leaving_key(desk, private, protection_mode="HSM"), leaving_key(desk, private)
    desk.board().clock_advance(8 * DAY_S)
    dead, kept = desk.settled(dead, "DELETED"), desk.settled(kept, "DELETED")
    vault, removable, unmanaged = desk.vault(), desk.vault(), desk.vault()
    admin.accept("DELETE", f"{VAULTS}/{unmanaged.id}", status=204)
    enabled, disabled, pending = desk.made(vault), desk.made(vault), leaving_key(desk, vault)
    desk.act(disabled, "disable")
    desk.settled(disabled, "DISABLED")
    versions = f"{KEYS}/{enabled['id']}/versions"
    first = admin.accept("GET", versions)["resources"][0]
    second = admin.accept("POST", versions, {"is_native": True}, 201)
    desk.settled_version(enabled, second, "ENABLED")
    third = admin.accept("POST", versions, {"is_native": True}, 201)
    desk.settled_version(enabled, third, "ENABLED")
    admin.accept("POST", f"{versions}/{first['id']}/schedule-deletion")
    desk.settled_version(enabled, first, "PENDING_DELETION")
    local = admin.accept("POST", "/vault/keys2", {"name": spare_name("local"), "algorithm": "AES", "size": 256}, 201)
    tenancy = admin.accept("POST", "/cckm/oci/add-tenancy", {"connection": EMBEDDED})
    compartments = {"connection": EMBEDDED, "compartment_id": [desk.compartment()]}
    compartment = admin.accept("POST", "/cckm/oci/add-compartments", compartments)["compartments"][0]
    report = admin.accept("POST", "/cckm/oci/reports", {"name": "aging", "report_type": "key-aging"}, 201)
    rotating = {
        "name": spare_name("rotation"),
        "operation": "cckm_key_rotation",
        "run_at": "0 0 29 2 *",
        "cckm_key_rotation_params": {"cloud_name": "oci"},
    }
    config = admin.accept("POST", "/scheduler/job-configs", rotating, 201)
    linking = {"job_config_id": config["id"], "auto_rotate_key_source": "native"}
    rotated = desk.act(desk.made(vault), "enable-auto-rotation", linking)
    sync = "/cckm/oci/synchronization-jobs"
    job = admin.accept("POST", sync, {"vaults": [removable.id]}, 201)
    until(lambda: not running(desk))
    made = desk.connect()
    connection = next(each for each in admin.accept("GET", CONNECTIONS)["resources"] if each["name"] == made)
    told = {
        "user_ocid": desk.config["user"],
        "tenancy_ocid": desk.config["tenancy"],
        "fingerprint": desk.config["fingerprint"],
        "region": desk.config["region"],
        "credentials": {"key_file": Path(desk.config["key_file"]).read_text()},
        "realm_domain": f"localhost:{desk.server.port}",
    }
    at = {"id": enabled["id"]}
    one = f"{KEYS}/{{id}}"
    of_one = f"{one}/versions/{{versionID}}"
    adding = {"connection": EMBEDDED, "region": REGION, "vault_id": [unmanaged.ocid]}
    acls = {"acls": [{"group": "CCKM Users", "permit": True, "actions": ["view"]}]}
    uploading = {key: value for key, value in desk.body(vault).items() if key not in ("algorithm", "length")}
    return {
        "POST /vault/keys2": ({}, {"name": spare_name("local"), "algorithm": "AES", "size": 128}),
        "DELETE /vault/keys2/{id}": ({"id": local["id"]}, None),
        "POST /cckm/oci/add-compartments": ({}, {**compartments, "compartment_id": [desk.compartment("staging")]}),
        "DELETE /cckm/oci/compartments/{id}": ({"id": compartment["id"]}, None),
        "POST /cckm/oci/add-tenancy": ({}, {"connection": EMBEDDED}),
        "DELETE /cckm/oci/tenancy/{id}": ({"id": tenancy["id"]}, None),
        f"POST {CONNECTIONS}": ({}, {**told, "name": spare_name("connection")}),
        f"PATCH {CONNECTIONS}/{{id}}": ({"id": connection["id"]}, {"description": "another"}),
        f"DELETE {CONNECTIONS}/{{id}}": ({"id": connection["id"]}, None),
        f"POST {KEYS}": ({}, desk.body(vault)),
        f"PATCH {one}": (at, {"freeform_tags": {"a": "b"}}),
        f"DELETE {one}": ({"id": kept["id"]}, None),
        f"POST {one}/schedule-deletion": (at, {"days": 9}),
        f"POST {one}/cancel-deletion": ({"id": pending["id"]}, None),
        f"POST {one}/enable": ({"id": disabled["id"]}, None),
        f"POST {one}/disable": (at, None),
        f"POST {one}/change-compartment": (at, {"compartment_id": desk.compartment("staging")}),
        f"POST {one}/refresh": (at, None),
        f"POST {one}/delete-backup": ({"id": dead["id"]}, None),
        f"POST {one}/restore": ({"id": dead["id"]}, None),
        f"POST {one}/enable-auto-rotation": (at, linking),
        f"POST {one}/disable-auto-rotation": ({"id": rotated["id"]}, None),
        f"POST {one}/versions": (at, {"is_native": True}),
        f"POST {of_one}/schedule-deletion": ({**at, "versionID": second["id"]}, {"days": 7}),
        f"POST {of_one}/cancel-deletion": ({**at, "versionID": first["id"]}, None),
        "POST /cckm/oci/upload-key": ({}, {**uploading, "source_key_identifier": local["id"]}),
        "POST /cckm/oci/reports": ({}, {"name": "another", "report_type": "key-report"}),
        "DELETE /cckm/oci/reports/{id}": ({"id": report["id"]}, None),
        f"POST {sync}": ({}, {"vaults": [vault.id]}),
        f"POST {sync}/{{id}}/cancel": ({"id": job["id"]}, None),
        "POST /cckm/oci/add-vaults": ({}, adding),
        f"PATCH {VAULTS}/{{id}}": ({"id": vault.id}, {"protected": True}),
        f"DELETE {VAULTS}/{{id}}": ({"id": removable.id}, None),
        f"POST {VAULTS}/{{id}}/update-acls": ({"id": vault.id}, acls),
        f"POST {LEAVING}/{{id}}/undo": ({"id": pending["id"]}, None),
    }


FINAL = {
    "DELETE /vault/keys2/{id}",
    f"DELETE {KEYS}/{{id}}",
    f"POST {KEYS}/{{id}}/delete-backup",
    f"POST {KEYS}/{{id}}/schedule-deletion",
    f"POST {KEYS}/{{id}}/versions/{{versionID}}/schedule-deletion",
}
"""What takes something away for good, at once or in the end."""


def changing(desk: OciDesk) -> set[str]:
    """The changing calls of OCI that the description of the API names, but for those that are not built."""
    paths = desk.admin.accept("GET", "/openapi.json")["paths"]
    return {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, operations in paths.items()
        for method, operation in operations.items()
        if method in ("post", "patch", "delete") and ("/oci/" in path or "/keys2" in path)
        if "501" not in operation["responses"]
    }


def takes_body(name: str) -> bool:
    """Whether a call that only asks takes a body."""
    return "{id}" not in name


def test_every_changing_call_is_planned_in_words_and_nothing_happens(desk: OciDesk) -> None:
    real = objects(desk)
    asking = {f"{method} {path}" for method, path in ONLY_ASKS}
    table = changing(desk)
    assert table - asking == set(real) - {f"POST {LEAVING}/{{id}}/undo"}
    asked = {"connection": EMBEDDED, "compartment_id": desk.compartment(), "region": REGION}
    before, refused = dump(desk), {}
    assert {"cckm_oci_keys", "oci_keys", "oci_retry_tokens", "intents"} <= set(before)
    for name in sorted({*table, *real}):
        segments, body = real.get(name, ({"id": "x"}, asked if takes_body(name) else None))
        method, path = name.split(" ", 1)
        for segment, value in segments.items():
            path = path.replace(f"{{{segment}}}", value)
        call = {"method": method, "path": f"/api/v1{path}"} | ({} if body is None else {"body": body})
        plan = desk.admin.accept("POST", PLAN, call)
        if not plan["allowed"]:
            refused[name] = plan["refusal"]["message"]
            continue
        effects = plan["effects"]
        if name in asking:
            assert effects[0]["effect"] == "asks"
        assert all(effect["message"] for effect in effects), name
        assert all(effect["undo"] or plan["irreversible"] for effect in effects), name
        assert bool(plan["irreversible"]) or name not in FINAL, name
        assert dump(desk) == before, name
    assert refused == {
        "DELETE /cckm/oci/tenancy/{id}": "vaults or compartments of this tenancy are managed; remove them first",
        "POST /cckm/oci/synchronization-jobs/{id}/cancel": "only a job that is in progress can be cancelled",
    }


def test_what_can_be_undone_says_until_when(desk: OciDesk) -> None:
    key = desk.made(desk.vault())
    call = {"method": "POST", "path": f"/api/v1{KEYS}/{key['id']}/schedule-deletion", "body": {"days": 12}}
    plan = desk.admin.accept("POST", PLAN, call)
    [effect] = plan["effects"]
    assert (effect["undo"], plan["undo_until"]) == ("cancel-deletion", effect["undo_until"])
    assert effect["facts"]["days"] == 12
