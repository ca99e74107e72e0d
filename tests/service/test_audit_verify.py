"""What was done to a log behind its back is found offline, in the database and in an export, with the key alone."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from claviger.audit import records, tree
from claviger.audit.entry import decoded, encoded
from claviger.audit.export import export, verify_export
from claviger.audit.signed_note import Checkpoint, Signer
from claviger.audit.stored import verify_stored
from claviger.audit.verify import Report
from claviger.core.errors import Misconfigured
from claviger.core.sensitive import Sensitive
from claviger.store.contract import Store, Tx
from tests.auditing import Audited, audited, entry

COUNT = 45
SIGNED = (16, 30, 40)


@pytest.fixture
async def own(database_url: str) -> AsyncIterator[Audited]:
    """45 records, of which 40 are signed."""
    async with audited(database_url) as own:
        done = 0
        for size in SIGNED:
            await own.fill(size - done, done, seed=size)
            await own.checkpoints.make()
            own.clock.advance(60)
            done = size
        await own.fill(COUNT - done, done, seed=COUNT)
        yield own


async def verified(own: Audited, notes: list[str] | None = None) -> Report:
    return await verify_stored(own.store, own.key, notes or [])


async def spoil(own: Audited, sql: str, *args: Any) -> None:
    assert await own.store.write(lambda tx: tx.execute(sql, *args))


async def row_of(store: Store, seq: int) -> records.Row:
    (row,) = await records.rows_after(store, seq - 1, 1)
    assert row.seq == seq
    return row


async def test_an_untouched_log_is_good(own: Audited):
    report = await verified(own)
    assert report.finding is None
    assert (report.record_count, report.checkpoint_count, report.signed_count) == (COUNT, 3, 40)
    assert "last 5 records are not signed" in report.warnings[0]
    assert report.origin == own.key.name


async def test_an_empty_log_is_good(database_url: str):
    async with audited(database_url) as own:
        assert (await verified(own)).finding is None


@pytest.mark.parametrize("seq", [0, 7, 16, 44])
async def test_every_flipped_byte_of_a_record_is_found_and_named(own: Audited, seq: int):
    row = await row_of(own.store, seq)
    for column, content in (("body", row.body), ("hashes", row.hashes)):
        for at in range(0, len(content), 3 if seq == 7 else 23):
            spoilt = content[:at] + bytes([content[at] ^ (1 << (at % 8))]) + content[at + 1 :]
            await spoil(own, f"UPDATE audit_records SET {column} = ? WHERE seq = ?", spoilt, seq)
            report = await verified(own)
            assert report.finding is not None, (column, at)
            assert report.finding.seq == seq, (column, at, report.finding)
        await spoil(own, f"UPDATE audit_records SET {column} = ? WHERE seq = ?", content, seq)
    assert (await verified(own)).finding is None


@pytest.mark.parametrize(
    ("sql", "seq"),
    [
        ("DELETE FROM audit_records WHERE seq = 9", 9),
        ("DELETE FROM audit_records WHERE seq = 44", 44),
        ("DELETE FROM audit_records WHERE seq >= 20", 20),
        ("DELETE FROM audit_records WHERE seq = 0", 0),
        ("UPDATE audit_records SET seq = 500 WHERE seq = 3", 3),
        ("UPDATE audit_records SET seq = -1 WHERE seq = 3", None),
        ("UPDATE audit_records SET at = at + 1 WHERE seq = 12", 12),
        ("UPDATE audit_records SET object_key = 5 WHERE seq = 12", 12),
        ("UPDATE audit_records SET facet_id = facet_id + 1 WHERE seq = 12", 12),
        ("UPDATE audit_records SET facet_id = 999 WHERE seq = 12", 12),
        ("UPDATE audit_facets SET count = count + 1 WHERE id = 1", None),
        ("DELETE FROM audit_head", 0),
        ("UPDATE audit_head SET size = 44", None),
        ("UPDATE audit_checkpoints SET size = 31 WHERE size = 30", None),
        ("UPDATE audit_checkpoints SET size = 99 WHERE size = 40", 30),
        ("UPDATE audit_checkpoints SET note = 'x' WHERE size = 30", None),
    ],
)
async def test_what_was_done_by_a_statement_is_found(own: Audited, sql: str, seq: int | None):
    await spoil(own, sql)
    report = await verified(own)
    assert report.finding is not None
    assert report.finding.seq == seq, report.finding


async def test_the_facet_of_a_record_cannot_be_told_otherwise(own: Audited):
    facet = (await row_of(own.store, 12)).facet_id
    await spoil(own, "UPDATE audit_facets SET username = 'somebody' WHERE id = ?", facet)
    report = await verified(own)
    assert report.finding is not None
    first = next(row.seq for row in await records.rows_after(own.store, -1, COUNT) if row.facet_id == facet)
    assert report.finding.seq == first


async def test_records_that_were_swapped_are_found(own: Audited):
    one, other = await row_of(own.store, 5), await row_of(own.store, 25)

    def swap(tx: Tx) -> None:
        tx.execute("UPDATE audit_records SET seq = -5 WHERE seq = 5")
        tx.execute("UPDATE audit_records SET seq = 5 WHERE seq = 25")
        tx.execute("UPDATE audit_records SET seq = 25 WHERE seq = -5")

    await own.store.write(swap)
    report = await verified(own)
    assert report.finding is not None
    assert (report.finding.seq, report.finding.until) == (
        4,
        5,
    )  # 5 came with its own hash: its neighbour is suspect too
    assert one.body != other.body


def rewrite(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Tx], None]:
    """What somebody does who can write the database and knows all of its rules: new hashes, new head, new columns."""

    def rewritten(tx: Tx) -> None:
        kept = [bytes(body) for (body,) in tx.fetch("SELECT body FROM audit_records ORDER BY seq")]
        tx.execute("DELETE FROM audit_records")
        tx.execute("DELETE FROM audit_facets")
        frontier = tree.Frontier()
        for seq, body in enumerate(change(kept)):
            told = decoded(body)
            facets = records.count_facets(tx, [records.shared_by(told)])
            leaf = records.Leaf(
                told.at, records.shared_by(told), records.object_key(told.object.id), tree.leaf_hash(body), body
            )
            records.add(tx, seq, [leaf], [frontier.append(leaf.hash)], facets)
        tx.execute("UPDATE audit_head SET size = ?, frontier = ?", frontier.size, frontier.encoded())
        tx.execute("DELETE FROM audit_checkpoints WHERE size > ?", frontier.size)

    return rewritten


def without(seq: int) -> Callable[[list[bytes]], list[bytes]]:
    return lambda bodies: [*bodies[:seq], *bodies[seq + 1 :]]


@pytest.mark.parametrize(
    ("change", "between"),
    [
        (without(3), (0, 15)),
        (without(20), (16, 29)),
        (lambda bodies: [*bodies[:35], encoded(entry(1)), *bodies[36:]], (30, 39)),
        (lambda bodies: [*bodies[:10], encoded(entry(1)), *bodies[10:]], (0, 15)),
        (lambda bodies: [bodies[1], bodies[0], *bodies[2:]], (0, 15)),
    ],
)
async def test_a_log_rewritten_with_all_its_hashes_is_betrayed_by_its_checkpoints(
    own: Audited, change: Any, between: tuple[int, int]
):
    await own.store.write(rewrite(change))
    report = await verified(own)
    assert report.finding is not None
    assert (report.finding.seq, report.finding.until) == between


async def test_a_body_changed_with_its_own_hash_only_is_narrowed_down(own: Audited):
    changed = encoded(entry(1))
    row = await row_of(own.store, 18)
    hashes = tree.leaf_hash(changed) + row.hashes[32:]
    await spoil(own, "UPDATE audit_records SET body = ?, hashes = ? WHERE seq = 18", changed, hashes)
    report = await verified(own)
    assert report.finding is not None
    assert report.finding.seq is not None
    assert report.finding.seq <= 18 <= (report.finding.until or report.finding.seq)


async def test_a_rolled_back_log_is_betrayed_by_its_witness_alone(own: Audited):
    notes = [note for _, note in await records.checkpoints_after(own.store, 0, 10)]
    await own.store.write(rewrite(lambda bodies: bodies[:32]))
    alone = await verified(own)
    assert alone.finding is None  # nothing in the database can tell
    report = await verified(own, notes)
    assert report.finding is not None
    assert (report.finding.seq, report.finding.until) == (30, 39)
    assert "rolled back" in str(report.finding)
    await own.fill(20, start=500)  # and it does not help to write on
    report = await verified(own, notes)
    assert report.finding is not None
    assert (report.finding.seq, report.finding.until) == (30, 39)


async def test_a_log_signed_anew_by_another_key_is_found(own: Audited):
    other = Signer(own.key.name, Sensitive(bytes(32)))
    head = await records.head(own.store)
    note = other.signed(Checkpoint(own.key.name, head.size, head.root(), 1).text())
    await own.store.write(lambda tx: records.add_checkpoint(tx, head.size, 1.0, note))
    report = await verified(own)
    assert report.finding is not None
    assert "not signed by this key" in str(report.finding)


async def test_a_witness_of_another_log_is_said_to_be_one(own: Audited):
    other = Signer("claviger/audit/other", Sensitive(bytes(32)))
    report = await verified(own, [other.signed(Checkpoint("claviger/audit/other", 1, bytes(32), 1).text())])
    assert "not signed by this key" in str(report.finding)


async def test_text_in_place_of_bytes_is_found(sqlite_url: str):
    async with audited(sqlite_url) as own:
        await own.fill(10)
        await spoil(own, "UPDATE audit_records SET body = CAST(body AS TEXT) WHERE seq = 4")
        report = await verified(own)
        assert report.finding is not None
        assert report.finding.seq == 4
        await spoil(own, "UPDATE audit_records SET body = CAST(x'7bff' AS TEXT) WHERE seq = 4")
        report = await verified(own)
        assert report.finding is not None
        assert report.finding.seq == 4


# Exports.


async def exported(own: Audited, tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    await own.checkpoints.make()
    assert await export(own.store, own.key.name, path) == COUNT
    return path


async def test_an_export_is_whole_and_good(own: Audited, tmp_path: Path):
    path = await exported(own, tmp_path)
    report = verify_export(path, own.key)
    assert report.finding is None
    assert (report.record_count, report.checkpoint_count, report.warnings) == (COUNT, 4, [])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {"claviger_audit_log": 1, "origin": own.key.name}
    assert [line["seq"] for line in lines if "seq" in line] == list(range(COUNT))
    assert lines[-1]["size"] == COUNT
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Misconfigured):
        await export(own.store, own.key.name, path)
    with pytest.raises(Misconfigured):
        verify_export(tmp_path / "none", own.key)


async def test_a_large_export_with_many_checkpoints(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for module in ("export", "stored"):
        monkeypatch.setattr(f"claviger.audit.{module}.PAGE", 3)
    async with audited(sqlite_url) as own:
        for _ in range(20):
            await own.fill(2)
            await own.checkpoints.make()
        await own.fill(5)
        assert await export(own.store, own.key.name, tmp_path / "log") == 45
        report = verify_export(tmp_path / "log", own.key)
        assert (report.finding, report.record_count, report.checkpoint_count) == (None, 45, 20)
        stored = await verified(own)
        assert (stored.finding, stored.record_count, stored.checkpoint_count) == (None, 45, 20)


async def test_every_flipped_byte_of_an_export_is_found(sqlite_url: str, tmp_path: Path):
    async with audited(sqlite_url) as own:
        await own.fill(4)
        await own.checkpoints.make()
        await export(own.store, own.key.name, tmp_path / "log")
        key = own.key
    raw = (tmp_path / "log").read_bytes()
    origin = raw.index(b"\n")  # whose log it is, the key knows better
    for at in range(origin, len(raw)):
        (tmp_path / "spoilt").write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        assert verify_export(tmp_path / "spoilt", key).finding is not None, at


async def test_lines_dropped_swapped_doubled_or_cut_off_are_found(own: Audited, tmp_path: Path):
    path = await exported(own, tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    numbers = [json.loads(line).get("seq") for line in lines]
    dice = random.Random(1)
    spoilt = tmp_path / "spoilt"

    def finding(changed: list[bytes]) -> Any:
        spoilt.write_bytes(b"".join(changed))
        return verify_export(spoilt, own.key).finding

    places = [at for at, number in enumerate(numbers) if number is not None]
    for at in dice.sample(places, 20):
        for changed in ([*lines[:at], *lines[at + 1 :]], [*lines[: at + 1], *lines[at:]]):
            found = finding(changed)
            assert found is not None
            assert found.seq in (numbers[at], numbers[at] + 1)
    for end in range(len(lines)):
        assert finding(lines[:end]) is not None
    assert finding([*lines[:-1], lines[-1][:-1]]) is not None
    assert finding([*lines, lines[-1]]) is not None
    assert finding([b"{}\n"]) is not None
    assert finding([b"[" * 5000]) is not None
