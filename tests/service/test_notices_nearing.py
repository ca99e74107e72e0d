"""Near expiries and near final deletions: told once each, anew for a new date, and never for what does not stand."""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from claviger.cckm.azure.secrets import records as secrets
from claviger.cckm.azure.secrets.rows import SecretRow, Told
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.cckm.notices import announcing
from claviger.cckm.notices.nearing import records, watch
from claviger.cckm.notices.nearing.watch import Watch
from claviger.cckm.oci.keys.rules import State
from claviger.cckm.resource import seconds
from tests.many_keys import add_keys, add_versions, changed, draw_key, draw_version, make_oci_vault
from tests.notices import MANY, Office, office
from tests.plane import OTHER_DOMAIN, START
from tests.receiving import Receiver, receiving

DAY_S = 86_400
NOW = int(START)


@pytest.fixture
async def home(database_url: str) -> AsyncIterator[Office]:
    async with office(database_url) as made:
        await vault(made, 1, ROOT_DOMAIN)
        await vault(made, 2, OTHER_DOMAIN)
        yield made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def vault(home: Office, num: int, domain_id: str) -> None:
    await home.store.write(
        lambda tx: tx.execute(
            "INSERT INTO cckm_azure_vaults (num, id, domain_id, connection_id, connection_name, subscription_id, "
            "subscription_name, azure_name, azure_vault_id, cloud_name, location, type, details, labels, "
            "cloud_key_backup_limit, created_by, created_at, updated_at) "
            "VALUES (?, ?, ?, 'c', 'c', 'sub', 'sub', ?, ?, 'x', 'x', 'y', '{\"properties\":{}}', '{}', 0, 'u', 0, 0)",
            num,
            f"vault-{num}",
            domain_id,
            f"v{num}",
            f"/v{num}",
        )
    )


def secret(name: str, *, expires: int | None = None, purge: int | None = None, **more: Any) -> SecretRow:
    """A secret whose dates are so many seconds from the start."""
    told = Told(
        azure_id=f"https://v/secrets/{name}",
        expires_at=None if expires is None else NOW + expires,
        purge_at=None if purge is None else NOW + purge,
        enabled=more.pop("enabled", True),
        created_at=more.pop("made_at", 0),
    )
    given = {
        "vault_num": 1,
        "status": Status.AVAILABLE if purge is None else Status.SOFT_DELETED,
        "soft_deleted": purge is not None,
        "version": f"{name}-1",
        **more,
    }
    return SecretRow(
        id=str(uuid.uuid4()),
        name=name,
        origin="native",
        told=told,
        backup=None,
        backup_at=None,
        synced_at=0.0,
        created_by="",
        modified_by="",
        created_at=0.0,
        updated_at=0.0,
        **given,
    )


async def put(home: Office, *rows: SecretRow, domain_id: str = ROOT_DOMAIN) -> list[SecretRow]:
    return await home.store.write(lambda tx: secrets.add_many(tx, domain_id, rows))


def watching(home: Office, **more: Any) -> Watch:
    return Watch(home.store, home.plane.clock, home.notices, **more)


async def told(home: Office) -> list[tuple[str, str, int]]:
    """What is in the outbox: type, name and days."""
    return sorted((each["type"], each["data"]["name"], each["data"]["days"]) for each in await home.deliveries())


