"""The synchronisation trial: a cloud that throttles half of all calls, a control plane that is killed, changes behind
its back.

The cloud is one server, and notes every call that it meets; the control planes are others. What must be recorded is
read from the cloud's own database, and what is recorded from the control plane's, so neither is believed. Three parts:

* A first synchronisation while every second call is answered 429 with Retry-After, and another one where there is
  nothing new: no secret lost or doubled, no call before its time, hardly a call too many.
* The same on another control plane that is killed again and again: in the end the records are the same.
* Then secrets are changed, deleted, purged, recovered and added through the vaults themselves, and all is found.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from bench.client import ask, request
from bench.estate import DELETED_SHARE, Cloud, ControlPlane
from bench.product import SETTINGS_S
from claviger.core.sensitive import Sensitive
from claviger.switches.client import Switchboard
from figures.watching import Met, read

NAME = "synchronization"
SIZE, QUICK_SIZE = 10_000, 400
IN_A_VAULT = 250
RETRY_AFTER_S = 1
ON_THEIR_WAY_S = 0.5
AT_ONCE = 8
"""So many calls may be on their way to a vault at a time."""
DELAYED_SHARE = 0.01
"""After so many of all 429s at most may a call on its way come later than it should: a machine has its moments."""
CALLS_LOOKED_AT = 100
MOST_CALLS = 1.2
KILLS = 5
TOUCHED = 400
PAGE = 25

TRUTH = (
    "SELECT lower(v.name), s.name_key, n.version, s.deleted, n.enabled, COALESCE(n.content_type, '') FROM kv_secrets s "
    "JOIN kv_vaults v ON v.id = s.vault_id JOIN kv_secret_versions n ON n.secret_id = s.id WHERE v.name LIKE 'estate-%'"
)
RECORDED = (
    "SELECT lower(v.azure_name), s.name_key, s.version, s.status = 'SOFT-DELETED', s.details FROM cckm_azure_secrets s "
    "JOIN cckm_azure_vaults v ON v.num = s.vault_num WHERE s.gone = 0 AND s.status <> 'DELETED'"
)

Fact = tuple[str, str, str, int, int, str]
"""Vault, name, version, whether it is deleted, whether it is enabled, content type."""


@dataclass
class SynchronizationReport:
    """What came of it. Calls are those that the cloud has met."""

    seed: int
    secrets: int
    throttled: int = 0
    answered: int = 0
    needed: int = 0
    kills: int = 0
    touched: int = 0
    findings: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Calls made against the fewest possible: one for each answer that is needed, one more for each 429."""
        return (self.answered + self.throttled) / max(1, self.needed + self.throttled)

    @property
    def answered_ratio(self) -> float:
        """The same without those that were throttled: answers got against answers needed."""
        return self.answered / max(1, self.needed)

    def count(self, kind: str) -> int:
        """How many findings of a kind."""
        return sum(1 for found, _ in self.findings if found == kind)

    @property
    def found(self) -> int:
        """All that should not be."""
        return len(self.findings) + (self.answered_ratio > MOST_CALLS)

    def as_json(self) -> dict[str, object]:
        """For the report."""
        kinds = ("lost", "doubled", "wrong", "early", "job failed", "not found", "not tried")
        return {
            "seed": self.seed,
            "secrets": self.secrets,
            "calls_throttled": self.throttled,
            "calls_answered": self.answered,
            "answers_needed": self.needed,
            "calls_against_the_fewest_possible": self.ratio,
            "answers_against_those_needed": self.answered_ratio,
            "kills": self.kills,
            "changed_behind_its_back": self.touched,
            "found": {kind: self.count(kind) for kind in kinds},
            "findings": self.findings[:50],
        }

    def table(self) -> str:
        """A line each."""
        within = f"in {self.secrets:,} secrets (seed {self.seed})"
        title = f"synchronization: {self.secrets:,} secrets, {self.throttled:,} calls throttled, {self.kills} kills"
        lines = [
            f"{title}, {self.touched} secrets changed behind its back",
            f"  lost                          {self.count('lost')} found {within}",
            f"  doubled                       {self.count('doubled')} found {within}",
            f"  otherwise than in the cloud   {self.count('wrong')} found {within}",
            f"  called before Retry-After     {self.count('early')} found in {self.throttled:,} throttled calls",
            f"  answers against those needed  {self.answered_ratio:.3f}, at most {MOST_CALLS:g} allowed",
            f"  changed and not noticed       {self.count('not found')} found in {self.touched} changes",
            f"  not tried as it should be     {self.count('not tried')} found {within}",
        ]
        return "\n".join([*lines, *(f"  ! {kind}: {detail}" for kind, detail in self.findings[:10])])


