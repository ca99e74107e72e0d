"""Job configurations and jobs over HTTP (CCKM contract §9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from claviger.cckm.scheduler import records, rules
from tests.plane import ADMIN, ELSEWHERE, OTHER_DOMAIN, user_id
from tests.scheduling import BASE, CONFIGS, DAILY, JOBS, Scheduling, scheduling_on

NO_ID = "73524b70-1234-4f92-954b-6312f4567d1a"
ZERO = "0001-01-01T00:00:00Z"
HEADER = {"id", "uri", "account", "application", "devAccount", "createdAt", "updatedAt"}


@pytest.fixture
async def scheduling(database_url: str) -> AsyncIterator[Scheduling]:
    async with scheduling_on(database_url) as found:
        yield found


def params(**fields: Any) -> dict[str, Any]:
    return {"cckm_synchronization_params": {"cloud_name": "AzureCloud", **fields}}


async def test_a_configuration_as_terraform_makes_it(scheduling: Scheduling) -> None:
    """Go's zero times, nulls and empty words mean nothing; what was given comes back as it was."""
    vault = await scheduling.vault("demo")
    asked = {
        "name": "nightly",
        "operation": "cckm_synchronization",
        "run_at": "0 3 * * Sun",
        "run_on": "",
        "description": "",
        "disabled": False,
        "start_date": "2027-03-01T00:00:00Z",
        "end_date": ZERO,
        "cckm_key_rotation_params": None,
        "database_backup_params": None,
        "unknown": {"field": 1},
        **params(key_vaults=["demo", vault.id, "DEMO::s1"], oci_vaults=None, synchronize_all=False),
    }
    made = await scheduling.plane.accept("POST", CONFIGS, asked, status=201)
    assert set(made) > HEADER
    assert made == await scheduling.config(made["id"])
    told = {name: value for name, value in made.items() if name not in HEADER}
    assert told == {
        "name": "nightly",
        "operation": "cckm_synchronization",
        "run_at": "0 3 * * Sun",
        "run_on": "any",
        "description": "",
        "disabled": False,
        "start_date": "2027-03-01T00:00:00Z",
        "job_config_params": {
            "cloud_name": "AzureCloud",
            "key_vaults": ["demo", vault.id, "DEMO::s1"],
            "synchronize_all": False,
            "take_cloud_key_backup": False,
        },
        "created_by": user_id("ada"),
        "next_run_at": "2027-03-07T03:00:00Z",
    }
    assert made["uri"] == f"kylo:kylo:scheduler:job-config:nightly-{made['id']}"
    assert made["createdAt"] == "2027-01-15T08:00:00.000000Z"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, "name: is required"),
    ({"name": "x" * 257}, "name:"),
    ({"run_at": ""}, "run_at: is required"),
    ({"run_at": "0 3 * *"}, "run_at: must have five fields"),
    ({"run_at": "0 25 * * *"}, "run_at: the hour '25'"),
    ({"run_at": "0 3 * * so"}, "run_at: the day of week 'so'"),
    ({"run_at": "0 0 31 2 *"}, "run_at: names a day that no month has"),
    ({"run_at": "9" * 300}, "run_at:"),
    ({"run_at": 5}, "run_at:"),
    ({"run_on": "node-1"}, "run_on: must be any"),
    ({"operation": "cckm_key_backup"}, "operation: this server does not have cckm_key_backup yet"),
    ({"operation": "cckm_key_rotation"}, "cckm_key_rotation_params: is required"),
    ({"operation": "cckm_key_rotation"}, "cckm_synchronization_params: is not for cckm_key_rotation"),
    ({"operation": "x"}, "operation: is not an operation"),
    ({"start_date": "tomorrow"}, "start_date: must be a date"),
    ({"start_date": "2027-02-30T00:00:00Z"}, "start_date: must be a date"),
    ({"end_date": "2026-12-31T00:00:00Z"}, "end_date: is in the past"),
    ({"start_date": "2028-01-01T00:00:00Z", "end_date": "2028-01-01T00:00:00Z"}, "end_date: must be after"),
    ({"cckm_synchronization_params": None}, "cckm_synchronization_params: is required"),
    ({"cckm_synchronization_params": {"synchronize_all": True}}, "params.cloud_name: is required"),
    (params(cloud_name="gcp", synchronize_all=True), "does not synchronize gcp yet"),
    (params(cloud_name="moon", synchronize_all=True), "params.cloud_name: is not a cloud"),
    (params(), "params.key_vaults: names no vault"),
    (params(key_vaults=[]), "params.key_vaults: names no vault"),
    (params(key_vaults=["demo"], synchronize_all=True), "params.synchronize_all: excludes key_vaults"),
    (params(key_vaults=["nowhere"]), "params.key_vaults: there is no vault 'nowhere'"),
    (params(key_vaults=["foreign"]), "params.key_vaults: there is no vault 'foreign'"),
    (params(key_vaults=["twice"]), "params.key_vaults:"),
    (params(key_vaults=["demo"] * 1001), "key_vaults"),
    (params(key_vaults="demo"), "key_vaults"),
    (params(key_vaults=[""]), "key_vaults"),
    ({"disabled": "yes"}, "disabled:"),
    ({"name": "nul\0"}, "name: must not contain NUL"),
    ({"name": " "}, "name: must be printable"),
    ({"description": "nul\0"}, "description: must not contain NUL"),
    ({"description": "x" * 2049}, "description:"),
]


