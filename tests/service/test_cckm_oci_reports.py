"""Reports about keys over the API, on both databases: filled in the background, read as rows and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from claviger.audit.entry import Actor, Subject
from claviger.audit.log import AuditLog
from claviger.audit.trail import Trail
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.cckm.oci.keys import records as keys
from claviger.cckm.oci.keys.forms import CloudKey, CloudVersion
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.keys.rows import fresh as fresh_key
from claviger.cckm.oci.reports import operations, records
from claviger.cckm.oci.reports.gathering import KIND, Gatherer
from claviger.cckm.oci.reports.operations import Reports
from claviger.cckm.oci.reports.routes import ReportRoutes
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.oci.vaults.records import OciVault, OciVaultDetails, encode_details
from claviger.cckm.oci.versions import records as versions
from claviger.cckm.oci.versions.rows import fresh as fresh_version
from claviger.core.clock import SystemClock
from claviger.jobs.runs import Runs
from claviger.store.contract import Tx
from tests.plane import ELSEWHERE, START, Plane, open_plane, user_id

API = "https://cckm.localhost/api/v1"
MANY = f"{API}/cckm/oci/reports"
DAY_S = 86_400.0
BOB = "bob;CCKM Users"


class Office:
    """A control plane with two vaults, three keys and the worker that fills reports."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.runs = Runs(plane.store, plane.clock, SystemClock())
        self.gatherer = Gatherer(plane.store, plane.clock, self.runs)
        plane.serve(ReportRoutes(Reports(plane.store, plane.clock, self.runs)).routes())

    async def fill(self) -> int:
        """Works on whatever waits; how many reports that was."""
        taken = await self.runs.take_up([KIND], 10)
        for run in taken:
            await self.gatherer.run(run)
        return len(taken)

    async def made(self, caller: str = "ada;CCKM Admins", **asked: Any) -> dict[str, Any]:
        body = {"name": "one", "report_type": "key-aging", **asked}
        report = await self.plane.accept("POST", MANY, body, status=201, caller=caller)
        assert report["overall_status"] == "in_progress"
        assert await self.fill() == 1
        found = await self.plane.accept("GET", f"{MANY}/{report['id']}", caller=caller)
        assert found["overall_status"] == "completed"
        assert isinstance(found, dict)
        return found

    async def rows(self, report: dict[str, Any], query: str = "?limit=-1") -> list[dict[str, Any]]:
        found = await self.plane.accept("GET", f"{MANY}/{report['id']}/contents{query}")
        return list(found["resources"])


def vault(ident: str) -> OciVault:
    return OciVault(
        num=0,
        id=ident,
        domain_id=ROOT_DOMAIN,
        removed=0,
        connection_id="c",
        connection_name="c",
        tenancy_ocid="ocid1.tenancy.oc1..t",
        tenancy_name="acme",
        region="us-ashburn-1",
        ocid=f"ocid1.vault.oc1.iad.{ident}",
        compartment_ocid="ocid1.compartment.oc1..c",
        compartment_name="production",
        display_name=f"vault {ident}",
        vault_type="DEFAULT",
        state="ACTIVE",
        management_endpoint="https://x",
        bucket_name="",
        bucket_namespace="",
        details=encode_details(OciVaultDetails()),
        refreshed_at=START,
        read_began_at=None,
        created_by="",
        created_at=START,
        updated_at=START,
    )


def cloud_key(name: str, age_days: float) -> CloudKey:
    return CloudKey(
        ocid=f"ocid1.key.oc1.iad.{name}",
        vault_ocid="",
        compartment_ocid="ocid1.compartment.oc1..c",
        name=name,
        algorithm="AES",
        length=32,
        curve_id="",
        protection_mode="HSM",
        state="ENABLED",
        current_version_ocid=f"ocid1.keyversion.oc1.iad.{name}-2",
        created_at=START - age_days * DAY_S,
        deletes_at=None,
        freeform_tags={},
        defined_tags={},
    )


def cloud_version(key: CloudKey, number: int, age_days: float) -> CloudVersion:
    return CloudVersion(
        ocid=f"ocid1.keyversion.oc1.iad.{key.name}-{number}",
        key_ocid=key.ocid,
        vault_ocid="",
        compartment_ocid="",
        state="ENABLED",
        origin="INTERNAL",
        created_at=START - age_days * DAY_S,
        deletes_at=None,
    )


