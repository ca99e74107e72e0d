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
            f'Bearer authorization="https://login.localhost/{TENANT}", resource="https://vault.azure.net"',
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


def test_challenges_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED_HOSTS", 10)
    challenger = Challenger()
    assert challenger.at(HOST, TENANT) is challenger.at(HOST, TENANT)
    for port in range(1, 100):
        challenger.at(f"demo.vault.localhost:{port}", TENANT)
    assert len(challenger._built) <= 10