async def test_what_is_wrong_is_named(scheduling: Scheduling) -> None:
    await scheduling.vault("demo")
    await scheduling.vault("foreign", OTHER_DOMAIN)
    await scheduling.vault("twice", subscription="s1")
    await scheduling.vault("twice", subscription="s2")
    for fields, part in WRONG:
        await scheduling.refused("POST", CONFIGS, {**DAILY, **fields}, status=400, part=part)


async def test_all_that_is_wrong_is_named_at_once(scheduling: Scheduling) -> None:
    wrong = {"run_at": "x", "run_on": "y", "start_date": "z", **params(cloud_name="gcp")}
    told = await scheduling.refused("POST", CONFIGS, {**DAILY, **wrong}, status=400, part="Validation errors:")
    for field in ("run_at", "run_on", "start_date", "cckm_synchronization_params.cloud_name"):
        assert f"\n{field}: " in told


async def test_a_change_changes_what_it_names(scheduling: Scheduling) -> None:
    vault = await scheduling.vault("demo")
    made = await scheduling.configured(start_date="2027-02-01T00:00:00Z", description="why")
    one = f"{CONFIGS}/{made['id']}"
    scheduling.clock.advance(60)
    same = await scheduling.plane.accept("PATCH", one, {"run_at": "", "description": None, "disabled": None})
    assert {**same, "updatedAt": made["updatedAt"]} == made
    assert same["updatedAt"] > made["updatedAt"]
    moved = await scheduling.plane.accept("PATCH", one, {"run_at": "30 4 * * *", "name": "later"})
    assert (moved["run_at"], moved["name"], moved["next_run_at"]) == ("30 4 * * *", "later", "2027-02-01T04:30:00Z")
    sooner = await scheduling.plane.accept("PATCH", one, {"start_date": ZERO, "end_date": "2027-01-17T00:00:00.5Z"})
    assert "start_date" not in sooner
    assert (sooner["next_run_at"], sooner["end_date"]) == ("2027-01-16T04:30:00Z", "2027-01-17T00:00:00.500000Z")
    off = await scheduling.plane.accept("PATCH", one, {"disabled": True})
    assert "next_run_at" not in off
    some = await scheduling.plane.accept(
        "PATCH", one, {"cckm_synchronization_params": {"cloud_name": "", "key_vaults": [vault.id]}}
    )
    assert some["job_config_params"] == {
        "cloud_name": "AzureCloud",
        "key_vaults": [vault.id],
        "synchronize_all": False,
        "take_cloud_key_backup": False,
    }
    kept = await scheduling.plane.accept(
        "PATCH", one, {"cckm_synchronization_params": {"take_cloud_key_backup": True, "synchronize_all": False}}
    )
    assert kept["job_config_params"]["key_vaults"] == [vault.id]
    assert kept["job_config_params"]["take_cloud_key_backup"] is True
    everything = await scheduling.plane.accept("PATCH", one, {"cckm_synchronization_params": {"synchronize_all": True}})
    assert everything["job_config_params"]["key_vaults"] == []
    assert (everything["description"], everything["created_by"]) == ("why", made["created_by"])


