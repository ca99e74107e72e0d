"""The leak trial: values made to be found go in by every route and every error, and then nobody may find them anywhere.

The server logs all it can. It is killed amid what it had in memory, started, stopped, started again; its keys are
rotated, vaults are imported, exported and seeded. Then everything that was written is searched for every value in every
spelling. Controls, values that stand in the clear on purpose, prove that each kind of place was searched and the search
sees.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from figures.databases import Database, Reports, on_each
from figures.findings import Findings
from figures.haystack import Haystack
from figures.needles import Needle, Search, make_controls, make_needles
from figures.planeleaks import PlaneLeaks
from figures.pushing import Way, url64, written
from figures.sending import Channel
from figures.target import SetProduct, prepare
from figures.ways import NAMES, all_ways

NAME = "leaks"
SIZE, QUICK_SIZE = 3_000, 1_000
KINDS = ("written down", "told to others", "told to its sender", "search blind", "5xx", "not stored", "server down")
BAD_START_LIMIT_S = 60.0
POSTGRES_TEMPLATES = ("data/base/1/", "data/base/4/", "data/base/5/")
"""Databases that nobody writes to."""
PLANE_VAULT = "leak-plane"
_ENVIRONMENT = "FIGURES_CONTROL"


@dataclass
class LeakReport(Findings):
    """What so many values came to."""

    seed: int
    database: str
    values: int = 0
    name: str = NAME
    ways: int = 0
    searched_bytes: int = 0
    places: int = 0
    controls: int = 0
    made: int = 0
    statuses: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, object]:
        """For the report."""
        return {
            "seed": self.seed,
            "database": self.database,
            "values": self.values,
            "values_of_the_server": self.made,
            "ways": self.ways,
            "answers_by_status": dict(sorted(self.statuses.items())),
            "searched_bytes": self.searched_bytes,
            "searched_places": self.places,
            "controls_found": self.controls,
            "found": {kind: self.count(kind) for kind in KINDS},
            "findings": self.findings[:50],
        }

    def table(self) -> str:
        """Counts, a line each."""
        within = f"in {self.values:,} values (seed {self.seed})"
        title = f"{self.name}: {self.values:,} values by {self.ways} ways on {self.database}, {self.made} of its own; "
        title += (
            f"{self.searched_bytes / 2**20:.0f} MiB in {self.places} places searched; {self.controls} controls found"
        )
        lines = [
            title,
            *(f"  {kind:<29} {self.count(kind)} found {within}" for kind in KINDS),
        ]
        return "\n".join([*lines, *(f"  ! {kind}: {detail[:500]}" for kind, detail in self.findings[:10])])


def run(folder: Path, values: int, seed: int) -> Reports:
    """The trial on each kind of database, so many values each."""
    return on_each(lambda database: run_on(database, folder, values, seed))


def run_on(
    database: Database, folder: Path, values: int, seed: int, environment: Mapping[str, str] | None = None
) -> LeakReport:
    """Pushes so many values into a fresh server below `folder`, on an empty database."""
    report = LeakReport(seed, database.kind, values)
    controls = make_controls(6, seed)
    settings = {"CLAVIGER_LOG_LEVEL": "debug", "CLAVIGER_SWEEP_S": "1", _ENVIRONMENT: controls[3].value}
    settings |= database.settings | dict(environment or {})
    product = SetProduct(folder / f"{NAME}-{database.kind.lower()}", settings)
    try:
        product.start()
        _Trial(product, report, controls, database).run()
    finally:
        product.kill()
    return report


class _Trial:
    def __init__(self, product: SetProduct, report: LeakReport, controls: list[Needle], database: Database) -> None:
        self._product = product
        self._report = report
        self._controls = controls
        self._database = database
        self._needles = make_needles(report.values, report.seed)
        self._target = prepare(product, report.seed)
        self._haystack = Haystack()
        self._aside = product.data.with_name(f"{product.data.name}-files")
        self._aside.mkdir()
        product.command("vault", "create", PLANE_VAULT)
        self._plane = PlaneLeaks(product, self._haystack, report.findings, PLANE_VAULT, report.seed)

    def run(self) -> None:
        shares = iter(self._needles)
        by_hand, bad = (list(itertools.islice(shares, self._report.values // 10)) for _ in range(2))
        seeded = list(itertools.islice(shares, self._report.values // 20))
        of_plane = list(itertools.islice(shares, self._report.values // 5))
        self._set_up()
        asyncio.run(self._push(list(shares)))
        self._plane.push(of_plane)
        self._live()
        self._move(by_hand, bad)
        self._plant()
        self._haystack.add_process(self._product.pid)
        self._product.kill()  # with whatever stands in memory and in the write-ahead log
        self._collect("after a kill")
        self._start_badly(bad)
        self._seed(seeded)
        self._product.stop()
        self._product.start()
        self._look_at_what_is_shown()
        self._plane.look()
        self._product.stop()
        self._collect("after a stop")
        asyncio.run(self._plane.open_all())
        self._judge()

    def _set_up(self) -> None:
        target = self._target
        target.must("PUT", target.vault, "/secrets/leak-deleted", {"value": "x"})
        target.must("DELETE", target.vault, "/secrets/leak-deleted")

    async def _push(self, needles: list[Needle]) -> None:
        """Every way in turn; where a value does not fit a way, the next one that does takes its place."""
        target, report = self._target, self._report
        ways = all_ways(target)
        report.ways = len(ways)
        channel = Channel(target.port, target.product.context, target.host(target.vault))
        for way, needle in _paired(ways, needles, random.Random(f"ways/{report.seed}")):
            method = needle.value if way.method == "{raw}" else way.method
            outcome = await channel.exchange(written(way, needle, target), method)
            answer = outcome.answer
            if answer is None:
                if way.name != "cut short":
                    report.findings.append(("server down", f"{way.name}: {outcome.kind} {outcome.detail}"))
                continue
            report.statuses[str(answer.status)] += 1
            if answer.status >= 500:
                report.findings.append(("5xx", f"{way.name}: {answer.status} {answer.body[:200]!r}"))
            if way.stored and answer.status != 200:
                report.findings.append(("not stored", f"{way.name}: {answer.status} {answer.body[:200]!r}"))
            told = answer.body + "\n".join(answer.headers.values()).encode("latin-1")
            if way.silent and not way.stored and Search([needle]).places_in(told):
                report.findings.append(("told to its sender", f"{way.name}: {answer.status} {told[:300]!r}"))
        channel.close()

    def _live(self) -> None:
        """The life of what was stored, and other callers who ask for it."""
        target = self._target
        for number in range(NAMES):
            path = f"/secrets/leak-{number}?api-version=7.6"
            host = target.host(target.vault)
            if target.ask("GET", host, path).status != 200:
                continue
            turn = number % 6
            if turn == 0:
                target.ask("PATCH", host, path.replace("?", "/?"), {"attributes": {"enabled": False}})
            if turn in (1, 2, 3):
                blob = target.must("POST", target.vault, f"/secrets/leak-{number}/backup")["value"]
                target.must("DELETE", target.vault, f"/secrets/leak-{number}")
                if turn == 1:
                    target.must("POST", target.vault, f"/deletedsecrets/leak-{number}/recover")
                if turn in (2, 3):
                    target.must("DELETE", target.vault, f"/deletedsecrets/leak-{number}")
                if turn == 3:
                    target.must("POST", target.vault, "/secrets/restore", {"value": blob})
            for caller in ("stranger", "reader", "misfit", None):
                for asked in (path, path.replace("?", "/versions?"), path.replace("secrets", "deletedsecrets", 1)):
                    self._haystack.add("answers to others", target.ask("GET", host, asked, caller=caller).body)
        for path in ("/secrets", "/deletedsecrets", "/secrets/leak-0/versions"):
            told = target.ask("GET", target.host(target.vault), f"{path}?api-version=7.6", caller="reader").body
            self._haystack.add("answers to others", told)

    def _move(self, by_hand: list[Needle], bad: list[Needle]) -> None:
        """Documents brought in, good and bad, and archives taken out; keys rotated."""
        document = {
            "vault": {"name": "leak-moved"},
            "secrets": {f"moved-{each.number}": {"versions": [{"value": each.value}]} for each in by_hand},
        }
        file = self._file("moved.json", json.dumps(document))
        for more in ((), (), ("--vault", self._target.vault)):
            self._say("import", str(file), *more)
        for name, text in _bad_documents(bad):
            self._say("import", str(self._file(name, text)), "--vault", "leak-bad")
        archive = self._aside / "archive"
        passphrase = self._file("passphrase", "correct horse battery staple")
        for lock in ("--for-this-server", f"--passphrase-file={passphrase}"):
            self._say("export", "leak-moved", "--to", str(archive), "--force", lock)
            self._haystack.add("archive", archive.read_bytes())
        self._product.command("keys", "rotate", "--root", "--data-keys", "--signing")
        for command in ("vault list", "app list", "doctor"):
            self._say(*command.split())

    def _say(self, *words: str) -> None:
        self._haystack.add("commands", self._product.said_by(*words))

    def _plant(self) -> None:
        """Controls, where each kind of place must show one."""
        target, (clear, coded, hexed, _, logged, told) = self._target, self._controls
        tags = {"coded": url64(b"a" + coded.value.encode()), "hexed": hexed.value.encode().hex().upper()}
        content = {"value": "hidden", "contentType": clear.value, "tags": tags}
        target.must("PUT", target.vault, "/secrets/control", content)
        with self._product.log.open("ab") as log:
            log.write(logged.value.encode("utf-16-le"))
        answer = target.ask("GET", target.host(target.vault), f"/secrets/s/{told.value}?api-version=7.6")
        self._haystack.add("answers to others", answer.body)

    def _start_badly(self, bad: list[Needle]) -> None:
        """Servers whose seed file is wrong: they end, and say why."""
        some = None if self._report.values >= QUICK_SIZE else 3  # each takes a second
        for name, text in itertools.islice(_bad_documents(bad), some):
            words = ["serve", "--data", str(self._product.data), "--listen", "127.0.0.1:0"]
            words += ["--seed", str(self._file(f"seed-{name}", text))]
            done = subprocess.run(
                [sys.executable, "-m", "claviger", *words],
                env=self._product.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=BAD_START_LIMIT_S,
                check=False,
            )
            self._haystack.add("commands", done.stdout + done.stderr)
            if done.returncode == 0:
                self._report.findings.append(("server down", f"a server started with the bad seed {name}"))

    def _seed(self, seeded: list[Needle]) -> None:
        secrets = {f"seeded-{each.number}": {"value": each.value} for each in seeded}
        given = {"client_id": "5eed0000-0000-4000-8000-000000000001", "client_secret": seeded[0].value}
        text = {
            "vaults": [{"vault": {"name": "leak-seeded"}, "secrets": secrets}],
            "applications": [{"name": "seeded", **given}],
        }
        self._product.settings["CLAVIGER_SEED"] = str(self._file("seed.json", json.dumps(text)))
        self._product.start()
        self._haystack.add_process(self._product.pid)

    def _file(self, name: str, text: str) -> Path:
        """A file of the user's own, outside of what the server writes."""
        path = self._aside / name
        path.write_text(text)
        return path

    def _look_at_what_is_shown(self) -> None:
        for path in ("/metrics", "/health"):
            self._haystack.add(path, self._target.ask("GET", "localhost", path, caller=None).body)
        if not self._target.lives():
            self._report.findings.append(("server down", "/health does not say ready"))
        self._report.findings += [("server down", f"{kind}: {detail}") for kind, detail in self._target.complaints()]

    def _collect(self, when: str) -> None:
        self._haystack.add_files(f"{when}: data", self._product.data)
        self._haystack.add(f"{when}: log", self._product.log.read_bytes())
        if self._database.url is not None:
            self._haystack.add_tables(self._database.url)
        if self._database.folder is not None:
            self._haystack.add_files(f"{when}: PostgreSQL", self._database.folder, but=POSTGRES_TEMPLATES)

    def _judge(self) -> None:
        report, haystack = self._report, self._haystack
        report.searched_bytes, report.places = haystack.size, len(haystack.pieces)
        report.made = len(self._plane.made)
        needles = [*self._needles, *self._plane.made]
        found = haystack.places_of([*needles, *self._controls])
        for needle in needles:
            for place in found.get(needle.number, ()):
                kind = "told to others" if place.startswith("answers to others") else "written down"
                report.findings.append((kind, f"value {needle.number} ({needle.kind}) in {place}"))
        rows = "data/" if self._database.url is None else "table "
        environ = "process environ" if os.path.exists("/proc/self/environ") else ""
        expected = [rows, rows, rows, environ, ": log", "answers to others"]
        for control, place in zip(self._controls, expected, strict=True):
            seen = any(place in each.split(" at ")[0] for each in found.get(control.number, ())) or not place
            report.controls += seen
            if not seen:
                report.findings.append(("search blind", f"a control was not found in {place!r}"))


