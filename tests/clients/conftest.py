"""One server for all tests that run programs under `claviger exec`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.executing import Shell, shell_on


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell beside a running server, with no way out."""
    with shell_on(tmp_path_factory.mktemp("exec")) as made:
        yield made