WRONG_CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"operation": "cckm_key_rotation"}, "operation: cannot be changed"),
    ({"run_at": "61 * * * *"}, "run_at: the minute '61'"),
    ({"run_on": "node"}, "run_on:"),
    ({"end_date": "2027-01-31T00:00:00Z"}, "end_date: must be after start_date"),
    ({"start_date": "x"}, "start_date: must be a date"),
    (params(cloud_name="gcp"), "does not synchronize gcp yet"),
    (params(key_vaults=["x"], synchronize_all=True), "excludes"),
    (params(key_vaults=["x"]), "there is no vault 'x'"),
]


async def test_a_wrong_change_changes_nothing(scheduling: Scheduling) -> None:
    made = await scheduling.configured(start_date="2027-02-01T00:00:00Z")
    for fields, part in WRONG_CHANGES:
        await scheduling.refused("PATCH", f"{CONFIGS}/{made['id']}", fields, status=400, part=part)


async def test_only_admins_of_the_same_domain(scheduling: Scheduling) -> None:
    made = await scheduling.configured()
    job = await scheduling.plane.accept("POST", f"{CONFIGS}/{made['id']}/run-now", status=201)
    one, ran = f"{CONFIGS}/{made['id']}", f"{JOBS}/{job['id']}"
    calls = [
        ("GET", CONFIGS),
        ("POST", CONFIGS),
        ("GET", one),
        ("PATCH", one),
        ("DELETE", one),
        ("POST", f"{one}/run-now"),
        ("GET", JOBS),
        ("GET", ran),
        ("DELETE", ran),
        ("GET", f"{BASE}/operations"),
    ]
    for method, path in calls:
        for caller in ("bob;CCKM Users", "carl;User Admins,Key Admins", "dora"):
            await scheduling.refused(method, path, DAILY, status=403, caller=caller)
        await scheduling.refused(method, path, DAILY, status=401, caller=None)
    for method, path in calls:
        if path not in (CONFIGS, JOBS, f"{BASE}/operations"):
            await scheduling.refused(method, path, {"name": "x"}, status=404, caller=ELSEWHERE)
    for path in (CONFIGS, JOBS):
        assert (await scheduling.plane.accept("GET", path, caller=ELSEWHERE))["total"] == 0
        assert (await scheduling.plane.accept("GET", path, caller=ADMIN))["total"] == 1


async def test_what_is_not_there(scheduling: Scheduling) -> None:
    for ident in (NO_ID, "x", "nightly", "%00", "ä"):
        status = 400 if ident == "%00" else 404
        for method, path in (
            ("GET", f"{CONFIGS}/{ident}"),
            ("PATCH", f"{CONFIGS}/{ident}"),
            ("DELETE", f"{CONFIGS}/{ident}"),
            ("POST", f"{CONFIGS}/{ident}/run-now"),
            ("GET", f"{JOBS}/{ident}"),
            ("DELETE", f"{JOBS}/{ident}"),
        ):
            await scheduling.refused(method, path, {"name": "x"}, status=status)


