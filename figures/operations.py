"""The trial of operations: whatever changes secrets in a cloud is done exactly once, whoever is killed or cut off.

Three parts on each kind of database. `claviger serve` is killed at every named point of every changing operation
(`points.py`), then at random moments while operators work on its own Azure; and a cloud on another server is killed,
cut off, or cut in the middle of an answer while operators work on that. After each blow the server is started again,
everything that is open has to be finished, and then records and cloud must agree.
"""

from __future__ import annotations

import random
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from claviger.testing.names import knowing_localhost, resolves
from figures.databases import Database, Reports, on_each
from figures.lives import Worker
from figures.points import FINISH_LIMIT_S, POINTS, Point, Scene
from tests.agreeing import disagreements, finished, left_over
from tests.cutting import Wire
from tests.desk import SETTINGS, Desk, Managed
from tests.server import RunningServer

NAME = "operations"
SIZE, QUICK_SIZE = 40, 4
QUICK_POINTS = 6
ROUNDS_A_KILL = 8  # a round of trouble in the cloud takes as long as so many kills
WORKERS = 4
SHORTEST_S, LONGEST_S = 0.2, 2.5
TROUBLE_S = 6.0
CLOUD_LIMIT_S = 120.0  # what was sent and not answered is not sent again for half a minute
KINDS = ("lost", "twice", "still open", "not agreed", "left over", "other than asked", "wrong answer", "not killed")


@dataclass
class OperationsReport:
    """What so many blows came to. Times in seconds."""

    seed: int
    database: str
    points: int = 0
    kills: int = 0
    rounds: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    doubtful: int = 0
    happened: int = 0
    ready_s: list[float] = field(default_factory=list)
    findings: list[tuple[str, str]] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """How many findings of a kind."""
        return sum(1 for found, _ in self.findings if found == kind)

    @property
    def found(self) -> int:
        """All that should not be."""
        return len(self.findings)

    def as_json(self) -> dict[str, object]:
        """For the report."""
        return {
            "seed": self.seed,
            "database": self.database,
            "killed_at_points": self.points,
            "killed_at_random": self.kills,
            "rounds_of_trouble_in_the_cloud": self.rounds,
            "troubles": dict(sorted(self.troubles.items())),
            "acknowledged_operations": self.acknowledged,
            "operations_in_doubt": self.doubtful,
            "of_these_carried_out": self.happened,
            "found": {kind: self.count(kind) for kind in KINDS},
            "ready_s": {"median": statistics.median(self.ready_s), "longest": max(self.ready_s)},
            "findings": self.findings[:50],
        }

    def table(self) -> str:
        """Counts, a line each."""
        blows = self.points + self.kills + self.rounds
        within = f"in {blows} blows (seed {self.seed})"
        title = (
            f"operations ({self.database}): killed at {self.points} points and {self.kills} random moments, "
            f"{self.rounds} rounds of trouble in the cloud ({self.troubles.total()} kills and cuts); "
            f"{self.acknowledged:,} operations acknowledged, {self.doubtful} in doubt, {self.happened} of them done"
        )
        labels = {
            "lost": "done and then lost",
            "twice": "done twice",
            "still open": "not finished in time",
            "not agreed": "record and cloud disagree",
            "left over": "left over",
            "other than asked": "other than asked for",
            "wrong answer": "answers that should not be",
            "not killed": "points never reached",
        }
        lines = [f"  {label:<30}{self.count(kind)} found {within}" for kind, label in labels.items()]
        return "\n".join([title, *lines, *(f"  ! {kind}: {detail}" for kind, detail in self.findings[:10])])


def run(folder: Path, size: int, seed: int) -> Reports:
    """On each kind of database: every point (a few for a short run), `size` random kills, and trouble in the cloud."""
    points = POINTS if size >= SIZE else None
    return on_each(lambda database: run_on(database, folder / f"{NAME}-{database.kind}", size, seed, points))


