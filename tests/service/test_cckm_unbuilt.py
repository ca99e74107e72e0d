"""The endpoints of the Azure group that are not built: each says so in its kind of answer, to whom it may."""

from __future__ import annotations

import re

import pytest

from claviger.cckm.azure.unbuilt import unbuilt_routes
from claviger.cckm.calls import ROOT_DOMAIN, Route
from tests.managed_vaults import NO_ID
from tests.plane import Plane, user_id

ROUTES = unbuilt_routes()
BOB = "bob;CCKM Users"
LISTS = [
    "keys",
    "certificates",
    "reports",
    "bulkjobs",
    "synchronization-jobs",
    "certificates/synchronization-jobs",
]
# Azure contract §1.3 to §1.6, without what secrets have.
CONTRACT = """
GET,POST /keys
GET,PATCH /keys/{id}
POST /upload-key
POST /keys/{id}/soft-delete
POST /keys/{id}/hard-delete
POST /keys/{id}/recover
POST /keys/{id}/restore
POST /keys/{id}/refresh
POST /keys/{id}/delete-backup
POST /keys/{id}/enable-rotation-job
POST /keys/{id}/disable-rotation-job
POST /keys/{id}/enable-backup-job
POST /keys/{id}/disable-backup-job
GET /keys/{id}/download-public-key
GET,POST /keys/{id}/backups
GET,PATCH,DELETE /keys/{id}/backups/{backup_id}
GET,POST /synchronization-jobs
GET /synchronization-jobs/{id}
POST /synchronization-jobs/{id}/cancel
GET,POST /certificates
POST /certificates/import
GET,PATCH,DELETE /certificates/{id}
POST /certificates/{id}/soft-delete
POST /certificates/{id}/hard-delete
POST /certificates/{id}/recover
POST /certificates/{id}/restore
GET,POST /certificates/synchronization-jobs
GET /certificates/synchronization-jobs/{id}
POST /certificates/synchronization-jobs/{id}/cancel
GET,POST /bulkjobs
GET,DELETE /bulkjobs/{id}
POST /bulkjobs/{id}/cancel
GET,POST /reports
GET,DELETE /reports/{id}
GET /reports/{id}/contents
GET /reports/{id}/download
"""


def path_of(route: Route) -> str:
    return re.sub(r"\{\w+\}", NO_ID, route.path.removeprefix("/cckm/azure"))


def test_all_of_the_contract_are_there() -> None:
    wanted = {
        f"{method} /cckm/azure{line.split()[1]}"
        for line in CONTRACT.strip().splitlines()
        for method in line.split()[0].split(",")
    }
    assert {f"{route.method} {route.path}" for route in ROUTES} == wanted
    assert len(ROUTES) == len(wanted)


@pytest.mark.parametrize("path", LISTS)
async def test_lists_are_empty(plane: Plane, path: str) -> None:
    assert await plane.accept("GET", f"/{path}") == {"skip": 0, "limit": 10, "total": 0, "resources": []}
    query = "skip=7&limit=-1&sort=updatedAt&status=AVAILABLE"
    if path == "bulkjobs":
        await plane.refuse("GET", f"/{path}?{query}", status=403, caller=BOB)
    else:
        page = await plane.accept("GET", f"/{path}/?{query}", caller=BOB)
        assert page == {"skip": 7, "limit": -1, "total": 0, "resources": []}
    await plane.refuse("GET", f"/{path}?limit=x", status=400, part="limit")
    await plane.refuse("GET", f"/{path}", status=401, caller=None)


async def test_changes_are_not_built_and_single_records_not_found(plane: Plane) -> None:
    for route in ROUTES:
        path = path_of(route)
        if route.method != "GET":
            told = await plane.refuse(route.method, path, {"key_name": "k"}, status=501, part="nothing was changed")
            assert "for Azure yet" in told
            await plane.refuse(route.method, path, content=b"{", status=501)
            await plane.refuse(route.method, path, content=b" " * 300_000, status=413)
        elif path.removeprefix("/") not in LISTS:
            await plane.refuse("GET", path, status=404)
        await plane.refuse(route.method, path, status=401, caller=None)


async def test_a_user_needs_the_right_in_some_vault(plane: Plane) -> None:
    for route in ROUTES:
        if route.method == "GET":
            continue
        action = route.permission.action
        told = await plane.refuse(route.method, path_of(route), {}, status=403, caller=BOB)
        if not action:
            assert "CCKM Admins" in told
            continue
        assert action in told
        grantee, both = f"user:{user_id('bob')}", f"{action} {route.permission.view}"
        for actions, status in ((action, 501 if action == route.permission.view else 403), (both, 501)):
            await plane.store.write(
                lambda tx, a=actions, g=grantee: tx.execute(
                    "INSERT INTO cckm_acls (domain_id, container_id, grantee, actions) VALUES (?, 'vault', ?, ?)",
                    ROOT_DOMAIN,
                    g,
                    a,
                )
            )
            await plane.refuse(route.method, path_of(route), {}, status=status, caller=BOB)
            await plane.store.write(lambda tx: tx.execute("DELETE FROM cckm_acls"))
