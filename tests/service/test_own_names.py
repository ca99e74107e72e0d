"""A server under names of its operator's own: vaults below a suffix, and the login host that the setting names."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server import RunningServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with socket.socket() as spare:
        spare.bind(("127.0.0.1", 0))
        port = spare.getsockname()[1]
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
    with httpx.Client(verify=trust, trust_env=False) as http:
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
