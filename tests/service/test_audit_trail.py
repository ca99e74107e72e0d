"""Changes under a trail carry exactly its records, on either database; what is read is recorded as the setting says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from claviger.audit import records
from claviger.audit.entry import Actor, Entry, Subject, decoded, encoded
from claviger.audit.log import AuditLog
from claviger.audit.records import object_key, shared_by
from claviger.audit.stamp import ObjectStamp, Stamp, Stamped, StampedObject
from claviger.audit.trail import (
    BEGUN,
    AuditedStore,
    Trail,
    about,
    also_about,
    fail,
    following,
    silently,
    staged,
    telling,
    turn_down,
    withhold,
    write_refused,
)
from claviger.core.clock import ManualClock
from claviger.core.errors import Conflict, Forbidden, Misconfigured
from claviger.settings import load_settings
from claviger.store.contract import Store, Tx
from claviger.store.opening import open_store
from tests.inprocess import runs_on

CLOCK = ManualClock(1_800_000_000.0)


class Ledger:
    """A store with a log, and what stands in both."""

    def __init__(self, store: Store) -> None:
        self.plain = store
        self.log = AuditLog(store)
        self.store = AuditedStore(store, self.log)

    async def told(self) -> list[str]:
        """Outcome, object and details of every record."""
        rows = [decoded(row.body) for row in await records.rows_after(self.plain, -1, 1000)]
        return [f"{entry.outcome} {entry.object.id} {sorted(entry.details.items())} {entry.status}" for entry in rows]

    async def keys(self) -> list[str]:
        """What changes have left."""
        return [row[0] for row in await self.plain.read("SELECT key FROM meta WHERE key LIKE 'trail-%' ORDER BY key")]


def add(tx: Tx, key: str) -> None:
    tx.execute("INSERT INTO meta (key, value) VALUES (?, '')", f"trail-{key}")


def trail() -> Trail:
    return Trail(CLOCK, origin="api", service="cckm", action="Do it", actor=Actor(username="ada"))


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    store = await open_store(database_url, CLOCK)
    yield Ledger(store)
    await store.close()


async def test_a_change_carries_its_record_and_a_failed_one_leaves_none(ledger: Ledger) -> None:
    def good(tx: Tx) -> None:
        about("thing", "one", "One")
        telling(size=3)
        add(tx, "good")

    def bad(tx: Tx) -> None:
        about("thing", "two")
        add(tx, "bad")
        raise Conflict("NotNow")

    with following(trail()):
        await ledger.store.write(good)
    with following(trail()), pytest.raises(Conflict):
        await ledger.store.write(bad)
    with following(trail()), pytest.raises(Conflict):
        await ledger.store.write(good)  # the key is there
    assert await ledger.keys() == ["trail-good"]
    assert await ledger.told() == ["granted one [('size', 3)] 0"]


async def test_what_is_silent_withheld_or_without_a_trail_leaves_none(ledger: Ledger) -> None:
    await ledger.store.write(lambda tx: add(tx, "a"))
    with following(trail()) as _, silently():
        await ledger.store.write(lambda tx: add(tx, "b"))

    def nothing(tx: Tx) -> None:
        withhold()

    with following(trail()):
        await ledger.store.write(nothing)
    assert await ledger.told() == []
    assert await ledger.keys() == ["trail-a", "trail-b"]


async def test_a_change_that_ends_a_refused_call_carries_the_refusal(ledger: Ledger) -> None:
    told = trail()
    with following(told):
        await write_refused(ledger.store, lambda tx: add(tx, "a"), Forbidden("Theirs"), 403)
    assert told.is_told
    again = trail()

    def turned(tx: Tx) -> None:
        add(tx, "b")
        turn_down(Forbidden("Stolen"), 401)

    with following(again):
        await ledger.store.write(turned)
    assert again.is_told

    def failed(tx: Tx) -> None:
        add(tx, "c")
        fail("it broke")

    with following(trail()):
        await ledger.store.write(failed)
    assert await ledger.told() == [
        "refused  [('reason', 'Theirs')] 403",
        "refused  [('reason', 'Stolen')] 401",
        "failed  [('reason', 'it broke')] 0",
    ]


async def test_stages_several_objects_and_work_that_is_resumed(ledger: Ledger) -> None:
    first = trail()
    first.status, first.request_id = 201, "r-1"

    def begun(tx: Tx) -> None:
        staged(BEGUN)

    def purged(tx: Tx) -> None:
        for name in ("x", "y"):
            also_about("thing", name)

    with following(first):
        await ledger.store.write(begun)
    with following(first.kept().resumed(CLOCK, "finisher")):
        await ledger.store.write(purged)
    assert await ledger.told() == ["granted  [('stage', 'begun')] 0", "granted x [] 0", "granted y [] 0"]
    bodies = [decoded(row.body) for row in await records.rows_after(ledger.plain, -1, 10)]
    assert [(entry.origin, entry.actor.username, entry.request_id) for entry in bodies] == [
        ("api", "ada", "r-1"),
        ("finisher", "ada", "r-1"),
        ("finisher", "ada", "r-1"),
    ]


def test_a_stamp_makes_what_an_entry_makes() -> None:
    shared: dict[str, Any] = {
        "action": 'Get 100 % "of it"',
        "actor": Actor(address="::1", user_id="u", username="größe"),
        "domain_id": "d",
        "origin": "keyvault",
        "service": "keyvault",
        "status": 200,
    }
    stamp = Stamp(**shared, kind="secret", container="demo")
    version, at = "0a" * 16, 1_800_000_000.123456
    entry = Entry(
        **shared,
        at=at,
        details={"version": version},
        object=Subject(container="demo", id="demo/secrets/my-name", kind="secret", name="My-Name"),
        outcome="granted",
        request_id="r-1",
    )
    leaf = Stamped(stamp, at, "My-Name", version, b"r-1").leaf()
    assert leaf.body == encoded(entry)
    assert decoded(leaf.body) == decoded(encoded(entry))
    with pytest.raises(ValueError, match="marks"):
        Stamp(**{**shared, "action": "@name@"}, kind="secret", container="demo")


@pytest.mark.parametrize(
    "subject",
    [
        Subject(container="ocid1.compartment.x", id="ocid1.key.x", kind="key", name="orders"),
        Subject(container="", id="", kind="", name=""),
        Subject(container="@id@", id="@name@", kind="%b", name='größe "%s" \\ \x01 \ud800 @request@'),
        Subject(id="x" * 600, name="y" * 600),
    ],
)
def test_a_stamp_for_any_object_makes_what_an_entry_makes(subject: Subject) -> None:
    shared: dict[str, Any] = {
        "action": 'Get 100 % "of it"',
        "actor": Actor(address="::1", user_id="u", username="größe"),
        "domain_id": "d",
        "origin": "ocikms",
        "service": "ocikms",
        "status": 200,
    }
    at, request_id = 1_800_000_000.123456, "A/b.C"
    entry = Entry(**shared, at=at, object=subject, outcome="granted", request_id=request_id)
    leaf = StampedObject(ObjectStamp(**shared), at, subject, request_id).leaf()
    assert leaf.body == encoded(entry)
    assert (leaf.shared, leaf.object_key) == (shared_by(entry), object_key(subject.id))
    with pytest.raises(ValueError, match="marks"):
        ObjectStamp(**{**shared, "action": "@name@"})


@pytest.mark.parametrize("how", ["strict", "buffered"])
async def test_reads_are_recorded_as_the_setting_says(database_url: str, tmp_path: Path, how: str) -> None:
    run = runs_on(database_url, tmp_path, ManualClock(1_800_000_000.0))
    async with run(audit_reads=how) as server:
        house = server.services.house
        await server.put("a")
        before = (await records.head(house.plain)).size
        for _ in range(3):
            await server.accept("GET", "/secrets/a")
        if how == "strict":
            assert (await records.head(house.plain)).size == before + 3
        assert house.log is not None
        await house.log.flush()
        rows = [decoded(row.body) for row in await records.rows_after(house.plain, before - 1, 10)]
        assert [(entry.action, entry.outcome, entry.object.id) for entry in rows] == [
            ("SecretGet", "granted", "demo/secrets/a")
        ] * 3
    async with run() as server:  # what was buffered when the last one stopped is there
        await server.accept("GET", "/secrets/a")
        size = (await records.head(server.services.house.plain)).size
    async with run() as server:
        assert (await records.head(server.services.house.plain)).size > size


def test_the_log_cannot_be_switched_off_by_accident() -> None:
    for word in ("off", "false", "0", "no"):
        with pytest.raises(Misconfigured):
            load_settings({"CLAVIGER_AUDIT": word})
    assert load_settings({}).is_audited
    assert not load_settings({"CLAVIGER_AUDIT": "off-for-benchmarks"}).is_audited
    with pytest.raises(Misconfigured):
        load_settings({"CLAVIGER_AUDIT_READS": "off"})
