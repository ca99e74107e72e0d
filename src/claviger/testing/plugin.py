"""The pytest plugin: fixtures `claviger` (a server for the session) and `claviger_vault` (a fresh vault for each test).

Installed with Claviger, and idle until a test asks for one of them. Override `claviger_settings` or `claviger_seed` in
a conftest.py to run the server with other settings. docs/testing.md explains all of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from claviger.testing.handles import Claviger, ClavigerVault

MARK = "claviger_vault"


def pytest_configure(config: pytest.Config) -> None:
    """Makes the mark known."""
    config.addinivalue_line(
        "markers", f"{MARK}(retention_days=90, purge_protection=False, ...): settings of the vault of claviger_vault"
    )


@pytest.fixture(scope="session")
def claviger_settings() -> Mapping[str, str]:
    """Settings of the server as environment variables, for example {"CLAVIGER_DATABASE_URL": "postgresql://..."}."""
    return {}


@pytest.fixture(scope="session")
def claviger_seed() -> Path | str | None:
    """A seed file for the server."""
    return None


@pytest.fixture(scope="session")
def claviger(
    tmp_path_factory: pytest.TempPathFactory, claviger_settings: Mapping[str, str], claviger_seed: Path | str | None
) -> Iterator[Claviger]:
    """A Claviger server on a free port, with its data in a temporary directory, for the whole session."""
    from claviger.testing import names
    from claviger.testing.process import ServerProcess

    folder = tmp_path_factory.mktemp("claviger")
    seed = {"CLAVIGER_SEED": os.fspath(Path(claviger_seed).absolute())} if claviger_seed is not None else {}
    process = ServerProcess(folder, {**claviger_settings, **seed})
    with names.known():
        process.start()
        try:
            yield Claviger(process, folder)
        finally:
            process.stop()


@pytest.fixture
def claviger_vault(claviger: Claviger, request: pytest.FixtureRequest) -> Iterator[ClavigerVault]:
    """A vault of the test's own. All switches that the test has moved are put back after it."""
    mark = request.node.get_closest_marker(MARK)
    yield claviger.make_vault(**(dict(mark.kwargs) if mark else {}))
    claviger.reset()


@pytest.fixture
def claviger_environ(claviger_vault: ClavigerVault) -> Iterator[ClavigerVault]:
    """The same vault, with its environment set for the time of the test: programs under test need no change."""
    with claviger_vault.environ():
        yield claviger_vault
