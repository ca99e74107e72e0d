"""The crash trial: `claviger serve` is killed with SIGKILL at random moments while eight clients write.

After each kill it is started again on the same data, timed, and looked at: through the API by every writer (all
acknowledged versions there, readable and as they were written; nothing else), and in the database (no row without the
rows it belongs to). Now and then it is killed once more while it starts. Values, order and moments come from the seed;
how far the server had got at such a moment is the machine's affair.

What a killed process had handed to the operating system outlives it, so this shows that transactions are whole and
acknowledged only once they are committed; that a commit waits for the disk is a matter of SQLite's own settings.
Nor does a busy machine make a start slow: time in which the server stood in line for a processor does not count.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import apsw

from bench.client import Client
from bench.product import Product
from figures.writer import Writer

WRITERS = 8
READY_LIMIT_S = 2.0
SHORTEST_S, LONGEST_S = 0.02, 0.6
RENEW_TOKEN_S = 1200

ORPHANS = {
    "a version without its secret": (
        "SELECT COUNT(*) FROM kv_secret_versions v LEFT JOIN kv_secrets s ON s.id = v.secret_id WHERE s.id IS NULL"
    ),
    "a secret whose latest version is not its own": (
        "SELECT COUNT(*) FROM kv_secrets s LEFT JOIN kv_secret_versions v ON v.id = s.latest_id AND v.secret_id = s.id "
        "WHERE v.id IS NULL"
    ),
    "a value without its data key": (
        "SELECT COUNT(*) FROM kv_secret_versions v LEFT JOIN data_keys k ON k.id = v.data_key_id WHERE k.id IS NULL"
    ),
    "a secret half deleted": (
        "SELECT COUNT(*) FROM kv_secrets "
        "WHERE (deleted = 0) <> (purge_at IS NULL) OR (deleted = 0) <> (deleted_at IS NULL)"
    ),
}


@dataclass(frozen=True)
class Start:
    """A start, in seconds: until a whole answer; on a processor (main thread); in line for one (all, the trial too)."""

    lasted_s: float
    ran_s: float = 0.0
    waited_s: float = 0.0

    @property
    def own_s(self) -> float:
        """What it takes where nobody else wants the processor; waits of several threads may count twice."""
        return max(self.lasted_s - self.waited_s, min(self.ran_s, self.lasted_s))


class Writes(Protocol):
    """Who writes until the server is gone."""

    stopping: bool
    client: Client

    async def work(self) -> None:
        """Makes changes until the connection is lost or `stopping` is set."""
        ...


@dataclass
class CrashReport:
    """What so many kills came to. Times in seconds; `ready_s` without `waited_s`, the time in line for a processor."""

    seed: int
    kills: int = 0
    kills_at_start: int = 0
    acknowledged: int = 0
    under_way: int = 0
    happened: int = 0
    ready_s: list[float] = field(default_factory=list)
    waited_s: list[float] = field(default_factory=list)
    findings: list[tuple[str, str]] = field(default_factory=list)

    def started(self, start: Start) -> None:
        """Notes how long a start took."""
        self.ready_s.append(start.own_s)
        self.waited_s.append(start.waited_s)

    @property
    def ready(self) -> str:
        """How long starts took, for people."""
        told = f"median {statistics.median(self.ready_s):.2f} s, longest {max(self.ready_s):.2f} s"
        return f"{told}, not counting up to {max(self.waited_s):.2f} s in line for a processor"

    def add(self, findings: list[tuple[str, str]]) -> None:
        """Takes findings in, each of them once: an orphan row is met again after every further kill."""
        self.findings += [finding for finding in findings if finding not in self.findings]

    def count(self, kind: str) -> int:
        """How many findings of a kind."""
        return sum(1 for found, _ in self.findings if found == kind)

    @property
    def slow(self) -> int:
        """How many restarts took longer than READY_LIMIT_S."""
        return sum(1 for lasted in self.ready_s if lasted > READY_LIMIT_S)

    @property
    def found(self) -> int:
        """All that should not be."""
        return len(self.findings) + self.slow

    def as_json(self) -> dict[str, object]:
        """For the report."""
        kinds = ("lost", "half-written", "orphan rows", "wrong answer")
        return {
            "seed": self.seed,
            "kills": self.kills,
            "kills_while_starting": self.kills_at_start,
            "writers": WRITERS,
            "acknowledged_changes": self.acknowledged,
            "changes_under_way_at_a_kill": self.under_way,
            "of_these_carried_out": self.happened,
            "found": {kind: self.count(kind) for kind in kinds} | {f"not ready in {READY_LIMIT_S:g} s": self.slow},
            "ready_s": {"median": statistics.median(self.ready_s), "longest": max(self.ready_s)},
            "not_counted_in_line_for_a_processor_s": max(self.waited_s),
            "findings": self.findings[:50],
        }


async def run(folder: Path, kills: int, seed: int) -> CrashReport:
    """Kills a server on a fresh data directory below `folder` so many times. Blocks the event loop while it starts."""
    report = CrashReport(seed)
    dice = random.Random(seed)
    product = Product(folder / "crash")
    try:
        product.start()
        renew_at = time.monotonic() + RENEW_TOKEN_S
        clients = [Client(product.port, product.host, product.context, product.token) for _ in range(WRITERS)]
        writers = [Writer(number, seed, client) for number, client in enumerate(clients)]
        for _ in range(kills):
            report.add(await kill_amid(product, writers, dice.uniform(SHORTEST_S, LONGEST_S)))
            report.kills += 1
            if dice.random() < 0.15:
                product.launch()
                await asyncio.sleep(dice.uniform(0, LONGEST_S))
                product.kill()
                report.kills_at_start += 1
            report.started(timed(product))
            if time.monotonic() > renew_at:
                renew_at = time.monotonic() + RENEW_TOKEN_S
                product.renew_token()
                for client in clients:
                    client.token = product.token
            await asyncio.gather(*(writer.look() for writer in writers))
            report.add(orphans(product.data / "claviger.db"))
        for client in clients:
            await client.close()
        product.stop()
        report.add(orphans(product.data / "claviger.db", whole=True))
    finally:
        product.kill()
    report.under_way = sum(writer.doubts_count for writer in writers)
    report.happened = sum(writer.happened_count for writer in writers)
    report.acknowledged = sum(writer.acknowledged_count for writer in writers)
    report.add([finding for writer in writers for finding in writer.findings])
    return report


def timed(product: Product) -> Start:
    """Starts the server. Without /proc nobody knows who stood in line."""
    ours = Path("/proc/thread-self")
    _, before_s = _scheduled(ours)
    lasted_s = product.start()
    served = {task.name: _scheduled(task) for task in Path(f"/proc/{product.pid}/task").glob("*")}
    waited_s = _scheduled(ours)[1] - before_s + sum(waited for _, waited in served.values())
    # What other threads do is not all needed for an answer: they load what operations will need.
    return Start(lasted_s, served.get(str(product.pid), (0.0, 0.0))[0], waited_s)


def _scheduled(task: Path) -> tuple[float, float]:
    """For how long a thread ran, and for how long it was ready to and did not."""
    try:
        ran_ns, waited_ns, _ = (task / "schedstat").read_text().split()
    except (OSError, ValueError):
        return 0.0, 0.0
    return int(ran_ns) / 1e9, int(waited_ns) / 1e9


async def kill_amid(product: Product, writers: Sequence[Writes], after_s: float) -> list[tuple[str, str]]:
    """Lets the writers write for so long, then kills the server; an answer on its way by then still counts.

    A writer that has ended by then is a finding: nobody but the kill may cut a connection that is in use.
    """
    for writer in writers:
        await writer.client.close()  # it has been idle while others looked: the server may end it at any moment
        writer.stopping = False
    working = [asyncio.create_task(writer.work()) for writer in writers]
    await asyncio.sleep(after_s)
    early = sum(task.done() for task in working)
    product.kill()
    for writer in writers:
        writer.stopping = True
    await asyncio.gather(*working)
    for writer in writers:
        await writer.client.close()
    return [("wrong answer", f"{early} writers could not go on before the kill")] * (early > 0)


def orphans(database: Path, *, whole: bool = False, queries: Mapping[str, str] = ORPHANS) -> list[tuple[str, str]]:
    """Findings in the database itself; `whole` has SQLite check every page and index as well."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(10_000)
        connection.execute("PRAGMA query_only = ON").fetchall()
        found = {what: connection.execute(sql).fetchall()[0][0] for what, sql in queries.items()}
        findings = [("orphan rows", f"{what}: {count} times") for what, count in found.items() if count]
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        findings += [("orphan rows", f"a reference that leads nowhere: {row[0]}") for row in broken[:5]]
        if whole:
            said = connection.execute("PRAGMA integrity_check(5)").fetchall()
            findings += [("half-written", str(row[0])) for row in said if row != ("ok",)]
        return findings
    finally:
        connection.close()
