"""Rotation of keys on both databases: killed at every step, beside other processes, with every kind of root key."""

from __future__ import annotations

import asyncio
import base64
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from claviger.core.errors import Conflict, Damaged, Misconfigured
from claviger.core.sensitive import Sensitive
from claviger.crypto.key_file import KeyFile, PassphraseFile
from claviger.crypto.root_key import EnvironmentKeys, RootKey
from claviger.sealing import records
from claviger.sealing.notes import SealedNotes
from tests.sealing import Crash, Machine, Process, Steps, secret, states

SCOPES = ["shelf:a", "shelf:b", "shelf:c"]


@pytest.fixture
def key_path(tmp_path: Path) -> Path:
    return tmp_path / "root.key"


@pytest.fixture
async def machine(database_url: str, key_path: Path) -> AsyncIterator[Machine]:
    made = Machine(database_url, KeyFile(key_path))
    yield made
    await made.close()


async def fill(process: Process, count: int = 8) -> dict[str, bytes]:
    """Values on three shelves, more of each than fit into a batch, and a note."""
    values = {f"{scope} {number}": f"value {scope} {number}".encode() for scope in SCOPES for number in range(count)}
    for name, value in values.items():
        await process.shelf.put(name.rpartition(" ")[0], name, value)
    await process.notes.put("note", secret("value of the note"))
    return values


async def all_open(process: Process, values: dict[str, bytes]) -> None:
    for name, value in values.items():
        assert await process.shelf.get(name) == value
    assert await process.notes.get("note") == secret("value of the note")


async def settled(process: Process, machine: Machine) -> None:
    """Nothing of an earlier key is left, in the database or in the source."""
    (root,) = await states(process.store, "root_keys")
    assert root == (machine.root_keys.read()[-1].id, "current")
    assert len(machine.root_keys.read()) == 1
    assert {state for _, state in await states(process.store, "data_keys")} == {"current"}


