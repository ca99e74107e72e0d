"""The keyring on both databases: the right root key or none, values that open only where they belong."""
# ruff: noqa: ASYNC240 - small files, no other task to hold up

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest

from claviger.core.errors import Conflict, Damaged, Misconfigured, Refusal
from claviger.core.sensitive import Sensitive
from claviger.crypto.envelope import associated_data
from claviger.crypto.key_file import KeyFile, PassphraseFile
from claviger.crypto.root_key import EnvironmentKeys
from claviger.sealing import records, wrapping
from claviger.sealing.keyring import Keyring
from tests.sealing import Machine, secret, states

HERE = associated_data("here")


@pytest.fixture
def key_path(tmp_path: Path) -> Path:
    return tmp_path / "root.key"


@pytest.fixture
async def machine(database_url: str, key_path: Path) -> AsyncIterator[Machine]:
    made = Machine(database_url, KeyFile(key_path))
    yield made
    await made.close()


async def refused(refusal: type[Refusal], reason: str, call: Awaitable[object]) -> Refusal:
    with pytest.raises(refusal) as told:
        await call
    assert told.value.reason == reason
    return told.value


class TestStart:
    async def test_an_empty_database_gets_a_root_key(self, machine: Machine) -> None:
        process = await machine.process()
        (key,) = machine.root_keys.read()
        assert await states(process.store, "root_keys") == [(key.id, "current")]

    async def test_processes_that_start_at_once_agree(self, machine: Machine) -> None:
        keyrings = [Keyring(await machine.store(), machine.root_keys, machine.clock) for _ in range(4)]
        await asyncio.gather(*(keyring.load() for keyring in keyrings))
        ids = await asyncio.gather(*(keyring.ensure_data_key("shelf:a") for keyring in keyrings))
        assert len(set(ids)) == 1
        assert len(await states(await machine.store(), "root_keys")) == 1
        sealed = keyrings[0].seal(ids[0], b"value", HERE)
        assert [await keyring.open(ids[0], sealed, HERE) for keyring in keyrings] == [b"value"] * 4

    async def test_a_crash_between_key_and_database_is_no_harm(self, machine: Machine) -> None:
        key = machine.root_keys.next_after(None, 1.0)
        process = await machine.process()
        assert await states(process.store, "root_keys") == [(key.id, "current")]

    async def test_a_missing_root_key_is_never_replaced(self, machine: Machine, key_path: Path) -> None:
        await (await machine.process()).notes.put("a", secret("value"))
        kept = key_path.read_bytes()
        key_path.unlink()
        told = await refused(Misconfigured, "RootKeyMissing", machine.process())
        assert str(key_path) in str(told)
        assert "copy" in str(told.facts["fix"])
        assert not key_path.exists()
        key_path.write_bytes(kept)
        key_path.chmod(0o600)
        assert await (await machine.process()).notes.get("a") == secret("value")

    async def test_another_servers_root_key_is_refused(self, machine: Machine, tmp_path: Path) -> None:
        process = await machine.process()
        foreign = KeyFile(tmp_path / "foreign.key")
        foreign.next_after(None, 1.0)
        told = await refused(Misconfigured, "RootKeyMissing", machine.process(foreign))
        assert machine.root_keys.read()[0].id in str(told)
        assert len(foreign.read()) == 1
        assert len(await states(process.store, "root_keys")) == 1

    async def test_a_changed_check_value_is_refused(self, machine: Machine) -> None:
        process = await machine.process()
        ((check_value,),) = await process.store.read("SELECT check_value FROM root_keys")
        changed = check_value[:-1] + bytes([check_value[-1] ^ 1])
        await process.store.write(lambda tx: tx.execute("UPDATE root_keys SET check_value = ?", changed))
        told = await refused(Damaged, "RootKeyCheck", machine.process())
        assert told.facts["fix"]

    async def test_a_root_key_row_under_a_foreign_id_is_refused(self, machine: Machine, tmp_path: Path) -> None:
        process = await machine.process()
        foreign = KeyFile(tmp_path / "foreign.key")
        stranger = foreign.next_after(None, 1.0)
        await process.store.write(lambda tx: tx.execute("UPDATE root_keys SET id = ?", stranger.id))
        await refused(Damaged, "RootKeyCheck", machine.process(foreign))

    async def test_no_current_root_key_is_refused(self, machine: Machine) -> None:
        process = await machine.process()
        await process.store.write(lambda tx: tx.execute("UPDATE root_keys SET state = 'previous'"))
        await refused(Damaged, "RootKeyCheck", machine.process())

    async def test_a_passphrase_serves_as_source(self, machine: Machine, tmp_path: Path) -> None:
        def source(passphrase: str) -> PassphraseFile:
            return PassphraseFile(tmp_path / "root.sealed", Sensitive(passphrase), log2_n=4)

        await (await machine.process(source("the right passphrase"))).notes.put("a", secret("value"))
        process = await machine.process(source("the right passphrase"))
        assert await process.notes.get("a") == secret("value")
        await refused(Misconfigured, "WrongPassphrase", machine.process(source("some other passphrase")))

    async def test_the_environment_serves_as_source(self, machine: Machine) -> None:
        one, other = (EnvironmentKeys(Sensitive(base64.b64encode(bytes([n]) * 32))) for n in (1, 2))
        await (await machine.process(one)).notes.put("a", secret("value"))
        assert await (await machine.process(one)).notes.get("a") == secret("value")
        await refused(Misconfigured, "RootKeyMissing", machine.process(other))


