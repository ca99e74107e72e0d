"""The audit trial: a log that is tampered with in every way there is must be found out, offline, by its public key.

Each byte of sampled records is flipped: content, hashes, and every line about them in an export. Records are dropped,
swapped, inserted, doubled and cut off, plainly and with all hashes, columns, counts and the head made anew, as somebody
would who can write the database and knows Claviger's source; what such a one cannot make is a signature. The log is
rolled back to an earlier state of its own, which only a witness can tell. After each tampering the log is verified, and
then put back. A tampering is missed where nothing is found, and misnamed where the first bad record is not among those
that are named.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from claviger.audit import records
from claviger.audit.entry import decoded, encoded
from claviger.audit.export import export, verify_export
from claviger.audit.records import Row
from claviger.audit.stored import verify_stored
from claviger.audit.tree import Frontier, leaf_hash
from claviger.audit.verify import Report
from claviger.audit.witness import read_witness
from claviger.store.contract import Tx
from figures.databases import Database, Reports, on_each
from tests.auditing import Audited, audited, entry

NAME = "audit"
SIZE, QUICK_SIZE = 3_000, 200
RECORDS = 120
SAMPLED, QUICK_SAMPLED = 3, 1
CHECKPOINTS = (17, 40, 64, 99, RECORDS)

Bodies = list[bytes]
Change = Callable[[Bodies], tuple[Bodies, int]]
"""The contents of all records, changed, and the first one that is bad by that."""


@dataclass
class AuditReport:
    """What so many tamperings came to."""

    seed: int
    database: str
    tampered: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[str, str]] = field(default_factory=list)

    @property
    def found(self) -> int:
        """All that was missed or misnamed."""
        return len(self.findings)

    def count(self, kind: str) -> int:
        """How many findings of a kind."""
        return sum(1 for found, _ in self.findings if found == kind)

    def as_json(self) -> dict[str, object]:
        """For the report."""
        return {
            "seed": self.seed,
            "tampered": dict(self.tampered),
            "missed": self.count("missed"),
            "misnamed": self.count("misnamed"),
            "findings": self.findings[:50],
        }

    def table(self) -> str:
        """Counts, a line each."""
        within = f"in {self.tampered.total():,} tamperings (seed {self.seed})"
        flips = sum(count for kind, count in self.tampered.items() if kind.startswith("bytes"))
        rolled_back, others = self.tampered["rolled back"], self.tampered.total() - flips - self.tampered["rolled back"]
        title = (
            f"audit on {self.database}: {flips:,} bytes flipped, {rolled_back:,} times rolled back, {others:,} times "
            f"something dropped, swapped, inserted, doubled, changed or cut off; {len(self.tampered)} ways in all"
        )
        lines = [
            title,
            f"  missed offline                {self.count('missed')} found {within}",
            f"  first bad record misnamed     {self.count('misnamed')} found {within}",
            f"  found where nothing was done  {self.count('false alarm')} found {within}",
        ]
        return "\n".join([*lines, *(f"  ! {kind}: {detail}" for kind, detail in self.findings[:10])])


def run(folder: Path, inputs: int, seed: int) -> Reports:
    """So many tamperings, beside the flipped bytes, on each kind of database."""

    def trial(database: Database) -> AuditReport:
        report = AuditReport(seed, database.kind)
        own = folder / f"audit-{database.kind}"
        own.mkdir()
        asyncio.run(_run(database.url or f"sqlite://{own}/database/claviger.db", own, inputs, report))
        return report

    return on_each(trial)


async def _run(url: str, folder: Path, inputs: int, report: AuditReport) -> None:
    witness = folder / "witness"
    async with audited(url, witness=witness) as own:
        done = 0
        for size in CHECKPOINTS:
            await own.fill(size - done, done, seed=report.seed + size)
            await own.checkpoints.make()
            own.clock.advance(60)
            done = size
        trial = _Trial(own, folder, witness, report)
        await trial.prepare()
        await trial.untouched()
        sampled = QUICK_SAMPLED if inputs <= QUICK_SIZE else SAMPLED
        for seq in trial.dice.sample(range(RECORDS), sampled):
            await trial.flip_all(seq)
        for _ in range(inputs):
            await trial.dice.choice((trial.forge, trial.forge, trial.roll_back, trial.meddle, trial.cut_lines))()
        await trial.untouched()


class _Trial:
    def __init__(self, own: Audited, folder: Path, witness: Path, report: AuditReport) -> None:
        self.dice = random.Random(report.seed)
        self._own = own
        self._folder = folder
        self._witness = witness
        self._report = report
        self._rows: list[Row] = []
        self._notes: list[tuple[int, str]] = []
        self._lines: list[bytes] = []

    async def prepare(self) -> None:
        """What all is put back to."""
        self._rows = await records.rows_after(self._own.store, -1, RECORDS)
        self._notes = await records.checkpoints_after(self._own.store, -1, 100)
        await export(self._own.store, self._own.key.name, self._folder / "export")
        self._lines = (self._folder / "export").read_bytes().splitlines(keepends=True)

    async def untouched(self) -> None:
        """A log that nobody touched is good."""
        report = await self._verified(witnessed=True)
        if report.finding is not None:
            self._report.findings.append(("false alarm", str(report.finding)))

    async def _verified(self, *, witnessed: bool = False) -> Report:
        notes = read_witness(self._witness)[0] if witnessed else []
        return await verify_stored(self._own.store, self._own.key, notes)

    def _judge(self, kind: str, what: str, report: Report, first: int | None) -> None:
        self._report.tampered[kind] += 1
        finding = report.finding
        if finding is None:
            self._report.findings.append(("missed", f"{kind}: {what}"))
        elif first is not None and finding.seq is not None:
            last = finding.seq if finding.until is None else finding.until
            if not finding.seq <= first <= last:
                self._report.findings.append(("misnamed", f"{kind}: {what}: record {first}, named was: {finding}"))

    # Single bytes.

    async def flip_all(self, seq: int) -> None:
        """Each byte of a record in the database, one after the other, and of its line in the export."""
        row = self._rows[seq]
        for column, content in (("body", row.body), ("hashes", row.hashes)):
            sql = f"UPDATE audit_records SET {column} = ? WHERE seq = ?"
            for at in range(len(content)):
                spoilt = self._flipped(content, at)
                await self._write(lambda tx, sql=sql, spoilt=spoilt: tx.execute(sql, spoilt, seq))
                self._judge(f"bytes of {column}", f"record {seq}, byte {at}", await self._verified(), seq)
            await self._write(lambda tx, sql=sql, content=content: tx.execute(sql, content, seq))
        place = next(at for at, line in enumerate(self._lines) if line.startswith(b'{"seq":%d,' % seq))
        for at in range(len(self._lines[place])):
            spoilt = self._flipped(self._lines[place], at)
            finding = self._export_of([*self._lines[:place], spoilt, *self._lines[place + 1 :]])
            self._judge("bytes of exports", f"record {seq}, byte {at}", finding, None)

    def _flipped(self, content: bytes, at: int) -> bytes:
        return content[:at] + bytes([content[at] ^ self.dice.randrange(1, 256)]) + content[at + 1 :]

    # Records.

    async def forge(self) -> None:
        """The log with something done to its records: as it is, or with everything made to fit but the signatures."""
        kind, change = self.dice.choice(list(self._changes()))
        bodies, first = change([row.body for row in self._rows])
        clever = self.dice.random() < 0.7
        await self._write(lambda tx: self._rewrite(tx, bodies, clever=clever))
        how = "with new hashes" if clever else "plainly"
        self._judge(f"{kind} {how}", f"from record {first}", await self._verified(witnessed=True), first)
        if not clever or await self._signed() > first:  # nobody but the log itself needs to know
            alone = await self._verified()
            self._judge(f"{kind} {how}, without a witness", f"from record {first}", alone, first)
        await self._restore()

    async def _signed(self) -> int:
        """How many records the last checkpoint is about."""
        return max((size for size, _ in await records.checkpoints_after(self._own.store, -1, 100)), default=0)

    def _changes(self) -> Iterator[tuple[str, Change]]:
        dice = self.dice
        one, other = sorted(dice.sample(range(RECORDS), 2))
        strange = encoded(entry(dice.randrange(10**6), action="Forged"))
        yield "changed", lambda bodies: ([*bodies[:one], strange, *bodies[one + 1 :]], one)
        yield "dropped", lambda bodies: ([*bodies[:one], *bodies[one + 1 :]], one)
        yield "inserted", lambda bodies: ([*bodies[:one], strange, *bodies[one:]], one)
        yield "doubled", lambda bodies: ([*bodies[: one + 1], *bodies[one:]], one + 1)
        yield "cut off", lambda bodies: (bodies[: one + 1], one + 1)
        yield (
            "swapped",
            lambda b: ([*b[:one], b[other], *b[one + 1 : other], b[one], *b[other + 1 :]], one),
        )

    def _rewrite(self, tx: Tx, bodies: Bodies, *, clever: bool) -> None:
        """Stores these records; `clever`: as the log itself would have. Else the head stays, and known hashes do."""
        known = {row.body: row.hashes for row in self._rows}
        tx.execute("DELETE FROM audit_records")
        if clever:
            tx.execute("DELETE FROM audit_facets")
        frontier = Frontier()
        told = [decoded(body) for body in bodies]
        shared = [records.shared_by(each) for each in told]
        facets = records.count_facets(tx, shared)
        leaves, hashes = [], []
        for body, each, group in zip(bodies, told, shared, strict=True):
            completed = frontier.append(leaf_hash(body))
            leaves.append(records.Leaf(each.at, group, records.object_key(each.object.id), completed[:32], body))
            hashes.append(completed if clever else known.get(body, completed))
        records.add(tx, 0, leaves, hashes, facets)
        if clever:
            tx.execute("UPDATE audit_head SET size = ?, frontier = ?", frontier.size, frontier.encoded())
            if self.dice.random() < 0.5:
                tx.execute("DELETE FROM audit_checkpoints WHERE size > ?", frontier.size)

    async def roll_back(self) -> None:
        """An earlier state of the log itself, checkpoints and all; sometimes with new records after it."""
        size = self.dice.randrange(RECORDS)
        more = [encoded(entry(number, action="After")) for number in range(self.dice.choice((0, 0, 5, RECORDS)))]

        def change(tx: Tx) -> None:
            self._rewrite(tx, [*(row.body for row in self._rows[:size]), *more], clever=True)
            tx.execute("DELETE FROM audit_checkpoints WHERE size > ?", size)

        await self._write(change)
        alone = await self._verified()
        if alone.finding is not None and alone.finding.seq is not None and alone.finding.seq < size:
            self._report.findings.append(("false alarm", f"rolled back to {size}: {alone.finding}"))
        self._judge("rolled back", f"to {size}", await self._verified(witnessed=True), size)
        await self._restore()

    # All else.

    async def meddle(self) -> None:
        """Columns, counts, the head, checkpoints."""
        seq = self.dice.randrange(RECORDS)
        size, note = self.dice.choice(self._notes)
        at = self.dice.randrange(len(note.encode()))
        spoilt = self._flipped(note.encode(), at).decode("utf-8", "replace").replace("\0", "?")
        sql, values, first = self.dice.choice(
            (
                ("UPDATE audit_records SET at = at + 1 WHERE seq = ?", (seq,), seq),
                ("UPDATE audit_records SET object_key = 7 WHERE seq = ?", (seq,), seq),
                ("UPDATE audit_records SET facet_id = 1000000 WHERE seq = ?", (seq,), seq),
                ("UPDATE audit_records SET seq = ? WHERE seq = ?", (RECORDS + seq, seq), seq),
                ("UPDATE audit_facets SET count = count + 1 WHERE id = ?", (self._rows[seq].facet_id,), None),
                ("UPDATE audit_facets SET address = '::9' WHERE id = ?", (self._rows[seq].facet_id,), None),
                ("UPDATE audit_head SET size = ?", (seq,), None),
                ("UPDATE audit_head SET frontier = ?", (bytes(32),), None),
                ("UPDATE audit_checkpoints SET note = ? WHERE size = ?", (spoilt, size), None),
                ("UPDATE audit_checkpoints SET size = ? WHERE size = ?", (1000 + size, size), None),
            )
        )
        await self._write(lambda tx: tx.execute(sql, *values))
        self._judge("columns, counts, head, checkpoints", f"{sql} {values}"[:200], await self._verified(), first)
        await self._restore()

    async def cut_lines(self) -> None:
        """Whole lines of an export."""
        lines = self._lines
        numbered = [at for at, line in enumerate(lines) if line.startswith(b'{"seq":')]
        one, other = sorted(self.dice.sample(numbered, 2))
        swapped = [*lines[:one], lines[other], *lines[one + 1 : other], lines[one], *lines[other + 1 :]]
        kind, changed = self.dice.choice(
            (
                ("dropped", [*lines[:one], *lines[one + 1 :]]),
                ("doubled", [*lines[: one + 1], *lines[one:]]),
                ("swapped", swapped),
                ("cut off", lines[:other]),
                ("several dropped", [*lines[:one], *lines[other:]]),
            )
        )
        self._judge(f"lines of exports {kind}", f"line {one}, {other}", self._export_of(changed), None)

    def _export_of(self, lines: list[bytes]) -> Report:
        path = self._folder / "tampered"
        path.write_bytes(b"".join(lines))
        return verify_export(path, self._own.key)

    # Back again.

    async def _write(self, change: Callable[[Tx], object]) -> None:
        await self._own.store.write(change)

    async def _restore(self) -> None:
        def change(tx: Tx) -> None:
            self._rewrite(tx, [row.body for row in self._rows], clever=True)
            tx.execute("DELETE FROM audit_checkpoints")
            for size, note in self._notes:
                records.add_checkpoint(tx, size, 0.0, note)

        await self._write(change)
        self._rows = await records.rows_after(self._own.store, -1, RECORDS)  # facets have new ids