@pytest.fixture
async def office(database_url: str) -> AsyncIterator[Office]:
    plane = await open_plane(database_url)

    def change(tx: Tx) -> list[KeyRow]:
        rows = []
        for ident, names in (("v1", ("old", "young")), ("v2", ("other",))):
            stored = vaults.add(tx, vault(ident))
            for name in names:
                told = cloud_key(name, 100 if name == "old" else 10)
                row = keys.put(tx, fresh_key(f"key-{name}", stored.num, told, "production", "native", "", START))
                for number, age in ((1, 100 if name == "old" else 10), (2, 3)):
                    versions.put(
                        tx,
                        fresh_version(
                            f"version-{name}-{number}", row.num, cloud_version(told, number, age), "native", START
                        ),
                    )
                rows.append(row)
        tx.execute(
            "INSERT INTO cckm_acls (domain_id, container_id, grantee, actions) VALUES (?, ?, ?, ?)",
            ROOT_DOMAIN,
            "v2",
            f"user:{user_id('bob')}",
            "reportcreate reportview reportdownload",
        )
        return rows

    await plane.store.write(change)
    yield Office(plane)
    await plane.store.close()


async def test_ages_of_keys(office: Office) -> None:
    report = await office.made()
    assert report["row_count"] == 3
    old = next(row for row in await office.rows(report) if row["key_name"] == "old")
    assert (old["age_days"], old["days_since_rotation"], old["version_count"]) == (100, 3, 2)
    assert (old["vault_id"], old["lifecycle_state"], old["auto_rotate"]) == ("ocid1.vault.oc1.iad.v1", "ENABLED", False)
    named = await office.rows(report, "?key_name=o*&vault_id=ocid1.vault.oc1.iad.v2")
    assert [row["key_name"] for row in named] == ["other"]
    answer = await office.plane.ask("GET", f"{MANY}/{report['id']}/download")
    assert answer.headers["content-type"].startswith("text/csv")
    assert 'filename="one.csv"' in answer.headers["content-disposition"]
    read = list(csv.DictReader(io.StringIO(answer.text)))
    assert sorted(row["key_name"] for row in read) == ["old", "other", "young"]


async def test_rows_come_page_by_page(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "PORTION", 2)
    report = await office.made()
    names = [row["key_name"] for row in await office.rows(report)]
    assert len(names) == 3
    for query in ("", "&key_name=*"):
        for skip, limit, expected in ((0, 1, 1), (1, 2, 2), (2, 5, 1), (3, 1, 0), (9, -1, 0), (1, -1, 2), (0, 0, 0)):
            asked = f"{MANY}/{report['id']}/contents?skip={skip}&limit={limit}{query}"
            page = await office.plane.accept("GET", asked)
            assert (page["skip"], page["limit"], page["total"]) == (skip, limit, 3)
            assert [row["key_name"] for row in page["resources"]] == names[skip : skip + expected]
    page = await office.plane.accept("GET", f"{MANY}/{report['id']}/contents?key_name=o*&skip=1")
    assert (page["total"], len(page["resources"])) == (2, 1)
    answer = await office.plane.ask("GET", f"{MANY}/{report['id']}/download")
    assert [row["key_name"] for row in csv.DictReader(io.StringIO(answer.text))] == names


async def test_a_report_that_goes_while_it_is_filled_leaves_nothing(office: Office) -> None:
    await office.plane.accept("POST", MANY, {"name": "one", "report_type": "key-aging"}, status=201)
    (run,) = await office.runs.take_up([KIND], 10)
    save, gone = office.runs.save, False

    async def saving(*given: Any) -> None:
        nonlocal gone
        if not gone:
            gone = True
            num = (await office.plane.store.read("SELECT num FROM cckm_oci_reports"))[0][0]
            await office.plane.store.write(lambda tx: records.remove(tx, num))
        await save(*given)

    office.runs.save = saving  # type: ignore[method-assign, assignment]
    await office.gatherer.run(run)
    assert await office.plane.count("cckm_oci_report_rows") == 0
    assert await office.plane.count("job_runs", "state = 'completed'") == 1


async def test_rotations_of_a_period(office: Office) -> None:
    period = {"start_time": "2027-01-05T00:00:00Z", "end_time": "2027-01-15T00:00:00Z"}
    report = await office.made(report_type="key-rotation", oci_params=[{"vaults": ["v1"]}], **period)
    rows = await office.rows(report)
    assert sorted(row["key_version_id"] for row in rows) == [
        "ocid1.keyversion.oc1.iad.old-2",
        "ocid1.keyversion.oc1.iad.young-2",
    ]
    assert all(row["is_current"] is True for row in rows)
    nothing = {"start_time": "2026-01-05T00:00:00Z", "end_time": "2026-01-15T00:00:00Z"}
    assert await office.rows(await office.made(report_type="key-rotation", **nothing)) == []


