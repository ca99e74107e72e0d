"""The challenge to the letter, for every kind of host."""

from __future__ import annotations

import pytest

from claviger.keyvault import challenge as module
from claviger.keyvault.challenge import Challenger
from tests.directory import HOST

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"


@pytest.mark.parametrize(
    ("host", "header"),
    [
        (
            "demo.vault.localhost:8443",
            f'Bearer authorization="https://login.localhost:8443/{TENANT}", resource="https://vault.localhost:8443"',
        ),
        (
            "demo.vault.azure.net",
            f'Bearer authorization="https://login.microsoftonline.com/{TENANT}", resource="https://vault.azure.net"',
        ),
        (
            "Demo.Vault.Azure.CN:443",
            f'Bearer authorization="https://login.chinacloudapi.cn/{TENANT}", resource="https://Vault.Azure.CN"',
        ),
        (
            "demo.vault.usgovcloudapi.net",
            f'Bearer authorization="https://login.microsoftonline.us/{TENANT}", resource="https://vault.usgovcloudapi.net"',
        ),
        (
            "demo.vault.microsoftazure.de",
            f'Bearer authorization="https://login.microsoftonline.de/{TENANT}", resource="https://vault.microsoftazure.de"',
        ),
        (
            "demo.vault.azure.net:8443",
            f'Bearer authorization="https://login.localhost:8443/{TENANT}", resource="https://vault.azure.net:8443"',
        ),
        (
            "demo.vault.localhost:443",
            f'Bearer authorization="https://login.localhost:443/{TENANT}", resource="https://vault.localhost:443"',
        ),
        (
            "localhost:9000",
            f'Bearer authorization="https://login.localhost:9000/{TENANT}", resource="https://localhost:9000"',
        ),
    ],
)
def test_the_header_to_the_letter(host: str, header: str) -> None:
    assert Challenger().at(host, TENANT).header == header.encode()


def test_a_login_url_of_ones_own() -> None:
    built = Challenger("https://login.example.org/").at("demo.vault.localhost:8443", TENANT)
    assert built.header.startswith(f'Bearer authorization="https://login.example.org/{TENANT}", '.encode())
    assert f"https://login.example.org/{TENANT}/v2.0" in built.issuers
    genuine = Challenger("https://login.example.org/").at("demo.vault.azure.net", TENANT)
    assert genuine.header.startswith(f'Bearer authorization="https://login.example.org/{TENANT}", '.encode())


def test_challenges_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED_HOSTS", 10)
    challenger = Challenger()
    assert challenger.at(HOST, TENANT) is challenger.at(HOST, TENANT)
    for port in range(1, 100):
        challenger.at(f"demo.vault.localhost:{port}", TENANT)
    assert len(challenger._built) <= 10