def _paired(ways: list[Way], needles: list[Needle], dice: random.Random) -> Iterator[tuple[Way, Needle]]:
    """Each needle with a way: tame ways get plain values only, and every way gets one before any gets two."""
    line = dice.sample(ways, len(ways))
    for needle in needles:
        if not line:
            line = dice.sample(ways, len(ways))
        fits = next((at for at, way in enumerate(line) if needle.kind == "plain" or not way.tame), None)
        if fits is None:
            line += [way for way in dice.sample(ways, len(ways)) if not way.tame]
            fits = next(at for at, way in enumerate(line) if not way.tame)
        yield line.pop(fits), needle


def _bad_documents(needles: list[Needle]) -> Iterator[tuple[str, str]]:
    """Documents that cannot be imported, by each reason with other values in them; never as a name, which is shown."""
    templates = (
        '{"secrets":{"a":{"value":%s', '{"secrets":{"a":{"value":[%s]}}}', '{"secrets":{"a":{"vaule":%s}}}', "%s",
        "[%s]", '{"secrets":{"a":{"value":{"env":%s}}}}', '{"secrets":{"a":{"value":{"file":%s}}}}',
        '{"secrets":{"a":{"value":%s,"expires_at":%s}}}', '{"secrets":{"a":{"value":%s,"enabled":%s}}}',
        '{"secrets":{"a":{"versions":[{"value":%s,"version":%s}]}}}', '{"format":%s}',
        '{"secrets":{"a":{"value":%s},"a":{"value":%s}}}',
        '{"secrets":{"a":{"value":%s}},"roles":[{"role":%s,"to":%s}]}',
    )  # fmt: skip
    odd = [needle for needle in needles if needle.kind != "plain"]  # a plain one may well be a name
    for number, template in enumerate(templates):
        needle = odd[number % len(odd)]
        yield f"bad-{number}.json", template.replace("%s", json.dumps(needle.value))