async def test_what_was_done_to_keys(office: Office) -> None:
    store, clock = office.plane.store, office.plane.clock
    log = AuditLog(store)

    def entry(action: str, kind: str, ident: str, name: str, stage: str = "") -> Any:
        trail = Trail(
            clock,
            origin="api",
            service="cckm",
            action=action,
            domain_id=ROOT_DOMAIN,
            actor=Actor(user_id="u", username="ada"),
            subject=Subject(kind=kind, id=ident, name=name, container="vault v1"),
            request_id="r",
        )
        trail.stage = stage
        return trail.entry("granted", 200)

    told = [
        entry("Disable a key", "oci-key", "key-old", "old"),
        entry("Cancel the deletion of a version", "oci-key-version", "version-other-1", "other", "done"),
        entry("Soft-delete a secret in Azure", "azure-secret", "key-old", "old"),
        entry("Disable a key", "oci-key", "key-unknown", "unknown"),
    ]
    await store.write(lambda tx: log.note(tx, *told))
    rows = await office.rows(await office.made(report_type="key-report"))
    assert [(row["key_activity"], row["key_id"], row["user_name"], row["stage"]) for row in rows] == [
        ("Disable a key", "ocid1.key.oc1.iad.old", "ada", ""),
        ("Cancel the deletion of a version", "ocid1.key.oc1.iad.other", "ada", "done"),
    ]
    only = await office.made(report_type="key-report", oci_params=[{"vaults": ["v2"]}])
    assert [row["key_id"] for row in await office.rows(only)] == ["ocid1.key.oc1.iad.other"]
    for spelt, value in (("oci_key_id", "ocid1.key.oc1.iad.other"), ("oci_vault_id", "ocid1.vault.none")):
        found = await office.plane.accept("GET", f"{MANY}/{only['id']}/contents?{spelt}={value}")
        assert found["total"] == (spelt == "oci_key_id")


async def test_a_report_is_begun_anew_by_another_server(office: Office) -> None:
    report = await office.plane.accept("POST", MANY, {"name": "one", "report_type": "key-aging"}, status=201)
    await office.plane.refuse("GET", f"{MANY}/{report['id']}/contents", status=409, part="in_progress")
    num = (await office.plane.store.read("SELECT num FROM cckm_oci_reports"))[0][0]
    await office.plane.store.write(
        lambda tx: tx.execute("INSERT INTO cckm_oci_report_rows VALUES (?, 0, 'left over', '{}')", num)
    )
    assert await office.fill() == 1
    assert len(await office.rows(report)) == 3


async def test_who_may_see_what(office: Office) -> None:
    everything, plane = await office.made(), office.plane
    own = await office.made(caller=BOB, name="bobs")
    assert own["oci_params"] == [{"vaults": ["v2"]}]
    listed = await plane.accept("GET", MANY, caller=BOB)
    assert [row["name"] for row in listed["resources"]] == ["bobs"]
    await plane.refuse("GET", f"{MANY}/{everything['id']}/contents", status=404, caller=BOB)
    body = {"name": "x", "report_type": "key-aging", "oci_params": [{"vaults": ["v1"]}]}
    await plane.refuse("POST", MANY, body, status=404, caller=BOB)
    await plane.refuse("POST", MANY, {"name": "x", "report_type": "key-aging"}, status=403, caller="carl;CCKM Users")
    await plane.refuse("DELETE", f"{MANY}/{own['id']}", status=404, caller=BOB)
    await plane.store.write(lambda tx: tx.execute("UPDATE cckm_acls SET actions = 'view reportcreate'"))
    await office.plane.accept("POST", MANY, {"name": "x", "report_type": "key-rotation"}, status=201, caller=BOB)
    assert (await plane.accept("GET", MANY, caller=BOB))["resources"] == []
    await plane.refuse("GET", f"{MANY}/{own['id']}", status=404, caller=ELSEWHERE)
    await plane.accept("DELETE", f"{MANY}/{own['id']}", status=204)
    assert await plane.count("cckm_oci_report_rows") == 3


async def test_what_cannot_be_reported_is_refused(office: Office) -> None:
    for body, part in (
        ({"name": "x", "report_type": "nonsense"}, "report_type: must be one of key-report, key-rotation, key-aging"),
        ({"name": "", "report_type": "key-aging"}, "name"),
        ({"name": "x", "report_type": "key-rotation", "end_time": "2026-01-01T00:00:00Z"}, "start_time"),
        ({"name": "x", "report_type": "key-aging", "start_time": "yesterday"}, "start_time"),
    ):
        await office.plane.refuse("POST", MANY, body, status=400, part=part)