class WatchedCloud(Cloud):
    """The estate, on a server that has its switches and notes what they meet."""

    @property
    def environment(self) -> dict[str, str]:
        """With switches."""
        return super().environment | {"CLAVIGER_SWITCHES": "true"}

    @property
    def met(self) -> Path:
        """Where calls are noted."""
        return self.data.with_name(f"{self.data.name}.met")

    def launch(self) -> None:
        """Starts the process by the module that watches."""
        command = [sys.executable, "-m", "figures.watching", str(self.met), "serve"]
        self.launch_as([*command, "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}"])

    def board(self) -> Switchboard:
        """Its switches."""
        command = [sys.executable, "-m", "claviger", "switches", "--token", "--data", str(self.data), "--json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, timeout=SETTINGS_S, check=True)
        told = json.loads(done.stdout)
        return Switchboard(told["url"], Sensitive(told["token"]), self.data / "tls" / "ca.pem")

    def change(self, vault: str, method: str, path: str, body: object = None) -> Any:
        """A call of a vault, which must succeed."""
        host = f"{vault}.vault.localhost"
        content = None if body is None else json.dumps(body).encode()
        raw = request(method, f"{host}:{self.port}", f"{path}?api-version=7.6", self.token, content)
        answer = ask(self.port, self.context, raw, host, 20.0)
        if answer.status not in (200, 204):
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body[:200]!r}")
        return answer.json() if answer.body else None