class TestRootKey:
    async def test_every_data_key_moves_under_the_new_one(self, machine: Machine) -> None:
        process = await machine.process()
        values = await fill(process, 1)
        (old,) = machine.root_keys.read()
        before: dict[int, bytes] = dict(await process.store.read("SELECT id, wrapped FROM data_keys"))
        done = await process.rotation.rotate_root_key()
        assert (done.rewrapped_count, done.resumed) == (4, False)
        assert done.root_key_id != old.id
        assert await process.store.read("SELECT DISTINCT root_key_id FROM data_keys") == [(done.root_key_id,)]
        after: dict[int, bytes] = dict(await process.store.read("SELECT id, wrapped FROM data_keys"))
        assert before.keys() == after.keys()
        assert not set(before.values()) & set(after.values())
        await settled(process, machine)
        await all_open(process, values)
        await all_open(await machine.process(), values)

    async def test_a_server_that_knows_the_old_key_works_on(self, machine: Machine) -> None:
        server, command = await machine.process(remembered=2), await machine.process()
        values = await fill(server, 1)
        await command.rotation.rotate_root_key()
        await all_open(server, values)  # it remembers two data keys and must unwrap the others anew
        values["new"] = b"new"
        await server.shelf.put("shelf:new", "new", b"new")
        await all_open(await machine.process(), values)
        await settled(server, machine)

    async def test_a_new_data_key_in_a_change_finds_the_new_root_key(self, machine: Machine) -> None:
        server, command = await machine.process(), await machine.process()
        await command.rotation.rotate_root_key()
        with pytest.raises(Conflict, match="RootKeyUnknown"):
            await server.store.write(lambda tx: server.keyring.create_data_key(tx, "shelf:a"))
        made = await server.keyring.write(lambda tx: server.keyring.create_data_key(tx, "shelf:a"))
        await command.keyring.loaded(made)

    async def test_a_process_that_stalled_does_nothing(self, machine: Machine) -> None:
        """It made a key, and meanwhile another process used that key, finished, and rotated once more."""
        other = await machine.process()
        values = await fill(other, 1)
        resume, stalled_at = asyncio.Event(), asyncio.Event()

        class Stalling(Steps):
            def end(self) -> None:
                loop.call_soon_threadsafe(stalled_at.set)
                asyncio.run_coroutine_threadsafe(resume.wait(), loop).result(30)

        loop = asyncio.get_running_loop()
        stalled = await machine.process(steps=Stalling())
        stalling = asyncio.create_task(stalled.rotation.rotate_root_key())
        await stalled_at.wait()
        first = await other.rotation.rotate_root_key()
        second = await other.rotation.rotate_root_key()
        assert first.root_key_id != second.root_key_id
        resume.set()
        with pytest.raises(Conflict, match="RotationElsewhere"):
            await stalling
        await all_open(await machine.process(), values)
        await settled(other, machine)

    async def test_a_key_that_is_about_to_be_used_is_not_forgotten(self, machine: Machine) -> None:
        with pytest.raises(Crash):
            await (await machine.process(steps=Steps(0, "after"))).rotation.rotate_root_key()
        _, made = machine.root_keys.read()
        process = await machine.process()
        await fill(process, 1)
        await process.rotation.finish()
        assert machine.root_keys.read()[-1].id == made.id
        assert (await process.rotation.rotate_root_key()).root_key_id == made.id
        await settled(process, machine)

    async def test_a_rotation_while_a_server_starts(self, machine: Machine, key_path: Path) -> None:
        """It ends between the server's reading of the rows and of the file: the rows name a key that is gone."""
        command = await machine.process()
        values = await fill(command, 1)
        loop = asyncio.get_running_loop()

        class Overtaken(KeyFile):
            rotations_left = 1

            def read(self) -> list[RootKey]:
                if self.rotations_left:
                    self.rotations_left -= 1
                    asyncio.run_coroutine_threadsafe(command.rotation.rotate_root_key(), loop).result(30)
                return super().read()

        await all_open(await machine.process(Overtaken(key_path)), values)

    async def test_two_that_rotate_at_once_do_no_harm(self, machine: Machine) -> None:
        processes = [await machine.process() for _ in range(3)]
        values = await fill(processes[0], 2)
        for _ in range(3):
            await asyncio.gather(*(process.rotation.rotate_root_key() for process in processes), return_exceptions=True)
            await all_open(await machine.process(), values)
        await processes[0].rotation.finish()
        await settled(processes[0], machine)

    async def test_a_broken_data_key_holds_up_itself_alone(self, machine: Machine) -> None:
        process = await machine.process()
        values = await fill(process, 1)
        broken = await process.keyring.ensure_data_key("shelf:b")
        await process.store.write(
            lambda tx: tx.execute("UPDATE data_keys SET wrapped = ? WHERE id = ?", b"\1" * 61, broken)
        )
        with pytest.raises(Damaged, match="DataKeyBroken"):
            await process.rotation.rotate_root_key()
        del values["shelf:b 0"]
        fresh = await machine.process()
        await all_open(fresh, values)
        assert len(machine.root_keys.read()) == 2
        assert (
            len(
                await fresh.store.read(
                    "SELECT 1 FROM data_keys AS k JOIN root_keys AS r ON r.id = k.root_key_id "
                    "WHERE r.state = 'previous'"
                )
            )
            == 1
        )

    async def test_environment_keys_rotate_by_a_second_variable(self, machine: Machine) -> None:
        one, other = (Sensitive(base64.b64encode(bytes([number]) * 32)) for number in (1, 2))
        server = await machine.process(EnvironmentKeys(one, other), remembered=1)
        values = await fill(server, 1)
        assert await states(server.store, "root_keys") == [(EnvironmentKeys(other).read()[0].id, "current")]
        with pytest.raises(Misconfigured, match="NewRootKeyMissing"):
            await server.rotation.rotate_root_key()
        third = Sensitive(base64.b64encode(bytes([3]) * 32))
        server = await machine.process(EnvironmentKeys(other, third), remembered=1)
        command = await machine.process(EnvironmentKeys(other, third))
        await command.rotation.rotate_root_key()
        await all_open(server, values)
        await all_open(await machine.process(EnvironmentKeys(third)), values)
        with pytest.raises(Misconfigured, match="RootKeyMissing"):
            await machine.process(EnvironmentKeys(other))

    async def test_a_passphrase_changes_while_a_server_works(self, machine: Machine, tmp_path: Path) -> None:
        path, (old, new) = tmp_path / "root.sealed", (Sensitive(f"the {word} passphrase") for word in ("old", "new"))
        await machine.process(PassphraseFile(path, old, log2_n=4))
        server = await machine.process(PassphraseFile(path, old, new, log2_n=4), remembered=1)
        values = await fill(server, 1)
        command = await machine.process(PassphraseFile(path, old, log2_n=4))
        await command.rotation.rotate_root_key()  # a new root key under the same passphrase
        await all_open(await machine.process(PassphraseFile(path, old, log2_n=4)), values)
        command = await machine.process(PassphraseFile(path, old, new, log2_n=4))
        await command.rotation.rotate_root_key()
        await all_open(server, values)
        await all_open(await machine.process(PassphraseFile(path, new, log2_n=4)), values)
        with pytest.raises(Misconfigured, match="WrongPassphrase"):
            await machine.process(PassphraseFile(path, old, log2_n=4))


