"""What every test may ask for: an empty database of either kind, a private PostgreSQL, Node.js with the official SDK.

A test that asks for something the machine lacks is skipped with the reason, and fails for it when CI=true
(`tests/needs.py`). Nothing of the caller's environment reaches a test: no settings, no credentials, no proxy.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from claviger.core.clock import SystemClock
from claviger.store.opening import migrate
from scripts.machine import JS_CLIENTS, node, postgres_programs
from tests.needs import missing
from tests.postgres import Cluster, Databases

pytest_plugins = ["tests.managed_vaults", "tests.management", "tests.serving", "tests.desk", "tests.oci_plane"]

_FOREIGN_PREFIXES = ("CLAVIGER_", "AZURE_", "IDENTITY_", "MSI_", "ARM_")
_FOREIGN_NAMES = {
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NODE_OPTIONS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
}
_OF_TESTS = "CLAVIGER_TEST_"
EVERY_DAYS_SEED = 20261122  # the same every time: a test is red for a change, `make figures` looks further


def pytest_configure() -> None:
    """Cleans the environment; random tests print what replays them, and are not timed."""
    for name in list(os.environ):
        foreign = name.startswith(_FOREIGN_PREFIXES) or name.upper() in _FOREIGN_NAMES
        if foreign and not name.startswith(_OF_TESTS):
            del os.environ[name]
    settings.register_profile("claviger", deadline=None, print_blob=True)
    settings.load_profile("claviger")


@pytest.fixture
def seed() -> int:
    """The seed of every day, or of a run that is to be repeated or to look further."""
    chosen = int(os.environ.get(f"{_OF_TESTS}SEED", EVERY_DAYS_SEED))
    print(f"seed {chosen}: to run it again, set {_OF_TESTS}SEED={chosen}")  # noqa: T201
    return chosen


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A private PostgreSQL server, started for the first test that asks."""
    programs = postgres_programs()
    if programs is None:
        missing(
            "PostgreSQL",
            "`make test` as root or with sudo, `apt-get install postgresql` or `brew install postgresql`",
        )
    cluster = Cluster.make(programs, fsync=False)  # no test cuts the power: killed processes lose nothing by this
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture(scope="session")
def postgres_databases(request: pytest.FixtureRequest) -> Databases:
    """Makes empty databases; on the server that CLAVIGER_TEST_POSTGRES_URL names, else on a private one."""
    given = os.environ.get(f"{_OF_TESTS}POSTGRES_URL")
    return Databases(given or request.getfixturevalue("postgres_cluster").url)


@pytest.fixture
def postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    url = postgres_databases.create()
    yield url
    postgres_databases.drop(url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite database that does not exist yet."""
    return f"sqlite://{tmp_path}/database/claviger.db"


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database as all migrations leave it, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "claviger.db"
    migrate(f"sqlite://{path}", SystemClock())
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database that is migrated and empty but for that; the test runs once on each kind."""
    if request.param == "sqlite":
        url = str(request.getfixturevalue("sqlite_url"))
        path = Path(url.removeprefix("sqlite://"))
        path.parent.mkdir(mode=0o700)
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        path.chmod(0o600)
        yield url
        return
    databases: Databases = request.getfixturevalue("postgres_databases")
    url = databases.create_migrated()
    yield url
    databases.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def blank_url(request: pytest.FixtureRequest) -> str:
    """A database with nothing in it; the test runs once on each kind."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@dataclass(frozen=True)
class NodeClients:
    """Runs scripts that use the official JavaScript SDK: `[*command, script]`, the script anywhere below `folder`."""

    command: tuple[str, ...]
    folder: Path


@pytest.fixture(scope="session")
def node_clients() -> NodeClients:
    """Node.js and the installed packages of tests/clients/js."""
    found = node()
    if found is None:
        missing(
            "Node.js 18 or newer",
            "`make test` as root or with sudo, `apt-get install nodejs npm`, `brew install node`",
        )
    if not (JS_CLIENTS / "node_modules" / "@azure" / "keyvault-secrets").is_dir():
        missing("the JavaScript SDK", f"`make test`, or `npm ci` in {JS_CLIENTS}")
    return NodeClients(found.command, JS_CLIENTS)
