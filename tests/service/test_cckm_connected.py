"""Connections against a running server's own Azure: by secret, by a certificate made here, by one for a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from claviger.cckm.azure.connections import records
from claviger.cckm.azure.connections.operations import EMBEDDED_NAME, Connections, EmbeddedAzure, ensure_embedded
from claviger.cckm.azure.connections.routes import ConnectionRoutes
from claviger.cckm.azure.secrets.cloud import vault_secrets
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.cckm.connections.operations import AllConnections
from claviger.cckm.connections.routes import AllConnectionRoutes
from claviger.core.clock import SystemClock
from claviger.core.sensitive import Sensitive
from tests.clouds import authority_of, endpoints
from tests.plane import Plane, open_plane
from tests.serving import Application, Estate
from tests.vaults import VaultClient

API = "https://cckm.localhost/api/v1/connectionmgmt"
MANY = f"{API}/services/azure/connections"
TRY_OUT = f"{API}/services/azure/connection-test"
OFFICER = "ada;Connection Admins"


@pytest.fixture
async def plane(sqlite_url: str) -> AsyncIterator[Plane]:
    found = await open_plane(sqlite_url)
    found.clock.set(SystemClock().now())
    everyone = AllConnections(found.store, found.clock, [found.clouds.forget])
    own = Connections(found.store, found.safe, found.clock, found.clouds, everyone)
    found.serve([*AllConnectionRoutes(everyone).routes(), *ConnectionRoutes(own, everyone).routes()])
    yield found
    await found.clouds.close()
    await found.store.close()


@pytest.fixture
def program(estate: Estate) -> Application:
    return estate.make_application()


def body(estate: Estate, application: Application, **more: Any) -> dict[str, Any]:
    return {
        "name": "one",
        "tenant_id": estate.tenant_id,
        "client_id": application.client_id,
        **endpoints(estate.server.port, authority_of(estate)),
        **more,
    }


async def post(plane: Plane, url: str, sent: Any = None, status: int = 200) -> Any:
    return await plane.accept("POST", url, sent, status=status, caller=OFFICER)


async def register(estate: Estate, application: Application, folder: Path, certificate: str) -> None:
    """What an operator does in Azure: the application may sign in with that certificate from now on."""
    file = folder / "certificate.pem"
    file.write_text(certificate)
    await asyncio.to_thread(estate.server.command, "app", "certificate", "add", application.client_id, str(file))


async def test_client_secret(plane: Plane, estate: Estate, program: Application) -> None:
    good = body(estate, program, client_secret=program.client_secret)
    assert await post(plane, TRY_OUT, good) == {"connection_ok": True}
    told = await post(plane, TRY_OUT, {**good, "client_secret": "wrong"})
    assert (told["connection_ok"], "AADSTS7000215" in told["connection_error"]) == (False, True)
    await post(plane, MANY, {**good, "client_secret": "wrong"}, 201)
    assert not (await post(plane, f"{MANY}/one/test"))["connection_ok"]
    await plane.accept("PATCH", f"{MANY}/one", {"client_secret": program.client_secret}, caller=OFFICER)
    assert await post(plane, f"{MANY}/one/test") == {"connection_ok": True}
    found = await plane.accept("GET", f"{MANY}/one", caller=OFFICER)
    assert (found["last_connection_ok"], found["last_connection_error"]) == (True, None)


async def test_certificate_made_here(plane: Plane, estate: Estate, program: Application, tmp_path: Path) -> None:
    made = await post(plane, MANY, body(estate, program, is_certificate_used=True), 201)
    told = await post(plane, f"{MANY}/one/test")
    assert (told["connection_ok"], "AADSTS" in told["connection_error"]) == (False, True)
    await register(estate, program, tmp_path, made["certificate"])
    assert await post(plane, f"{MANY}/one/test") == {"connection_ok": True}


async def test_certificate_for_a_request(plane: Plane, estate: Estate, program: Application, tmp_path: Path) -> None:
    from tests.service.test_cckm_connections import signed

    csr = (await post(plane, f"{API}/connections/csr", {"cn": "tests"}, 201))["csr"]
    certificate = signed(plane, x509.load_pem_x509_csr(csr.encode()))
    await register(estate, program, tmp_path, certificate)
    sent = body(estate, program, certificate=certificate)
    assert await post(plane, TRY_OUT, sent) == {"connection_ok": True}
    await post(plane, MANY, sent, 201)
    assert await post(plane, f"{MANY}/one/test") == {"connection_ok": True}


async def test_embedded_azure_by_its_own_connection(
    plane: Plane, estate: Estate, vault: VaultClient, name: str
) -> None:
    demo = estate.demo_application
    await ensure_embedded(
        plane.store,
        plane.safe,
        plane.clock,
        EmbeddedAzure(
            tenant_id=estate.tenant_id,
            client_id=demo.client_id,
            client_secret=Sensitive(demo.client_secret),
            port=estate.server.port,
            authority_pem=authority_of(estate),
        ),
    )
    assert await post(plane, f"{MANY}/{EMBEDDED_NAME}/test") == {"connection_ok": True}
    connection = await records.find(plane.store, ROOT_DOMAIN, EMBEDDED_NAME)
    assert connection is not None
    secrets = await vault_secrets(plane.clouds, connection, vault.name, f"{vault.url}/")
    await secrets.set(name, Sensitive("by the embedded connection"))
    assert vault.get(name)["value"] == "by the embedded connection"