class TestDataKeys:
    async def test_a_scope_has_one_current_key(self, machine: Machine) -> None:
        one, other = await machine.process(), await machine.process()
        ids = await asyncio.gather(*(process.keyring.ensure_data_key("shelf:a") for process in [one, other] * 10))
        assert len(set(ids)) == 1
        assert await states(one.store, "data_keys") == [(ids[0], "current")]
        assert await other.keyring.ensure_data_key("shelf:b") != ids[0]

    async def test_a_key_is_made_inside_a_change(self, machine: Machine) -> None:
        keyring = (await machine.process()).keyring
        made = await keyring.write(lambda tx: keyring.create_data_key(tx, "shelf:a"))
        assert await keyring.write(lambda tx: records.current_data_key_in(tx, "shelf:a")) == made
        assert await keyring.write(lambda tx: records.current_data_key_in(tx, "shelf:b")) is None
        assert await keyring.ensure_data_key("shelf:a") == made
        with pytest.raises(Conflict):
            await keyring.write(lambda tx: keyring.create_data_key(tx, "shelf:a"))

    async def test_a_value_opens_in_another_process(self, machine: Machine) -> None:
        one, other = await machine.process(), await machine.process()
        key = await one.keyring.ensure_data_key("shelf:a")
        sealed = one.keyring.seal(key, b"value", HERE)
        assert one.keyring.open_now(key, sealed, HERE) == b"value"
        assert other.keyring.open_now(key, sealed, HERE) is None
        assert await other.keyring.open(key, sealed, HERE) == b"value"
        assert other.keyring.open_now(key, sealed, HERE) == b"value"

    async def test_sealing_needs_a_loaded_key(self, machine: Machine) -> None:
        one, other = await machine.process(), await machine.process()
        key = await one.keyring.ensure_data_key("shelf:a")
        with pytest.raises(Conflict, match="DataKeyNotLoaded"):
            other.keyring.seal(key, b"value", HERE)
        await other.keyring.loaded(key)
        other.keyring.seal(key, b"value", HERE)
        await refused(Conflict, "DataKeyRetired", other.keyring.loaded(key + 1))

    async def test_memory_is_bounded_and_goes_by_use(self, machine: Machine) -> None:
        keyring = (await machine.process(remembered=3)).keyring
        keys = [await keyring.ensure_data_key(f"shelf:{number}") for number in range(3)]
        sealed = [keyring.seal(key, b"value", HERE) for key in keys]
        keyring.open_now(keys[0], sealed[0], HERE)
        await keyring.ensure_data_key("shelf:3")
        assert [keyring.open_now(keys[at], sealed[at], HERE) for at in (0, 1, 2)] == [b"value", None, b"value"]
        with keyring.held(keys[0], keys[2]):
            for number in range(4, 9):
                await keyring.ensure_data_key(f"shelf:{number}")
            assert [keyring.open_now(keys[at], sealed[at], HERE) for at in (0, 2)] == [b"value"] * 2
        for number in range(9, 13):
            await keyring.ensure_data_key(f"shelf:{number}")
        assert [keyring.open_now(keys[at], sealed[at], HERE) for at in (0, 2)] == [None, None]
        assert await keyring.open(keys[0], sealed[0], HERE) == b"value"

    async def test_a_scope_that_is_gone_takes_its_keys_along(self, machine: Machine) -> None:
        one, other = await machine.process(), await machine.process()
        key = await one.shelf.put("shelf:a", "name", b"value")
        await other.keyring.ensure_data_key("shelf:a")
        with pytest.raises(Conflict, match="RowConstraint"):
            await one.store.write(lambda tx: one.keyring.delete_data_keys(tx, "shelf:a"))
        await one.notes.delete("name")
        assert await one.store.write(lambda tx: one.keyring.delete_data_keys(tx, "shelf:a")) == 1
        await refused(Conflict, "DataKeyRetired", other.shelf.put("shelf:a", "name", b"value"))
        machine.clock.advance(30)  # so long a process may take a key for the current one
        assert await one.keyring.ensure_data_key("shelf:a") != key

    async def test_a_row_refused_for_its_own_reason_is_tried_once(self, machine: Machine) -> None:
        process = await machine.process()
        attempts: list[int] = []

        async def attempt(data_key_id: int) -> None:
            attempts.append(data_key_id)
            await process.store.write(
                lambda tx: tx.execute("INSERT INTO sealed_notes (name, data_key_id) VALUES ('a', ?)", data_key_id)
            )

        await refused(Conflict, "RowConstraint", process.keyring.with_data_key("shelf:a", attempt))
        assert len(attempts) == 1

    async def test_a_root_key_that_cannot_be_had_is_asked_for_once_a_second(self, machine: Machine) -> None:
        class Counting(KeyFile):
            reads = 0

            def read(self) -> Any:
                self.reads += 1
                return []

        source = Counting(Path("nowhere"))
        store = await machine.store()
        process = await machine.process()
        key = await process.shelf.put("shelf:a", "name", b"value")
        keyring = Keyring(store, source, machine.clock)
        results = await asyncio.gather(*(keyring.loaded(key) for _ in range(20)), return_exceptions=True)
        assert {getattr(result, "reason", None) for result in results} == {"RootKeyMissing"}
        asked = source.reads
        await refused(Misconfigured, "RootKeyMissing", keyring.loaded(key))
        assert source.reads == asked
        machine.clock.advance(1)
        await refused(Misconfigured, "RootKeyMissing", keyring.loaded(key))
        assert source.reads > asked