def run_on(
    database: Database,
    folder: Path,
    size: int,
    seed: int,
    points: tuple[Point, ...] | None = None,
    *,
    rounds: int | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> OperationsReport:
    """The same on one database; without `points` on a few of them, drawn by the seed.

    `rounds` of trouble in the cloud follow from the size if they are not given. `environment` is for the server.
    """
    dice = random.Random(f"{NAME}/{seed}")
    report = OperationsReport(seed, database.kind)
    folder.mkdir(parents=True, exist_ok=True)
    server = RunningServer(folder / "server", database.url, {**SETTINGS, **environment})
    cloud = RunningServer(folder / "cloud", None, SETTINGS)
    for each in (server, cloud):
        each.data.parent.mkdir(parents=True, exist_ok=True)
    with _names():
        try:
            report.ready_s.append(server.start())
            cloud.start()
            _points(report, Desk(server, cloud), dice.sample(POINTS, QUICK_POINTS) if points is None else points)
            if size:
                _kills(report, Desk(server), size, seed, dice)
            if rounds is None:
                rounds = max(1, size // ROUNDS_A_KILL)
            if rounds:
                _troubles(report, Desk(server, cloud), rounds, seed, dice)
        finally:
            server.kill()
            cloud.kill()
    return report


@contextmanager
def _names() -> Iterator[None]:
    """Makes `*.localhost` known to this process where the machine does not know it."""
    if resolves():
        yield
        return
    real = socket.getaddrinfo
    socket.getaddrinfo = knowing_localhost(real)
    try:
        yield
    finally:
        socket.getaddrinfo = real


def _points(report: OperationsReport, desk: Desk, points: list[Point] | tuple[Point, ...]) -> None:
    scene = Scene(desk)
    for point in points:
        found, ready_s = scene.kill_at(point)
        report.points += 1
        report.findings += found
        report.ready_s.append(ready_s)
    desk.close()


def _kills(report: OperationsReport, desk: Desk, kills: int, seed: int, dice: random.Random) -> None:
    """Random moments, amid operators at work; what they have of the cloud is killed with it."""
    vault = desk.vault()
    workers = [Worker(number, seed, desk, vault) for number in range(WORKERS)]
    for _ in range(kills):
        with _working(workers):
            time.sleep(dice.uniform(SHORTEST_S, LONGEST_S))
            desk.server.kill()
        desk.admin.close()
        report.ready_s.append(desk.server.start())
        report.kills += 1
        _judge(report, desk, vault, workers, FINISH_LIMIT_S)
    _add_up(report, workers)
    desk.close()


def _troubles(report: OperationsReport, desk: Desk, rounds: int, seed: int, dice: random.Random) -> None:
    """The control plane lives, and reaches a cloud that does not always."""
    wire = Wire(desk.cloud.server.port)
    vault = desk.manage(desk.cloud.make_vault(), desk.wired(wire))
    workers = [Worker(number + WORKERS, seed, desk, vault, count=40) for number in range(WORKERS)]
    for _ in range(rounds):
        until = time.monotonic() + TROUBLE_S
        with _working(workers):
            while time.monotonic() < until:
                time.sleep(dice.uniform(0.1, 0.8))
                report.troubles[_trouble(desk.cloud.server, wire, dice)] += 1
            for worker in workers:
                worker.stopping.set()
        report.rounds += 1
        _judge(report, desk, vault, workers, CLOUD_LIMIT_S, backups=False)
    _add_up(report, workers)
    wire.close()
    desk.close()


def _trouble(cloud: RunningServer, wire: Wire, dice: random.Random) -> str:
    what = dice.choices(("answer cut", "network down", "cloud killed"), (10, 2, 1))[0]
    if what == "answer cut":
        wire.cut_answer(dice.randrange(4))
    elif what == "network down":
        wire.cut_all()
        time.sleep(dice.uniform(0.1, 1.0))
        wire.restore()
    else:
        cloud.kill()
        time.sleep(dice.uniform(0.0, 0.5))
        cloud.start()
    return what


@contextmanager
def _working(workers: list[Worker]) -> Iterator[None]:
    threads = []
    for worker in workers:
        worker.stopping.clear()
        threads.append(threading.Thread(target=worker.work))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()
        for worker in workers:
            worker.operator.close()


def _judge(
    report: OperationsReport,
    desk: Desk,
    vault: Managed,
    workers: list[Worker],
    limit_s: float,
    *,
    backups: bool = True,
) -> None:
    report.findings += [("still open", str(row)) for row in finished(desk.server, limit_s)]
    for worker in workers:
        worker.look()
    report.findings += [("not agreed", told) for told in disagreements(desk, vault, backups=backups)]
    report.findings += [("left over", told) for told in left_over(desk.server)]


def _add_up(report: OperationsReport, workers: list[Worker]) -> None:
    for worker in workers:
        report.acknowledged += worker.acknowledged
        report.doubtful += worker.doubtful
        report.happened += worker.happened
        report.findings += worker.findings
