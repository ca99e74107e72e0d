"""A witness by webhook: what it is sent, how often, and that nobody ever waits for it."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from claviger.audit.stored import verify_stored
from claviger.audit.verify import Report
from claviger.audit.webhook import WebhookWitness
from claviger.audit.witness import notes_in, read_witness
from claviger.core.clock import ManualClock
from claviger.core.sensitive import Sensitive
from claviger.outgoing.rules import BACKOFF_S, LONGEST_PAUSE_S
from tests.auditing import START, Audited, audited, until
from tests.receiving import Receiver, Reply, authority_pem, is_signed, receiving

KEY = bytes(range(32))
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
HANGS = Reply(hang=True)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


def sending(receiver: Receiver, clock: ManualClock | None = None, **more: Any) -> WebhookWitness:
    """A witness whose waits go by a clock that stands still."""
    more = {"poll_s": 0.002, "close_s": 2.0, **more}
    return WebhookWitness(Sensitive(receiver.url), clock or ManualClock(START), **more)


async def taken(witness: WebhookWitness, note: str | None) -> None:
    """Waits until the witness has a checkpoint."""

    async def is_there() -> bool:
        return await witness.last() == note

    await until(is_there)


async def failed(witness: WebhookWitness, attempts: int) -> None:
    """Waits until so many attempts have failed in a row."""

    async def have() -> bool:
        return witness._failures == attempts

    await until(have)


async def made(own: Audited, count: int = 5) -> str:
    """A checkpoint of so many more records."""
    await own.fill(count)
    note = await own.checkpoints.make()
    assert note is not None
    return note


async def test_each_checkpoint_is_sent_signed_as_the_line_of_a_file(sqlite_url: str, tmp_path: Path) -> None:
    async with receiving(tls=True) as receiver:
        witness = sending(receiver, key=Sensitive(KEY), authority=authority_pem())
        async with audited(sqlite_url, witness=witness) as own:
            notes = []
            for _ in range(3):
                notes.append(await made(own))
                await taken(witness, notes[-1])
            assert await own.checkpoints.make() == notes[-1]  # nothing new: nothing is sent
            await witness.close()
            bodies = [request.body for request in receiver.received]
            assert notes_in(b"".join(bodies)) == (notes, [])
            first = receiver.received[0]
            assert first.head == "POST /hooks?for=tests HTTP/1.1"
            assert first.headers["content-type"] == "application/json"
            assert first.headers["webhook-timestamp"] == str(int(START))
            assert all(is_signed(request, SECRET) for request in receiver.received)
            assert len(set(receiver.ids)) == 3
            path = tmp_path / "received"
            path.write_bytes(b"".join(bodies))
            report = await verify_stored(own.store, own.key, read_witness(path)[0])
            assert (report.finding, report.witnessed_count) == (None, 15)
        # A start sends the last one again, since nobody else knows whether it came; under the same id.
        again = sending(receiver, authority=authority_pem())
        async with audited(sqlite_url, witness=again, box=own.box) as own:
            assert await own.checkpoints.make() == notes[-1]
            await taken(again, notes[-1])
            await again.close()
        last = receiver.received[-1]
        assert (last.id, last.body) == (receiver.received[2].id, receiver.received[2].body)
        assert "webhook-signature" not in last.headers


async def test_what_is_refused_is_tried_again_and_a_newer_one_takes_its_place(
    sqlite_url: str, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock(START)
    witness = sending(receiver, clock)
    receiver.answer = lambda _: Reply(503, {"Retry-After": "20"})
    with caplog.at_level(logging.INFO, "claviger.audit"):
        async with audited(sqlite_url, witness=witness) as own:
            first = await made(own)
            await failed(witness, 1)
            assert own.checkpoints.failing_witnesses() == 1
            clock.advance(20)
            await receiver.until(2)
            await failed(witness, 2)
            receiver.answer = lambda _: Reply()
            newest = [await made(own) for _ in range(3)][-1]  # while the receiver is left alone
            assert len(receiver.received) == 2
            assert witness._free_at - clock.monotonic() == 20  # as it asked, also for a newer one
            clock.advance(20)
            await taken(witness, newest)
            assert own.checkpoints.failing_witnesses() == 0
            sent = [notes_in(request.body)[0][0] for request in receiver.received]
            assert sent == [first, first, newest]
            assert receiver.ids[0] == receiver.ids[1] != receiver.ids[2]
            await witness.close()
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "the witness http://127.0.0.1 did not take a checkpoint: answered 503",
        "the witness http://127.0.0.1 takes checkpoints again",
    ]


async def test_a_receiver_that_hangs_holds_nothing_up(sqlite_url: str, receiver: Receiver) -> None:
    receiver.answer = lambda _: HANGS
    clock = ManualClock(START)
    witness = sending(receiver, clock, attempt_s=0.3)
    async with audited(sqlite_url, witness=witness) as own:
        await made(own)
        await receiver.until(1)
        newest = [await made(own) for _ in range(20)][-1]  # changes, and checkpoints of them, go on meanwhile
        assert receiver.most_under_way == 1
        await failed(witness, 1)
        receiver.answer = lambda _: Reply()
        clock.advance(LONGEST_PAUSE_S)
        await taken(witness, newest)
        assert len(receiver.received) == 2
        await witness.close()


async def test_the_close_tries_once_more_and_does_not_wait_for_a_silent_one(
    sqlite_url: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    witness, silent = sending(receiver), sending(receiver, close_s=0.05, attempt_s=3600.0)
    async with audited(sqlite_url, witness=witness) as own:
        note = await made(own)
        await failed(witness, 1)
        receiver.answer = lambda _: Reply()
        await own.checkpoints.close()
        assert await witness.last() == note
        await witness.show("after the end")
        assert len(receiver.received) == 2
        receiver.answer = lambda _: HANGS
        await silent.show(note)
        await silent.close()
        assert await silent.last() is None


@pytest.mark.parametrize("status", [302, 410, 500])
async def test_a_checkpoint_is_given_up_some_day_and_the_next_one_tried(
    sqlite_url: str, receiver: Receiver, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = lambda _: Reply(status, {"Location": receiver.url})
    clock = ManualClock(START)
    witness = sending(receiver, clock)
    async with audited(sqlite_url, witness=witness) as own:
        await made(own)
        for attempts, wait in enumerate(BACKOFF_S, 1):
            await failed(witness, attempts)
            clock.advance(max(wait, LONGEST_PAUSE_S))
        await failed(witness, len(BACKOFF_S) + 1)
        clock.advance(max(BACKOFF_S))
        assert own.checkpoints.failing_witnesses() == 1
        assert "is not sent this checkpoint any more" in caplog.text
        receiver.answer = lambda _: Reply()
        newest = await made(own)
        await taken(witness, newest)
        assert len(receiver.received) == len(BACKOFF_S) + 2
        await witness.close()


async def test_a_log_that_was_rolled_back_is_found_by_what_was_received(tmp_path: Path, receiver: Receiver) -> None:
    """The whole database file is put back to what it was: only the receiver knows that there was more."""
    path, earlier = tmp_path / "own.db", tmp_path / "earlier.db"
    url = f"sqlite://{path}"

    async def verified(own: Audited) -> Report:
        received = tmp_path / "received"
        received.write_bytes(b"".join(request.body for request in receiver.received))
        return await verify_stored(own.store, own.key, read_witness(received)[0])

    witness = sending(receiver)
    async with audited(url, witness=witness) as own:
        await taken(witness, await made(own, 20))
    shutil.copyfile(path, earlier)
    async with audited(url, witness=witness, box=own.box) as own:
        await taken(witness, await made(own, 10))
        assert (await verified(own)).finding is None
        await witness.close()
    shutil.copyfile(earlier, path)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    async with audited(url, box=own.box) as own:
        assert (await verify_stored(own.store, own.key)).finding is None  # nothing in the database can tell
        report = await verified(own)
        assert report.finding is not None
        assert "rolled back" in str(report.finding)
        assert (report.finding.seq, report.finding.until) == (20, 29)


async def test_a_place_that_nothing_is_sent_to_is_not_sent_to(sqlite_url: str) -> None:
    witness = WebhookWitness(Sensitive("https://169.254.169.254/latest"), ManualClock(START), poll_s=0.002)
    async with audited(sqlite_url, witness=witness) as own:
        await made(own)
        await failed(witness, 1)
        assert "link-local" in witness._told
        await asyncio.wait_for(witness.close(), 60)