class TestTampering:
    """Whoever can write the database cannot make one value pass for another."""

    async def _two(self, machine: Machine) -> tuple[Any, list[int]]:
        process = await machine.process()
        keys = [await process.shelf.put(f"shelf:{name}", name, name.encode() + b" value") for name in ("a", "b")]
        return process, keys

    @pytest.mark.parametrize("change", ["scope", "id", "wrapped", "root_key_id"])
    async def test_a_wrapped_key_opens_only_in_its_row(self, machine: Machine, change: str) -> None:
        process, (one, other) = await self._two(machine)
        ((wrapped,),) = await process.store.read("SELECT wrapped FROM data_keys WHERE id = ?", other)

        def tamper(tx: Any) -> None:
            if change == "scope":
                tx.execute("UPDATE data_keys SET scope = 'shelf:c' WHERE id = ?", one)
            elif change == "wrapped":
                tx.execute("UPDATE data_keys SET wrapped = ? WHERE id = ?", wrapped, one)
            elif change == "root_key_id":
                tx.execute("INSERT INTO root_keys VALUES ('x', 'previous', ?, 0)", wrapped)
                tx.execute("UPDATE data_keys SET root_key_id = 'x' WHERE id = ?", one)
            else:
                tx.execute("DELETE FROM sealed_notes WHERE data_key_id = ?", one)
                tx.execute("UPDATE data_keys SET id = 5 WHERE id = ?", one)
                tx.execute(
                    "INSERT INTO sealed_notes (name, data_key_id, sealed, updated_at) VALUES ('a', 5, ?, 0)", wrapped
                )

        await process.store.write(tamper)
        if change == "root_key_id":
            await refused(Misconfigured, "RootKeyMissing", machine.process())
            return
        fresh = await machine.process()
        await refused(Damaged, "DataKeyBroken", fresh.shelf.get("a"))
        assert await fresh.shelf.get("b") == b"b value"

    @pytest.mark.parametrize("change", ["name", "data_key_id", "sealed", "both"])
    async def test_a_value_opens_only_in_its_row(self, machine: Machine, change: str) -> None:
        process, (_, other) = await self._two(machine)
        ((sealed,),) = await process.store.read("SELECT sealed FROM sealed_notes WHERE name = 'b'")

        def tamper(tx: Any) -> None:
            if change == "name":
                tx.execute("DELETE FROM sealed_notes WHERE name = 'a'")
                tx.execute("UPDATE sealed_notes SET name = 'a' WHERE name = 'b'")
            if change in ("data_key_id", "both"):
                tx.execute("UPDATE sealed_notes SET data_key_id = ? WHERE name = 'a'", other)
            if change in ("sealed", "both"):
                tx.execute("UPDATE sealed_notes SET sealed = ? WHERE name = 'a'", sealed)

        await process.store.write(tamper)
        told = await refused(Damaged, "SealBroken", (await machine.process()).shelf.get("a"))
        assert told.facts == {}