def run(folder: Path, size: int, seed: int) -> SynchronizationReport:
    """The whole trial with so many secrets."""
    report = SynchronizationReport(seed, size)
    vaults = max(2, size // IN_A_VAULT)
    cloud = WatchedCloud(folder / "sync-cloud")
    planes = [ControlPlane(folder / f"sync-plane-{number}") for number in range(2)]
    dice = random.Random(seed)
    try:
        cloud.prepare(vaults, size // vaults)
        for plane in planes:
            plane.start()
            plane.connect(cloud)
        ids = [plane.manage(range(vaults)) for plane in planes]
        _throttled(cloud, planes[0], ids[0], report, size // vaults)
        _killed(cloud, planes[1], ids[1], report, dice)
        _behind(cloud, planes, ids, report, dice)
        report.findings += _not_tried(report)
    finally:
        for plane in planes:
            plane.kill()
        cloud.kill()
    return report


def _not_tried(report: SynchronizationReport) -> list[tuple[str, str]]:
    """What makes a trial worth nothing, however well it ends."""
    found = []
    if report.throttled < report.answered / 3:
        found.append(f"{report.throttled} calls throttled, {report.answered} answered")
    if not report.kills and report.secrets >= QUICK_SIZE:
        found.append("never killed")
    return [("not tried", each) for each in found]


def _throttled(
    cloud: WatchedCloud, plane: ControlPlane, ids: Sequence[str], report: SynchronizationReport, each: int
) -> None:
    """Half of all calls throttled, first where everything is new, then where nothing is."""
    deleted = each // DELETED_SHARE
    pages = len(ids) * (_pages(each - deleted) + _pages(deleted))
    if len(_truth(cloud)) != len(ids) * each:
        report.findings.append(("not tried", f"there are {len(_truth(cloud))} secrets in the cloud"))
    for is_new, needed in ((True, pages + len(ids) * each), (False, pages)):
        since = time.monotonic()
        with _throttling(cloud, report.seed):
            _synchronize(plane, ids, report)
        met = read(cloud.met, since)
        report.throttled += sum(call.throttled for call in met)
        report.answered += sum(not call.throttled for call in met)
        report.needed += needed
        # Lists are read a page at a time; when versions are read too, other calls may be on their way at that moment.
        report.findings += _early(met, ON_THEIR_WAY_S if is_new else 0.0)
        _compare(cloud, plane, report)


def _pages(count: int) -> int:
    return max(1, -(-count // PAGE))


@contextmanager
def _throttling(cloud: WatchedCloud, seed: int) -> Iterator[None]:
    board = cloud.board()
    board.fault_add(
        kind="status", service="keyvault", status=429, retry_after_s=RETRY_AFTER_S, share=0.5, seed=seed % 2**31
    )
    try:
        yield
    finally:
        board.faults_clear()


def _early(met: Sequence[Met], on_their_way_s: float) -> list[tuple[str, str]]:
    """Calls to a vault before the time that it had named, but for those that were on their way when it did.

    On a busy machine calls that were sent together come one after the other. What comes late is told from what was
    sent too early by its number: no more than can be on their way, and hardly ever.
    """
    findings, delayed = [], []
    by_vault: dict[str, list[Met]] = {}
    for call in met:
        by_vault.setdefault(call.vault, []).append(call)
    for vault, calls in by_vault.items():
        for number, call in enumerate(calls):
            if call.throttled:
                passed = [later.at - call.at for later in calls[number + 1 : number + 1 + CALLS_LOOKED_AT]]
                soon = [each for each in passed if 0 < each < RETRY_AFTER_S]
                early = [
                    ("early", f"{vault}: a call {each:.3f} s after a 429") for each in soon if each > on_their_way_s
                ]
                may_be_delayed = on_their_way_s > 0 and len(soon) < AT_ONCE
                (delayed if may_be_delayed else findings).extend(early[:1])
    throttled = sum(call.throttled for call in met)
    return findings + (delayed if len(delayed) > DELAYED_SHARE * throttled else [])


def _killed(
    cloud: WatchedCloud, plane: ControlPlane, ids: Sequence[str], report: SynchronizationReport, dice: random.Random
) -> None:
    """Killed again and again while everything is new."""
    job_id = plane.start_synchronization(ids)
    while report.kills < KILLS:
        before = plane.job(job_id)["progress"]["calls"]
        wanted = before + dice.randrange(1, max(2, report.secrets // (KILLS + 2)))
        while (job := plane.job(job_id))["overall_status"] == "in_progress" and job["progress"]["calls"] < wanted:
            time.sleep(dice.uniform(0.01, 0.2))
        if job["overall_status"] != "in_progress":
            break
        plane.kill()
        report.kills += 1
        plane.start()
    if plane.ended(job_id)["overall_status"] != "completed":
        report.findings.append(("job failed", f"after {report.kills} kills"))
    _compare(cloud, plane, report)


def _behind(
    cloud: WatchedCloud,
    planes: Sequence[ControlPlane],
    ids: Sequence[Sequence[str]],
    report: SynchronizationReport,
    dice: random.Random,
) -> None:
    """Changes through the vaults themselves; both control planes must learn of every one."""
    report.touched = min(TOUCHED, report.secrets // 10)
    live = [fact for fact in _truth(cloud) if not fact[3]]
    deleted = [fact for fact in _truth(cloud) if fact[3]]
    purged: list[tuple[str, str]] = []
    for number, (vault, name, *_) in enumerate(dice.sample(live, report.touched)):
        match number % 5:
            case 0:
                cloud.change(vault, "PATCH", f"/secrets/{name}", {"attributes": {"enabled": False}})
            case 1:
                cloud.change(vault, "PUT", f"/secrets/{name}", {"value": "newer", "contentType": "newer"})
            case 2:
                cloud.change(vault, "DELETE", f"/secrets/{name}")
            case 3:
                cloud.change(vault, "PUT", f"/secrets/added-{name}", {"value": "added"})
            case _:
                cloud.change(vault, "DELETE", f"/secrets/{name}")
                cloud.change(vault, "DELETE", f"/deletedsecrets/{name}")
                purged.append((vault, name))
    for vault, name, *_ in dice.sample(deleted, min(len(deleted), 20)):
        cloud.change(vault, "POST", f"/deletedsecrets/{name}/recover", {})
    for plane, of_plane in zip(planes, ids, strict=True):
        _synchronize(plane, of_plane, report)
        _compare(cloud, plane, report, kind="not found")
        gone = {(row[0], row[1]) for row in _rows(plane.data, _GONE)}
        report.findings += [("not found", f"{vault}/{name} is not marked gone") for vault, name in purged
                            if (vault, name) not in gone]  # fmt: skip


_GONE = (
    "SELECT lower(v.azure_name), s.name_key FROM cckm_azure_secrets s JOIN cckm_azure_vaults v ON v.num = s.vault_num "
    "WHERE s.gone = 1"
)


def _synchronize(plane: ControlPlane, ids: Sequence[str], report: SynchronizationReport) -> None:
    job = plane.ended(plane.start_synchronization(ids))
    if job["overall_status"] != "completed":
        report.findings.append(("job failed", f"{job['message']} {job['progress']['failed_items'][:3]}"))


def _compare(cloud: WatchedCloud, plane: ControlPlane, report: SynchronizationReport, kind: str = "wrong") -> None:
    """What is in the cloud's database and what is in the control plane's, version by version."""
    truth = {fact[:3]: fact for fact in _truth(cloud)}
    recorded: dict[tuple[str, str, str], Fact] = {}
    for vault, name, version, is_deleted, details in _rows(plane.data, RECORDED):
        param = json.loads(details)["azure_param"]
        is_enabled = param["attributes"].get("enabled") is not False
        fact: Fact = (vault, name, version, int(is_deleted), int(is_enabled), param.get("contentType") or "")
        if fact[:3] in recorded:
            report.findings.append(("doubled", "/".join(fact[:3])))
        recorded[fact[:3]] = fact
    report.findings += [("lost", "/".join(key)) for key in truth.keys() - recorded.keys()]
    report.findings += [(kind, f"{'/'.join(key)} is not there") for key in recorded.keys() - truth.keys()]
    report.findings += [
        (kind, f"{truth[key]} is recorded as {recorded[key]}")
        for key in truth.keys() & recorded.keys()
        if truth[key] != recorded[key]
    ]


def _truth(cloud: WatchedCloud) -> list[Fact]:
    return [(row[0], row[1], row[2], int(row[3]), int(row[4]), row[5]) for row in _rows(cloud.data, TRUTH)]


def _rows(data: Path, sql: str) -> list[tuple[Any, ...]]:
    database = apsw.Connection(str(data / "claviger.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        database.set_busy_timeout(10_000)
        return list(database.execute(sql))
    finally:
        database.close()
