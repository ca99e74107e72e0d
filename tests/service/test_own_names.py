"""A server under names of its operator's own: vaults below a suffix, and the login host that the setting names."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.ports import kept_ports
from claviger.core.clock import SystemClock
from claviger.keyvault.vaults.operations import DEFAULT_SUBSCRIPTION
from claviger.server.authority import open_authority
from tests.desk import PASSWORD, Operator
from tests.server import RunningServer
from tests.wire_server import MemoryBox


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with kept_ports() as (port,):
        settings = {
            "CLAVIGER_VAULT_SUFFIXES": "vault.example.org",
            "CLAVIGER_LOGIN_URL": f"https://login.example.net:{port}",
        }
        server = RunningServer(tmp_path, settings=settings)
        server.port = port
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _ask(server: RunningServer, host: str, path: str, **more: object) -> httpx.Response:
    """A request to a name that no resolver knows, with the certificate checked for that name."""
    trust = ssl.create_default_context(cafile=str(server.data / "tls" / "ca.pem"))
    with httpx.Client(verify=trust, trust_env=False, timeout=60) as http:
        return http.request(
            str(more.pop("method", "GET")),
            f"https://127.0.0.1:{server.port}{path}",
            headers={"Host": f"{host}:{server.port}", **more.pop("headers", {})},  # type: ignore[dict-item]
            extensions={"sni_hostname": host},
            **more,  # type: ignore[arg-type]
        )


@pytest.mark.parametrize("login", ["login.example.net", "login.localhost"])
def test_a_client_is_led_to_the_login_host_of_the_setting_and_back(server: RunningServer, login: str):
    refused = _ask(server, "demo.vault.example.org", "/secrets?api-version=7.4")
    challenge = refused.headers["WWW-Authenticate"]
    told = server.exported
    assert f'authorization="https://login.example.net:{server.port}/{told["AZURE_TENANT_ID"]}"' in challenge
    form = {
        "grant_type": "client_credentials",
        "client_id": told["AZURE_CLIENT_ID"],
        "client_secret": told["AZURE_CLIENT_SECRET"],
        "scope": f"https://vault.example.org:{server.port}/.default",
    }
    answer = _ask(server, login, f"/{told['AZURE_TENANT_ID']}/oauth2/v2.0/token", method="POST", data=form)
    assert answer.status_code == 200, answer.text
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    listed = _ask(server, "demo.vault.example.org", "/secrets?api-version=7.4", headers=bearer)
    assert listed.status_code == 200, listed.text


def test_with_a_certificate_of_its_own_the_control_plane_still_reaches_the_embedded_clouds(tmp_path: Path):
    theirs = asyncio.run(open_authority(tmp_path / "theirs", MemoryBox(), SystemClock()))
    leaf = theirs.mint(["claviger.example.org"])
    (tmp_path / "chain.pem").write_bytes(leaf.chain)
    key = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(key)
    settings = {
        "CLAVIGER_TLS_CERTIFICATE": f"{tmp_path}/chain.pem",
        "CLAVIGER_TLS_KEY": f"{tmp_path}/key.pem",
        "CLAVIGER_ADMIN_PASSWORD": PASSWORD,
    }
    server = RunningServer(tmp_path, settings=settings)
    try:
        server.start()
        trust = ssl.create_default_context(cadata=theirs.certificate_pem.decode())
        for host, is_shown in (("claviger.example.org", True), ("login.localhost", False)):
            with socket.create_connection(("127.0.0.1", server.port), 60) as plain:
                try:
                    trust.wrap_socket(plain, server_hostname=host).close()
                    assert is_shown
                except ssl.SSLCertVerificationError:
                    assert not is_shown
        admin = Operator(server)
        for name in ("embedded-azure", "embedded-oci"):
            kind = name.removeprefix("embedded-")
            told = admin.accept("POST", f"/connectionmgmt/services/{kind}/connections/{name}/test")
            assert told["connection_ok"], told
        # From the login host and the management host to a vault's own.
        place = (
            f"/subscriptions/{DEFAULT_SUBSCRIPTION}/resourceGroups/claviger/providers/Microsoft.KeyVault/vaults/demo"
        )
        demo = {
            "azure_vault_id": place,
            "name": "demo",
            "properties": {"tenantId": server.exported["AZURE_TENANT_ID"]},
        }
        body = {"connection": "embedded-azure", "subscription_id": DEFAULT_SUBSCRIPTION, "vaults": [demo]}
        vault = admin.accept("POST", "/cckm/azure/add-vaults", body, 201)["vaults"][0]
        param = {"secret_name": "mine", "key_vault": vault["id"], "azure_param": {"value": "x"}}
        admin.accept("POST", "/cckm/azure/secrets", param, 201)
        admin.close()
    finally:
        server.kill()
