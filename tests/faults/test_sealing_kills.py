"""Rotations killed with -9 at random moments, beside a server that goes on writing: no value and no key is lost."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from claviger.crypto.key_file import KeyFile
from tests.sealing import Machine, Shelf, secret, states

KILLS = 8
LONGEST_LIFE_S = 0.15
ROOT = Path(__file__).resolve().parents[2]


async def test_rotations_killed_at_random_moments(database_url: str, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    key_path = tmp_path / "root.key"
    machine = Machine(database_url, KeyFile(key_path))
    server = await machine.process()
    await server.notes.put("note", secret("value"))
    values: dict[str, bytes] = {}
    seen = {machine.root_keys.read()[0].id}
    try:
        for kill in itertools.count():
            if kill >= KILLS and len(seen) > 2:  # it was killed at work, not only before it
                break
            command = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.sealing", database_url, str(key_path), cwd=ROOT, stdout=PIPE
            )
            try:
                assert command.stdout is not None
                assert await asyncio.wait_for(command.stdout.readline(), 60) == b"ready\n"
                writing = asyncio.create_task(_write(server.shelf, values, kill))
                await asyncio.sleep(chance.uniform(0, LONGEST_LIFE_S))
            finally:
                command.kill()
                await command.wait()
            await writing
            fresh = await machine.process()
            for process in (server, fresh):
                assert [await process.shelf.get(name) for name in values] == list(values.values())
                assert await process.notes.get("note") == secret("value")
            seen |= {key.id for key in machine.root_keys.read()}
        await fresh.rotation.rotate_root_key()
        await fresh.rotation.rotate_data_keys()
        assert len(machine.root_keys.read()) == 1
        assert len(await states(fresh.store, "root_keys")) == 1
        assert {state for _, state in await states(fresh.store, "data_keys")} == {"current"}
        assert [await server.shelf.get(name) for name in values] == list(values.values())
    finally:
        await machine.close()


async def _write(shelf: Shelf, values: dict[str, bytes], kill: int) -> None:
    for number in range(12):
        name = f"{kill} {number}"
        await shelf.put(f"shelf:{number % 4}", name, name.encode())
        values[name] = name.encode()