class TestNotes:
    async def test_a_note_is_kept(self, machine: Machine) -> None:
        process = await machine.process()
        assert await process.notes.get("a") is None
        await process.notes.put("a", secret("one"))
        await process.notes.put("a", secret("two"))
        await process.notes.put("b", Sensitive(b"\x00\xff"))
        fresh = await machine.process()
        assert await fresh.notes.get("a") == secret("two")
        assert await fresh.notes.get("b") == Sensitive(b"\x00\xff")
        assert await fresh.notes.delete("a")
        assert not await fresh.notes.delete("a")
        assert await process.notes.get("a") is None

    async def test_a_note_under_another_name_does_not_open(self, machine: Machine) -> None:
        process = await machine.process()
        await process.notes.put("a", secret("value"))
        await process.store.write(lambda tx: tx.execute("UPDATE sealed_notes SET name = 'b'"))
        await refused(Damaged, "SealBroken", process.notes.get("b"))

    async def test_all_who_make_a_note_at_once_get_the_same_one(self, machine: Machine) -> None:
        processes = [await machine.process() for _ in range(3)]
        notes = [secret(f"key {number}") for number in range(9)]
        made = await asyncio.gather(
            *(process.notes.ensure("ca", notes.pop) for process in processes * 3),
        )
        assert all(note == made[0] for note in made)
        assert await processes[0].notes.ensure("ca", lambda: secret("late")) == made[0]

    @pytest.mark.parametrize(("name", "size"), [("", 1), ("n" * 129, 1), ("name", 65537)])
    async def test_a_note_has_limits(self, machine: Machine, name: str, size: int) -> None:
        process = await machine.process()
        with pytest.raises(Refusal, match="Note"):
            await process.notes.put(name, Sensitive(b"v" * size))
        with pytest.raises(Refusal, match="Note"):
            await process.notes.ensure(name, lambda: Sensitive(b"v" * size))


async def test_no_key_and_no_value_shows_anywhere(
    machine: Machine, key_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    canary = b"canary-7f3e9d2c51aa04b86677-canary"
    with caplog.at_level(logging.DEBUG):
        process = await machine.process()
        data_key_id = await process.shelf.put("shelf:a", "name", canary)
        root = machine.root_keys.read()[0]
        row = await records.data_key(process.store, data_key_id)
        assert row is not None
        old_data_key = wrapping.unwrapped(row, root)
        old_root_key = base64.b64decode(key_path.read_text().split()[-1])
        await process.rotation.rotate_root_key()
        await process.rotation.rotate_data_keys()
        logging.getLogger("test").debug("%r %s %r", process, vars(process.keyring), machine.root_keys.read())
        refusals = [
            await refused(Damaged, "SealBroken", process.keyring.open(await _key(process), canary, HERE)),
            await refused(Conflict, "DataKeyRetired", process.keyring.open(data_key_id, canary, HERE)),
        ]
    stored = [repr(value).encode() + _raw(value) for value in await _everything(process.store)]
    shown = [caplog.text.encode(), *(f"{told} {told!r} {told.facts}".encode() for told in refusals)]
    await machine.close()
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path != key_path]
    new_root_key = base64.b64decode(key_path.read_text().split()[-1])
    assert new_root_key != old_root_key
    assert old_root_key.hex() not in key_path.read_text()
    for what in (canary, old_data_key, old_root_key, new_root_key):
        for form in (what, what.hex().encode(), base64.b64encode(what)[:40], repr(what).encode()[2:-1]):
            assert not any(form in place for place in [*stored, *shown, *files])


async def _key(process: Any) -> int:
    return int(await process.keyring.ensure_data_key("shelf:a"))


def _raw(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


async def _everything(store: Any) -> list[Any]:
    tables = ("root_keys", "data_keys", "sealed_notes", "meta")
    return [value for table in tables for row in await store.read(f"SELECT * FROM {table}") for value in row]