class TestDataKeys:
    async def test_every_value_moves_under_a_new_key(self, machine: Machine) -> None:
        process = await machine.process()
        values = await fill(process)
        before = await process.store.read("SELECT data_key_id, sealed FROM sealed_notes")
        done = await process.rotation.rotate_data_keys()
        assert (done.retired_count, done.resealed_count, done.resumed) == (4, 25, False)
        assert done.kept_scopes == ()
        after = await process.store.read("SELECT data_key_id, sealed FROM sealed_notes")
        for column in (0, 1):
            assert not {row[column] for row in before} & {row[column] for row in after}
        await settled(process, machine)
        await all_open(process, values)
        await all_open(await machine.process(), values)

    async def test_only_the_scopes_that_were_meant(self, machine: Machine) -> None:
        process = await machine.process()
        await fill(process, 1)
        note_key = await process.keyring.ensure_data_key("notes")
        done = await process.rotation.rotate_data_keys("shelf:")
        assert (done.retired_count, done.resealed_count) == (3, 3)
        assert await process.keyring.ensure_data_key("notes") == note_key

    async def test_a_scope_that_nobody_seals_anew_keeps_its_keys(self, machine: Machine) -> None:
        process = await machine.process()
        old = await process.keyring.ensure_data_key("backups")
        sealed = process.keyring.seal(old, b"left the server", b"")
        for _ in range(2):
            done = await process.rotation.rotate_data_keys()
            assert (done.kept_scopes, done.resumed) == (("backups",), False)
            assert await process.keyring.ensure_data_key("backups") != old
        await process.rotation.rotate_root_key()
        fresh = await machine.process()
        await fresh.rotation.finish()
        assert await fresh.keyring.open(old, sealed, b"") == b"left the server"
        assert len(await states(fresh.store, "data_keys")) == 3

    async def test_a_server_that_seals_under_the_old_key_is_caught_up_with(self, machine: Machine) -> None:
        server, command = await machine.process(), await machine.process(steps=Steps(2, "before"))
        values = await fill(server)
        old = await server.keyring.ensure_data_key("shelf:a")
        with pytest.raises(Crash):
            await command.rotation.rotate_data_keys()
        values["late"] = b"late"
        assert await server.shelf.put("shelf:a", "late", b"late") == old  # begun, and not yet retired
        fresh = await machine.process()
        assert (await fresh.rotation.rotate_data_keys()).resumed
        await settled(fresh, machine)
        values["later"] = b"later"
        assert await server.shelf.put("shelf:a", "later", b"later") != old  # the foreign key refused the old one
        await all_open(await machine.process(), values)
        await all_open(server, values)

    async def test_a_reader_of_a_row_that_moved_reads_again(self, machine: Machine) -> None:
        reader, command = await machine.process(), await machine.process()
        await command.shelf.put("shelf:a", "name", b"value")
        row = await records.note(reader.store, "name")
        assert row is not None
        await command.rotation.rotate_data_keys()
        with pytest.raises(Conflict, match="DataKeyRetired"):
            await reader.keyring.open(*row, reader.shelf.bound("name"))
        assert await reader.shelf.get("name") == b"value"

    async def test_a_server_learns_of_a_new_key_in_time(self, machine: Machine) -> None:
        """Where nothing is retired, no foreign key tells it."""
        server, command = await machine.process(), await machine.process()
        old = await server.keyring.ensure_data_key("backups")
        await command.rotation.rotate_data_keys()
        assert await server.keyring.ensure_data_key("backups") == old
        machine.clock.advance(30)
        assert await server.keyring.ensure_data_key("backups") != old

    async def test_two_that_rotate_at_once_do_no_harm(self, machine: Machine) -> None:
        processes = [await machine.process() for _ in range(3)]
        values = await fill(processes[0])
        for _ in range(3):
            await asyncio.gather(*(process.rotation.rotate_data_keys() for process in processes))
            await all_open(await machine.process(), values)
        await settled(processes[0], machine)

    async def test_one_that_is_overtaken_has_nothing_left_to_do(self, machine: Machine, monkeypatch: Any) -> None:
        slow, quick = await machine.process(), await machine.process()
        values = await fill(quick)
        load, overtakings = slow.keyring.loaded, 0

        async def overtaken(data_key_id: int) -> None:
            nonlocal overtakings
            overtakings += 1
            if overtakings == 1:  # the key was there when it was looked for
                await quick.rotation.rotate_data_keys()
            await load(data_key_id)

        monkeypatch.setattr(slow.keyring, "loaded", overtaken)
        await slow.rotation.rotate_data_keys()
        assert overtakings > 0
        await settled(slow, machine)
        await all_open(await machine.process(), values)

    async def test_a_value_that_does_not_open_holds_up_its_scope_alone(self, machine: Machine) -> None:
        process = await machine.process()
        values = await fill(process)
        await process.store.write(
            lambda tx: tx.execute("UPDATE sealed_notes SET sealed = ? WHERE name = 'shelf:b 3'", b"\1" * 40)
        )
        with pytest.raises(Damaged, match="RotationUnfinished") as told:
            await process.rotation.rotate_data_keys()
        assert told.value.facts == {"count": 1, "scope": "shelf:b", "why": "SealBroken"}
        del values["shelf:b 3"]
        await all_open(await machine.process(), values)
        await process.store.write(lambda tx: records.delete_note(tx, "shelf:b 3"))
        assert (await process.rotation.rotate_data_keys()).resumed
        await settled(process, machine)
        await all_open(await machine.process(), values)

    async def test_a_part_that_overlooks_a_row_cannot_cost_it(self, machine: Machine) -> None:
        class Blind(SealedNotes):
            scope_prefix = "shelf:"

            def reseal_batch(self, tx: Any, scope: str, old: int, new: int, keyring: Any, limit: int) -> int:
                return 0

        process = await machine.process()
        values = await fill(process)
        blind = await machine.process(resealers=[Blind(process.store, process.keyring, machine.clock)])
        with pytest.raises(Damaged, match="RotationUnfinished") as told:
            await blind.rotation.rotate_data_keys("shelf:")
        assert "RowConstraint" in str(told.value.facts["why"])
        await all_open(await machine.process(), values)

    async def test_many_scopes_begin_in_one_change(self, machine: Machine) -> None:
        process = await machine.process(batch_size=100)
        for number in range(230):
            await process.keyring.ensure_data_key(f"shelf:{number:03}")
        with pytest.raises(Crash):
            await (await machine.process(steps=Steps(0, "after"))).rotation.rotate_data_keys()
        found = [state for _, state in await states(process.store, "data_keys")]
        assert (found.count("current"), found.count("previous")) == (230, 230)
        await (await machine.process()).rotation.finish()
        await settled(process, machine)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["root key", "data keys", "finish"])