async def test_configurations_are_listed(scheduling: Scheduling) -> None:
    for name, minute, disabled in (("alpha", 5, False), ("beta", 3, True), ("gamma", 4, False)):
        await scheduling.configured(name=name, run_at=f"{minute} 9 * * *", disabled=disabled)
        scheduling.clock.advance(1)

    async def names(query: str) -> list[str]:
        page = await scheduling.plane.accept("GET", f"{CONFIGS}?{query}")
        assert (page["skip"], page["total"] >= len(page["resources"])) == (1 if "skip=1" in query else 0, True)
        return [found["name"] for found in page["resources"]]

    assert await names("") == ["alpha", "beta", "gamma"]
    assert await names("sort=-name&skip=1&limit=1") == ["beta"]
    assert await names("sort=next_run_at") == ["gamma", "alpha", "beta"]
    assert await names("disabled=true") == ["beta"]
    assert await names("name=*a&name=beta&disabled=false") == ["alpha", "gamma"]
    assert await names("operation=cckm_synchronization&cloud_name=AzureCloud&sort=-createdAt") == [
        "gamma",
        "beta",
        "alpha",
    ]
    assert await names("operation=cckm_key_rotation") == []
    assert await names("name=BETA&sort=-id,run_at") == ["beta"]
    middle = (await scheduling.plane.accept("GET", f"{CONFIGS}?name=beta"))["resources"][0]["createdAt"]
    assert await names(f"createdAfter={middle}") == ["beta", "gamma"]
    assert await names(f"createdBefore={middle}") == ["alpha", "beta"]
    assert await names("createdAfter=-1Y-1M-1D") == ["alpha", "beta", "gamma"]
    assert await names("createdBefore=-1D") == await names("expire_in=5d") == []
    assert await names("unknown=1&limit=-1") == ["alpha", "beta", "gamma"]
    for query in ("sort=x", "disabled=maybe", "skip=-1", "limit=x", "createdAfter=-1W", "createdBefore=2027"):
        await scheduling.refused("GET", f"{CONFIGS}?{query}", status=400)