async def test_each_number_of_days_is_told_once(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    (row,) = await put(home, secret("db-password", expires=40 * DAY_S))
    watcher = watching(home)
    days = []
    for _ in range(45):
        if await watcher.look():
            days.append((home.plane.clock.now() - START) / DAY_S)
        assert await watching(home).look() == 0  # a restart, or another server
        home.plane.clock.advance(DAY_S)
    assert days == [10, 33, 39]
    await home.courier.deliver_due()
    assert receiver.told("days") == [30, 7, 1]
    event = receiver.received[0].event
    assert event["type"] == "claviger.near-expiry"
    assert event["subject"] == f"kylo:kylo:cckm:azure-secret:db-password-{row.id}"
    assert event["data"] == {
        "cloud": "azure",
        "id": row.id,
        "name": "db-password",
        "version": "db-password-1",
        "vault": "v1::sub",
        "vault_id": "vault-1",
        "expires_at": "2027-02-24T08:00:00Z",
        "days": 30,
    }


async def test_the_end_of_a_retention_is_told(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url, types=["near-final-deletion"])
    await put(home, secret("leaving", purge=7 * DAY_S), secret("later", purge=7 * DAY_S + 1))
    assert await watching(home).look() == 1
    await home.courier.deliver_due()
    (request,) = receiver.received
    assert request.event["type"] == "claviger.near-final-deletion"
    assert request.event["data"]["final_at"] == "2027-01-22T08:00:00Z"
    assert request.event["data"]["name"] == "leaving"


async def test_only_the_nearest_of_several_is_told(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    await put(home, secret("at-once", expires=DAY_S), secret("week", expires=DAY_S + 1), secret("past", expires=0))
    assert await watching(home).look() == 2
    assert await told(home) == [("near-expiry", "at-once", 1), ("near-expiry", "week", 7)]


async def test_a_changed_date_is_told_anew_and_one_that_went_away_is_not(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    (row,) = await put(home, secret("moving", expires=5 * DAY_S))
    watcher = watching(home)
    assert await watcher.look() == 1
    for expires, expected in ((6 * DAY_S, 1), (60 * DAY_S, 0), (5 * DAY_S, 1), (None, 0), (20 * DAY_S, 1)):
        at = None if expires is None else NOW + expires
        changed = msgspec.structs.replace(row, told=msgspec.structs.replace(row.told, expires_at=at))
        await home.store.write(lambda tx, changed=changed: secrets.change(tx, changed))
        assert await watcher.look() == expected, expires
    assert [days for _, _, days in await told(home)] == [7, 7, 7, 30]


async def test_what_does_not_stand_is_not_told(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    await put(
        home,
        secret("disabled", expires=DAY_S, enabled=False),
        secret("gone", expires=DAY_S, gone=True),
        secret("gone-too", purge=DAY_S, gone=True),
        secret("deleted", expires=DAY_S, purge=DAY_S),
        secret("finally", expires=DAY_S, status=Status.DELETED),
        secret("renewed", expires=DAY_S, made_at=1),
        secret("renewed", version="renewed-2", made_at=2),
        secret("forever"),
    )
    await put(home, secret("elsewhere", expires=DAY_S, vault_num=2), domain_id=OTHER_DOMAIN)
    assert await watching(home).look() == 1
    assert await told(home) == [("near-final-deletion", "deleted", 1)]


async def test_nothing_is_noted_where_nobody_hears(home: Office, receiver: Receiver) -> None:
    await put(home, secret("soon", expires=DAY_S))
    await home.subscribe(receiver.url, types=["drift"])
    disabled = await home.subscribe(receiver.url, disabled=True)
    assert await watching(home).look() == 0
    assert await home.plane.count("cckm_notices_told") == 0
    await home.plane.accept("PATCH", f"{MANY}/{disabled['id']}", {"disabled": False})
    assert await watching(home).look() == 1


async def test_what_finds_no_room_is_told_when_there_is_some(
    home: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcing, "MOST_WAITING", 3)
    monkeypatch.setattr(watch, "MOST_WAITING", 3)
    made = await home.subscribe(receiver.url)
    await put(home, *(secret(f"s{number}", expires=DAY_S) for number in range(5)))
    watcher = watching(home)
    assert await watcher.look() == 3
    assert await watcher.look() == 0
    assert (await home.plane.accept("GET", f"{MANY}/{made['id']}"))["dropped"] == 1
    await home.courier.deliver_due()
    assert await watcher.look() == 2
    await home.courier.deliver_due()
    assert sorted(receiver.told("name")) == [f"s{number}" for number in range(5)]


async def test_two_servers_tell_once(database_url: str, home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    await put(home, *(secret(f"s{number}", expires=DAY_S) for number in range(30)))
    async with office(database_url, beside=home) as other:
        counts = await asyncio.gather(*(watching(each).look() for each in (home, other)))
        assert sum(counts) == 30
    assert len(await home.deliveries()) == 30


@pytest.mark.parametrize("portion", [1, 250])
async def test_a_date_that_changes_while_it_is_looked_at_is_not_told(
    home: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    monkeypatch.setattr(watch, "ROWS_AT_ONCE", portion)
    made = await home.subscribe(receiver.url, expiry_days=[1])
    rows = await put(home, *(secret(name, expires=DAY_S) for name in ("later", "earlier", "resting")))
    changed = [
        msgspec.structs.replace(row, told=msgspec.structs.replace(row.told, expires_at=NOW + moved))
        for row, moved in zip(rows, (2 * DAY_S, -1), strict=False)
    ]
    real = home.store.write

    async def behind_its_back(change: Any) -> Any:
        for row in changed:
            await real(lambda tx, row=row: secrets.change(tx, row))
        return await real(change)

    watcher = watching(home)
    home.store.write = behind_its_back  # type: ignore[method-assign]
    assert await watcher.look() == 1
    home.store.write = real  # type: ignore[method-assign]
    assert await told(home) == [("near-expiry", "resting", 1)]
    await home.plane.accept("PATCH", f"{MANY}/{made['id']}", {"expiry_days": [2]})
    assert await watching(home).look() == 1


async def test_each_subscription_hears_as_many_days_ahead_as_it_says(home: Office) -> None:
    """Whatever the others have chosen, each hears of each of its own numbers once."""
    chosen = ([60, 14], [10], None, [90, 60, 30, 14, 10, 7, 3, 2, 1], [1])
    async with contextlib.AsyncExitStack() as stack:
        receivers = [await stack.enter_async_context(receiving()) for _ in chosen]
        for each, days in zip(receivers, chosen, strict=True):
            await home.subscribe(each.url, **({} if days is None else {"expiry_days": days}))
        await put(home, secret("early", expires=100 * DAY_S), secret("late", expires=9 * DAY_S))
        for _ in range(101):
            await watching(home).look()
            assert await watching(home).look() == 0
            home.plane.clock.advance(DAY_S)
        await home.courier.deliver_due()
        for each, days in zip(receivers, chosen, strict=True):
            heard = [(one["name"], one["days"]) for one in (request.event["data"] for request in each.received)]
            own = days or [30, 7, 1]
            assert [number for name, number in heard if name == "early"] == own
            met = [number for number in own if number >= 9][-1:] + [number for number in own if number < 9]
            assert [number for name, number in heard if name == "late"] == met


async def test_days_are_chosen_per_subscription_and_have_bounds(home: Office, receiver: Receiver) -> None:
    made = await home.subscribe(receiver.url)
    assert (made["expiry_days"], made["final_days"]) == ([30, 7, 1], [7, 1])
    path = f"{MANY}/{made['id']}"
    changed = await home.plane.accept("PATCH", path, {"expiry_days": [7, 60, 7]})
    assert (changed["expiry_days"], changed["final_days"]) == ([60, 7], [7, 1])
    changed = await home.plane.accept("PATCH", path, {"final_days": [90]})
    assert (changed["expiry_days"], changed["final_days"]) == ([60, 7], [90])
    for wrong in ({"expiry_days": []}, {"expiry_days": [366]}, {"final_days": [91]}, {"final_days": [0]}):
        await home.plane.refuse("PATCH", path, wrong, status=400, part=next(iter(wrong)))
    seen = await home.plane.accept("GET", path)
    assert (seen["expiry_days"], seen["final_days"]) == ([60, 7], [90])
    await put(home, secret("leaving", purge=80 * DAY_S))
    assert await watching(home).look() == 1
    assert await told(home) == [("near-final-deletion", "leaving", 90)]


async def test_who_had_no_room_hears_later(home: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of what another subscription has heard meanwhile, as far as that was more days ahead."""
    monkeypatch.setattr(announcing, "MOST_WAITING", 1)
    monkeypatch.setattr(watch, "MOST_WAITING", 1)
    async with receiving() as near, receiving() as far:
        await home.subscribe(near.url, expiry_days=[7])
        await home.emit(1)
        await home.subscribe(far.url, expiry_days=[30])
        await put(home, secret("soon", expires=5 * DAY_S))
        assert await watching(home).look() == 1
        await home.courier.deliver_due()
        assert await watching(home).look() == 1
        await home.courier.deliver_due()
        assert (far.told("days"), near.told("days")) == ([30], [None, 7])
        assert await watching(home).look() == 0


async def test_many_with_one_date_are_all_told_in_portions(
    home: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "ROWS_AT_ONCE", 4)
    await home.subscribe(receiver.url)
    await put(home, *(secret(f"s{number}", expires=DAY_S if number < 9 else 2 * DAY_S) for number in range(13)))
    assert await watching(home).look() == 13
    assert await watching(home).look() == 0
    assert await home.plane.count("cckm_notices_told") == 13
    await home.store.write(lambda tx: tx.execute("DELETE FROM cckm_azure_secrets"))
    assert await home.plane.count("cckm_notices_told") == 0


async def test_the_deletion_of_a_key_and_of_a_version_is_told(home: Office, receiver: Receiver) -> None:
    """By the nearest number of days, once for a date, anew for another; never of what is not to be deleted any more."""
    chance = random.Random(6)
    place = await make_oci_vault(home.store, ROOT_DOMAIN, chance, "hsm")
    hidden = await make_oci_vault(home.store, ROOT_DOMAIN, chance, "hidden", removed=True)
    pending = State.PENDING_DELETION
    drawn = [
        changed(draw_key(chance, [place], pending), name="leaves", deletes_at=NOW + 6.5 * DAY_S, gone=0),
        changed(draw_key(chance, [place], pending), name="later", deletes_at=NOW + 9.5 * DAY_S, gone=0),
        changed(draw_key(chance, [place], pending), name="passed", deletes_at=NOW - 1.5, gone=0),
        changed(draw_key(chance, [place], pending), name="gone", deletes_at=NOW + 2.5 * DAY_S, gone=1),
        changed(draw_key(chance, [place], State.DELETED), name="dead", deletes_at=NOW + 2.5 * DAY_S, gone=0),
        changed(draw_key(chance, [hidden], pending), name="hidden", deletes_at=NOW + 2.5 * DAY_S, gone=0),
        changed(draw_key(chance, [place], State.ENABLED), name="stays", gone=0),
    ]
    leaves, *_, stays = await add_keys(home.store, drawn)
    version = msgspec.structs.replace(draw_version(chance, stays, pending), deletes_at=NOW + DAY_S, gone=0)
    await add_versions(home.store, [version])
    await home.subscribe(receiver.url, types=["near-final-deletion"])
    assert await watching(home).look() == 2
    assert await watching(home).look() == 0
    await home.courier.deliver_due()
    told = {event["subject"]: event["data"] for event in (each.event for each in receiver.received)}
    assert told[f"kylo:kylo:cckm:oci-key:{leaves.id}"] == {
        "cloud": "oci",
        "id": leaves.id,
        "name": "leaves",
        "vault": "hsm",
        "vault_id": place.id,
        "final_at": seconds(leaves.deletes_at or 0),
        "days": 7,
    }
    of_version = told[f"kylo:kylo:cckm:oci-key-version:{version.id}"]
    assert (of_version["name"], of_version["version"], of_version["days"]) == ("stays", version.ocid, 1)
    await add_keys(home.store, [changed(leaves, deletes_at=NOW + 0.5 * DAY_S), changed(stays, state="DELETED")])
    assert await watching(home).look() == 1
    await home.courier.deliver_due()
    assert [event["data"]["days"] for event in (each.event for each in receiver.received)][2:] == [1]


async def test_the_watch_runs_and_is_woken(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    watcher = watching(home, every_s=3600)
    working = asyncio.gather(watcher.run(), home.courier.run())
    await put(home, secret("first", expires=DAY_S))
    watcher.wake()
    await receiver.until(1)
    await put(home, secret("second", expires=DAY_S))
    watcher.wake()
    await receiver.until(2)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert sorted(receiver.told("name")) == ["first", "second"]


async def test_where_looking_takes_little_it_is_done_again_soon(
    home: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MOST_OF_THE_TIME", 1.0)  # on a busy machine a look may take its second
    await home.subscribe(receiver.url)
    working = asyncio.gather(watching(home, every_s=3600, soonest_s=0).run(), home.courier.run())
    for count, name in enumerate(("first", "second"), start=1):
        await put(home, secret(name, expires=DAY_S))
        await receiver.until(count)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert receiver.told("name") == ["first", "second"]


async def test_dates_are_found_by_their_index(sqlite_url: str) -> None:
    async with office(sqlite_url) as home:
        for dates in records.ALL:
            seen: list[str] = []
            real = home.store.read

            async def explained(sql: str, *args: Any, seen: list[str] = seen, real: Any = real) -> Any:
                seen.extend(row[3] for row in await real(f"EXPLAIN QUERY PLAN {sql}", *args))
                return await real(sql, *args)

            home.store.read = explained  # type: ignore[method-assign]
            await records.nums_from(home.store, dates, (NOW, 0), NOW + DAY_S, 10)
            home.store.read = real  # type: ignore[method-assign]
            index = {
                "near-expiry": "cckm_azure_secrets_expiring",
                "azure-secret": "cckm_azure_secrets_leaving",
                "oci-key": "cckm_oci_keys_leaving",
                "oci-key-version": "cckm_oci_key_versions_leaving",
            }[dates.of if dates.kind == "near-final-deletion" else dates.kind]
            assert len(seen) == 1
            prefix = "" if "oci" in index else "COVERING "
            assert f"USING {prefix}INDEX {index}" in seen[0]