async def test_killed_at_every_step(machine: Machine, kind: str, when: Any) -> None:
    """Each round crashes one step later, until a round has no such step. Every time all opens and work goes on."""
    server = await machine.process()
    values = await fill(server, 4)
    for step in itertools.count():
        steps = Steps(step, when)
        command = await machine.process(steps=steps)
        try:
            if kind != "data keys":
                await command.rotation.rotate_root_key()
            if kind != "root key":
                await command.rotation.rotate_data_keys()
        except Crash:
            pass
        else:
            break
        for process in (server, await machine.process()):
            await all_open(process, values)
            for scope in ("shelf:a", "shelf:new"):
                values[f"{scope} late"] = value = f"after step {step}".encode()
                await process.shelf.put(scope, f"{scope} late", value)
        fresh = await machine.process()
        if kind == "finish":
            await fresh.rotation.finish()
        elif kind == "root key":
            await fresh.rotation.rotate_root_key()
        else:
            await fresh.rotation.rotate_data_keys()
        if kind != "finish" or len(machine.root_keys.read()) == 1:
            await settled(fresh, machine)
        await all_open(await machine.process(), values)
        if len(machine.root_keys.read()) > 1:
            await fresh.rotation.rotate_root_key()  # a key was made, and its rotation never begun
            await settled(fresh, machine)
    assert step >= 5
    await settled(server, machine)


async def test_servers_write_and_read_on_while_keys_rotate(machine: Machine, seed: int) -> None:
    chance = random.Random(seed)
    servers = [await machine.process(remembered=3), await machine.process()]
    command = await machine.process(batch_size=20)
    values = await fill(servers[0])
    done, counts = asyncio.Event(), Counter[str]()

    async def write(server: Process, writer: str) -> None:
        while not done.is_set():
            number = counts[writer]
            scope = chance.choice([*SCOPES, f"shelf:{writer}{number % 5}"])
            name = f"{scope} {writer} {number % 20}"
            value = f"{name} {number}".encode()
            await server.shelf.put(scope, name, value)
            values[name] = value  # acknowledged
            counts[writer] += 1
            await asyncio.sleep(0)

    async def read(server: Process, reader: str) -> None:
        names = sorted(values)
        while not done.is_set():
            name = chance.choice(names)
            assert await server.shelf.get(name) == values[name]
            assert await server.notes.get("note") == secret("value of the note")
            counts[reader] += 1
            await asyncio.sleep(0)

    async def rotate() -> None:
        try:
            for round_number in itertools.count(1):
                await command.rotation.rotate_root_key()
                await command.rotation.rotate_data_keys()
                if round_number >= 3 and len(counts) == 6 and min(counts.values()) >= 10:
                    break
        finally:
            done.set()

    writers = [write(server, f"w{number}") for number, server in enumerate(servers * 2)]
    readers = [read(server, f"r{number}") for number, server in enumerate(servers)]
    await asyncio.wait_for(asyncio.gather(rotate(), *writers, *readers), 120)
    await command.rotation.finish()
    await settled(command, machine)
    for process in (*servers, await machine.process()):
        await all_open(process, values)
