"""The trial of operations: what changes secrets and keys in a cloud is done exactly once, whoever is killed or cut off.

Three parts on each kind of database and for each cloud. `claviger serve` is killed at every named point of every
changing operation (`points.py`, `ocipoints.py`), then at random moments while operators work in its own Azure, or OCI;
and a cloud on another server is killed, cut off, or cut in the middle of an answer while operators work in that. After
each blow the server is started again, whatever is open has to be finished, and then records and cloud must agree.
"""

from __future__ import annotations

import random
import socket
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from claviger.testing.names import knowing_localhost, resolves
from figures.crews import WORKERS, Crew, on_keys, on_secrets
from figures.databases import Database, Reports, on_each
from figures.ocipoints import OCI_POINTS, OciScene
from figures.points import FINISH_LIMIT_S, POINTS, Finding, Point, Scene
from tests.cutting import Wire
from tests.desk import SETTINGS, Desk
from tests.oci_plane import OciDesk
from tests.server import RunningServer

NAME = "operations"
SIZE, QUICK_SIZE = 40, 4
QUICK_POINTS = 6
ROUNDS_A_KILL = 8  # a round of trouble in the cloud takes as long as so many kills
FEW_THINGS, MANY_THINGS = 4, 40
"""How many secrets or keys an operator has; many where he waits for half a minute to know what became of some."""
AZURE, OCI = "Azure", "OCI"
CLOUDS = (AZURE, OCI)
UNTIL_KILLED_S = {AZURE: (0.2, 2.5), OCI: (0.5, 4.0)}
"""Between these a kill comes; OCI's SDK takes longer to load."""
TROUBLE_S = 6.0
CLOUD_LIMIT_S = 120.0  # what was sent and not answered is not sent again for half a minute
KINDS = (
    "lost",
    "twice",
    "still open",
    "not agreed",
    "left over",
    "other than asked",
    "wrong answer",
    "not killed",
    "not tried",
)


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

    def add(self, cloud: str, findings: Iterable[Finding]) -> None:
        """Notes what was found with a cloud."""
        self.findings += [(kind, f"{cloud}: {detail}") for kind, detail in findings]

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
            "not tried": "nothing done amid kills",
        }
        lines = [f"  {label:<30}{self.count(kind)} found {within}" for kind, label in labels.items()]
        return "\n".join([title, *lines, *(f"  ! {kind}: {detail}" for kind, detail in self.findings[:10])])


def run(folder: Path, size: int, seed: int) -> Reports:
    """On each kind of database: every point (a few for a short run), `size` random kills, and trouble in each cloud."""
    points = (*POINTS, *OCI_POINTS) if size >= SIZE else None
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
    clouds: Sequence[str] = CLOUDS,
) -> OperationsReport:
    """The same on one database; without `points` on a few of them, drawn by the seed.

    `rounds` of trouble in each cloud follow from the size if they are not given. `environment` is for the server.
    """
    dice = random.Random(f"{NAME}/{seed}")
    report = OperationsReport(seed, database.kind)
    folder.mkdir(parents=True, exist_ok=True)
    server = RunningServer(folder / "server", database.url, {**SETTINGS, **environment})
    cloud = RunningServer(folder / "cloud", None, SETTINGS)
    for each in (server, cloud):
        each.data.parent.mkdir(parents=True, exist_ok=True)
    if rounds is None:
        rounds = max(1, size // ROUNDS_A_KILL)
    with _names():
        try:
            report.ready_s.append(server.start())
            cloud.start()
            for which in clouds:
                if points is None:
                    chosen = dice.sample(OCI_POINTS if which == OCI else POINTS, QUICK_POINTS)
                else:
                    chosen = [each for each in points if each.is_of_oci == (which == OCI)]
                _points(report, which, server, cloud, chosen)
                if size:
                    _kills(report, which, server, size, seed, dice)
                if rounds:
                    _troubles(report, which, server, cloud, rounds, seed, dice)
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


def _points(
    report: OperationsReport, which: str, server: RunningServer, cloud: RunningServer, points: Sequence[Point]
) -> None:
    if not points:
        return
    scene: Scene | OciScene = OciScene(OciDesk(server, cloud)) if which == OCI else Scene(Desk(server, cloud))
    for point in points:
        found, ready_s = scene.kill_at(point)
        report.points += 1
        report.add(which, found)
        report.ready_s.append(ready_s)
    scene.desk.close()


def _kills(
    report: OperationsReport, which: str, server: RunningServer, kills: int, seed: int, dice: random.Random
) -> None:
    """Random moments, amid operators at work; what they have of the cloud is killed with it."""
    desk = OciDesk(server) if which == OCI else Desk(server)
    if isinstance(desk, OciDesk):
        crew = on_keys(desk, desk.vault("VIRTUAL_PRIVATE", bucket=True), seed, 0, FEW_THINGS)
    else:
        crew = on_secrets(desk, desk.vault(), seed, 0, FEW_THINGS, backups=True)
    for _ in range(kills):
        with crew.working():
            crew.begin()
            time.sleep(dice.uniform(*UNTIL_KILLED_S[which]))
            server.kill()
        desk.admin.close()
        report.ready_s.append(server.start())
        report.kills += 1
        report.add(which, crew.judge(FINISH_LIMIT_S))
        crew.let_days_pass()
    _add_up(report, which, crew)
    desk.close()


def _troubles(
    report: OperationsReport,
    which: str,
    server: RunningServer,
    cloud: RunningServer,
    rounds: int,
    seed: int,
    dice: random.Random,
) -> None:
    """The control plane lives, and reaches a cloud that does not always."""
    wire = Wire(cloud.port)
    desk = OciDesk(server, cloud) if which == OCI else Desk(server, cloud)
    if isinstance(desk, OciDesk):
        wired = desk.vault("VIRTUAL_PRIVATE", bucket=True, connection=desk.connect(wire.port))
        crew = on_keys(desk, wired, seed, WORKERS, MANY_THINGS)
    else:
        vault = desk.manage(desk.cloud.make_vault(), desk.wired(wire))
        crew = on_secrets(desk, vault, seed, WORKERS, MANY_THINGS, backups=False)
    for _ in range(rounds):
        with crew.working():
            crew.begin()
            until = time.monotonic() + TROUBLE_S
            while time.monotonic() < until:
                time.sleep(dice.uniform(0.1, 0.8))
                report.troubles[_trouble(cloud, wire, dice)] += 1
            crew.stop()
        report.rounds += 1
        report.add(which, crew.judge(CLOUD_LIMIT_S))
        crew.let_days_pass()
    _add_up(report, which, crew)
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


def _add_up(report: OperationsReport, which: str, crew: Crew) -> None:
    if crew.acknowledged == 0:
        report.add(which, [("not tried", "nobody was ever told that something is done")])
    for worker in crew.workers:
        report.acknowledged += worker.acknowledged
        report.doubtful += worker.doubtful
        report.happened += worker.happened
        report.add(which, worker.findings)
