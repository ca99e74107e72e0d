"""Vaults under other names: mapped hosts, suffixes, the public clouds' own (Key Vault contract §1, §7)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.rawhttp import RawAnswer, exchange, head
from tests.serving import Estate, estate_on

API = "?api-version=7.6"


@pytest.fixture(scope="module")
def mapped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """A server with a mapped host and a suffix of its own; how hosts are read does not depend on the database."""
    settings = {"CLAVIGER_VAULT_HOSTS": "keys.corp.example=demo", "CLAVIGER_VAULT_SUFFIXES": "vault.corp.example"}
    yield from estate_on("sqlite", request, tmp_path_factory.mktemp("mapped"), **settings)


def _ask(estate: Estate, host: str, method: str, path: str, token: str | None, body: bytes = b"") -> RawAnswer:
    """Over a connection whose certificate must hold for that very host."""
    more = (f"Content-Length: {len(body)}",)
    return exchange(estate.server, host, head(method, path, host, token, *more) + body, method)


HOSTS = {
    "keys.corp.example:{port}": "corp.example:{port}",
    "keys.corp.example": "corp.example",
    "demo.vault.corp.example:{port}": "vault.corp.example:{port}",
    "demo.vault.azure.net": "vault.azure.net",
    "demo.vault.azure.net:{port}": "vault.azure.net:{port}",
    "demo.vault.usgovcloudapi.net": "vault.usgovcloudapi.net",
    "demo.vault.localhost": "vault.localhost",
    "DEMO.vault.localhost:{port}": "vault.localhost:{port}",
    "demo.vault.azure.net:443": "vault.azure.net",
}


@pytest.mark.parametrize("host", HOSTS)
def test_a_vault_answers_under_this_host(mapped: Estate, host: str):
    port = str(mapped.server.port)
    asked, resource = host.replace("{port}", port), "https://" + HOSTS[host].replace("{port}", port)
    challenged = _ask(mapped, asked, "GET", "/secrets" + API, None)
    assert challenged.status == 401
    found = re.search('resource="(.*)"', challenged.headers["www-authenticate"])
    assert found is not None
    assert found[1] == resource
    token = mapped.token(mapped.demo_application, resource)
    made = _ask(mapped, asked, "PUT", "/secrets/s" + API, token, b'{"value":"v"}')
    base = f"https://{asked.removesuffix(':443')}"
    assert made.status == 200
    assert made.json()["id"].startswith(f"{base}/secrets/s/")
    _ask(mapped, asked, "PUT", "/secrets/s2" + API, token, b'{"value":"v"}')
    link = _ask(mapped, asked, "GET", f"/secrets{API}&maxresults=1", token).json()["nextLink"]
    with_port = base if asked.endswith(f":{port}") else f"{base}:443"
    assert link.startswith(f"{with_port}/secrets?api-version=7.6&$skiptoken=")


@pytest.mark.parametrize(
    "host", ["other.corp.example", "keys.corp.example.org", "vault.corp.example", "demo.azure.net"]
)
def test_no_vault_is_found_under_that_host(mapped: Estate, host: str):
    request = head("GET", "/secrets" + API, host, None)
    answer = exchange(mapped.server, "demo.vault.localhost", request)
    assert answer.status == 404
    assert answer.json()["error"]["code"]


def test_a_token_for_one_host_does_not_hold_under_another(mapped: Estate):
    port = mapped.server.port
    token = mapped.token(mapped.demo_application, f"https://corp.example:{port}")
    assert _ask(mapped, f"keys.corp.example:{port}", "GET", "/secrets" + API, token).status == 200
    answer = _ask(mapped, f"demo.vault.localhost:{port}", "GET", "/secrets" + API, token)
    assert answer.status == 401
    assert answer.json()["error"]["message"].startswith("AKV10022: Invalid audience.")
