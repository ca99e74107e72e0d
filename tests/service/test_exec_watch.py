"""How the proxy's process notices that its program has ended, with and without a descriptor for it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator

import pytest

from claviger.cli import tunnelling
from tests.proxying import PATIENCE_S


@pytest.fixture
def program() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sh", "-c", "read line"], stdin=subprocess.PIPE) as started:
        yield started
        started.kill()


@pytest.mark.parametrize("with_descriptor", [True, False])
async def test_the_end_is_noticed_and_not_before(
    program: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, with_descriptor: bool
) -> None:
    monkeypatch.setattr(tunnelling, "_LOOK_S", 0.01)
    if with_descriptor and not hasattr(os, "pidfd_open"):
        pytest.skip("this system has no descriptors for processes; the other way is taken there")
    watched = os.pidfd_open(program.pid) if with_descriptor else None
    waiting = asyncio.create_task(tunnelling._end_of(program.pid, watched))
    await asyncio.wait([waiting], timeout=0.1)
    assert not waiting.done()
    assert program.stdin is not None
    program.stdin.close()
    await asyncio.to_thread(program.wait, PATIENCE_S)
    async with asyncio.timeout(PATIENCE_S):
        await waiting
    if watched is not None:
        asyncio.get_running_loop().remove_reader(watched)
        os.close(watched)
