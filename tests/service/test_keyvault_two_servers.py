"""Two servers on one PostgreSQL database and one root key: what one has acknowledged, the other shows at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.postgres import Databases
from tests.server import RunningServer
from tests.serving import Estate
from tests.vaults import VaultClient, accepted, version_of

Pair = tuple[VaultClient, VaultClient]


@pytest.fixture(scope="module")
def pair(postgres_databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The same vault through either server."""
    folder, url = tmp_path_factory.mktemp("pair"), postgres_databases.create()
    first = RunningServer(folder / "first", url)
    second = RunningServer(folder / "second", url, {"CLAVIGER_ROOT_KEY_FILE": str(first.data / "root.key")})
    try:
        for server in (first, second):
            server.data.parent.mkdir()
            server.start()
        estates = Estate(first), Estate(second)
        vault = estates[0].make_vault()
        other = estates[1]
        yield vault, VaultClient(second, vault.name, other.http, other.token(other.demo_application))
        for estate in estates:
            estate.assert_nothing_failed()
    finally:
        for server in (first, second):
            server.kill()
        postgres_databases.drop(url)


def test_both_export_the_same_identity(pair: Pair):
    first, second = (vault.server.exported for vault in pair)
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "IDENTITY_HEADER"):
        assert first[name] == second[name]
    assert first["AZURE_KEYVAULT_URL"] != second["AZURE_KEYVAULT_URL"]


def test_a_change_through_one_is_seen_through_the_other(pair: Pair, name: str):
    for writer, reader in (pair, pair[::-1]):
        for _ in range(5):
            made = writer.put(name, "seen")
            assert reader.get(name)["attributes"] == made["attributes"]
            writer.delete(name)
            assert reader.ask("GET", f"/secrets/{name}").status_code == 404
            reader.recover(name)
            assert writer.get(name)["value"] == "seen"
            reader.delete(name)
            writer.purge(name)
            assert reader.ask("GET", f"/deletedsecrets/{name}").status_code == 404


def test_ids_carry_the_host_and_port_that_each_was_asked_at(pair: Pair, name: str):
    pair[0].put(name)
    for vault in pair:
        assert vault.get(name)["id"].startswith(f"{vault.url}/secrets/{name}/")


def test_a_backup_of_one_restores_through_the_other(pair: Pair, name: str):
    first, second = pair
    first.put(name, "moved")
    blob = first.backup(name)
    first.delete(name)
    first.purge(name)
    second.restore(blob)
    assert first.get(name)["value"] == "moved"


def test_writers_through_both_lose_nothing(pair: Pair, name: str):
    def write(number: int) -> str:
        return version_of(pair[number % 2].put(name, str(number)))

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(write, range(60)))
    assert {version_of(item) for item in pair[0].versions(name)} == set(made)
    assert pair[0].get(name)["value"] == pair[1].get(name)["value"]


def test_of_deletions_through_both_one_wins(pair: Pair, name: str):
    for _ in range(5):
        pair[0].put(name)
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda n: pair[n % 2].ask("DELETE", f"/secrets/{name}").status_code, range(8)))
        assert sorted(statuses) == [200] + [404] * 7
        pair[1].purge(name)


def test_keys_rotated_through_one_serve_the_other(pair: Pair, name: str):
    first, second = pair
    before = second.put(name, "before")
    first.server.command("keys", "rotate", "--root", "--data-keys", "--signing")
    for vault in pair:
        assert accepted(vault.ask("GET", f"/secrets/{name}/{version_of(before)}"))["value"] == "before"
        vault.put(name, "after")
        assert vault.get(name)["value"] == "after"
    assert len(first.versions(name)) == 3