async def test_a_domain_holds_so_many(scheduling: Scheduling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST_CONFIGS", 2)
    first = await scheduling.configured()
    await scheduling.configured()
    await scheduling.refused("POST", CONFIGS, DAILY, status=409, part="at most 2")
    await scheduling.plane.accept("DELETE", f"{CONFIGS}/{first['id']}", status=204)
    await scheduling.refused("DELETE", f"{CONFIGS}/{first['id']}", status=404)
    await scheduling.configured()


async def test_a_job_is_run_at_once(scheduling: Scheduling) -> None:
    made = await scheduling.configured(disabled=True)
    run_now = f"{CONFIGS}/{made['id']}/run-now"
    scheduling.clock.advance(1.5)
    job = await scheduling.plane.accept("POST", run_now, status=201)
    [run] = await scheduling.synchronizations()
    assert {name: value for name, value in job.items() if name not in HEADER} == {
        "job_config_id": made["id"],
        "name": "nightly",
        "operation": "cckm_synchronization",
        "status": "in_progress",
        "message": "",
        "startedAt": "2027-01-15T08:00:01.500000Z",
        "synchronization_id": run.id,
        "skipped_count": 0,
    }
    assert run.request == '{"cloud_name":"AzureCloud","synchronize_all":true}'
    await scheduling.refused("POST", run_now, status=409, part=f"job {job['id']} is in progress")
    await scheduling.refused("DELETE", f"{JOBS}/{job['id']}", status=400, part="in progress")
    scheduling.clock.advance(10)
    await scheduling.end_all("failed", "2 of 3 vaults failed")
    ended = await scheduling.plane.accept("GET", f"{JOBS}/{job['id']}")
    assert (ended["status"], ended["message"]) == ("failed", "2 of 3 vaults failed")
    assert ended["finishedAt"] == "2027-01-15T08:00:11.500000Z"
    assert ended["updatedAt"] == ended["finishedAt"]
    again = await scheduling.plane.accept("POST", run_now, status=201)
    assert [found["id"] for found in await scheduling.jobs()] == [again["id"], job["id"]]
    await scheduling.plane.accept("DELETE", f"{JOBS}/{job['id']}", status=204)
    assert [found["id"] for found in await scheduling.jobs()] == [again["id"]]
    assert len(await scheduling.synchronizations()) == 2


async def test_of_calls_at_once_one_runs_the_job(scheduling: Scheduling) -> None:
    made = await scheduling.configured()
    answers = await asyncio.gather(*(scheduling.plane.ask("POST", f"{CONFIGS}/{made['id']}/run-now") for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert len(scheduling.started) == len(await scheduling.synchronizations()) == 1


async def test_jobs_are_listed(scheduling: Scheduling) -> None:
    first, second = await scheduling.configured(name="a_%"), await scheduling.configured(name="Beta")
    ids = []
    for config, state in ((first, "completed"), (second, "failed"), (first, "in_progress")):
        scheduling.clock.advance(60)
        ids.append((await scheduling.plane.accept("POST", f"{CONFIGS}/{config['id']}/run-now", status=201))["id"])
        if state != "in_progress":
            await scheduling.end_all(state)  # type: ignore[arg-type]

    async def found(query: str) -> list[int]:
        return [ids.index(job["id"]) for job in await scheduling.jobs(query)]

    assert await found("") == [2, 1, 0]
    assert await found("sort=createdAt&skip=1&limit=1") == [1]
    assert await found(f"job_config_id={first['id']}") == [2, 0]
    assert await found("status=failed&status=completed") == [1, 0]
    assert await found("status=in_progress") == [2]
    assert await found("name=beta") == [1]
    assert await found("name=B*A") == [1]
    assert await found("name=a_%25*") == [2, 0]
    assert await found("name=_*") == []
    assert await found(f"id={ids[1]}&operation=cckm*") == [1]
    assert await found("sort=finishedAt") == [2, 0, 1]
    assert await found("sort=name,-startedAt") == [1, 2, 0]
    assert await found("sort=status,createdAt") == [0, 1, 2]
    [run] = await scheduling.runs.take_up(["synchronization"], 1)
    assert await found(f"synchronization_id={run.id}") == [2]
    page = await scheduling.plane.accept("GET", f"{JOBS}?limit=1")
    assert (page["total"], page["limit"], len(page["resources"])) == (3, 1, 1)
    for query in ("sort=x", "skip=-1", "limit=x"):
        await scheduling.refused("GET", f"{JOBS}?{query}", status=400)


async def test_the_oldest_jobs_are_forgotten(scheduling: Scheduling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "KEPT", 3)
    made = await scheduling.configured()
    for _ in range(5):
        await scheduling.plane.accept("POST", f"{CONFIGS}/{made['id']}/run-now", status=201)
        await scheduling.end_all()
    assert len(await scheduling.jobs()) == 3


async def test_operations_are_told_as_they_are(scheduling: Scheduling) -> None:
    page = await scheduling.plane.accept("GET", f"{BASE}/operations?limit=-1")
    told = {found["name"]: (found["supported"], found["clouds"]) for found in page["resources"]}
    assert told["cckm_synchronization"] == (True, ["AzureCloud", "oci"])
    assert told["cckm_key_rotation"] == (True, ["oci"])
    assert told["cckm_key_backup"] == (False, [])
    assert page["total"] == len(told) == 6
    page = await scheduling.plane.accept("GET", f"{BASE}/operations/?supported=true")
    here = [found["name"] for found in page["resources"]]
    assert sorted(here) == ["cckm_key_rotation", "cckm_synchronization"]
    for name in sorted(told):
        if name not in here:
            await scheduling.refused("POST", CONFIGS, {**DAILY, "operation": name}, status=400, part="does not have")
