"""Synchronisation: the time it takes against that of fetching the same pages with the bare official async client.

Two servers: one has the vaults, the other manages them, so what is measured is the control plane alone. It and the bare
client take turns on the same core. The first reading of a vault fetches the versions of every secret, which is what
most of its time goes into; later ones fetch the lists.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from bench import machine
from bench.estate import Cloud, ControlPlane, vault_name
from bench.report import Figure, ratio
from claviger.cckm.synchronization.gate import CALLS_AT_ONCE
from claviger.cckm.synchronization.runner import VAULTS_AT_ONCE

MOST_TIME = 1.5
MOST_RESIDENT_MIB = 250
MOST_GROWTH_MIB = 24.0
WATCH_S = 0.2
FETCH_LIMIT_S = 1800


class Watch:
    """The most memory that a process was seen with."""

    def __init__(self, pid: int) -> None:
        self.peak_kib = 0
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(WATCH_S):
            self.peak_kib = max(self.peak_kib, machine.resident_kib(self._pid))

    def stop(self) -> None:
        """Ends the watch."""
        self._stop.set()
        self._thread.join()


def measure(folder: Path, secrets: int, vaults: int, rounds: int) -> list[Figure]:
    """So many secrets in so many vaults, read for the first time in portions, and then all of them again and again."""
    cores = machine.cores()
    cloud, plane = Cloud(folder / "sync-cloud", cores.load), ControlPlane(folder / "sync-plane", cores.server)
    say(f"filling {vaults} vaults with {secrets:,} secrets")
    watch: Watch | None = None
    try:
        cloud.prepare(vaults, secrets // vaults)
        plane.start()
        plane.connect(cloud)
        ids = plane.manage(range(vaults))
        machine.pin(plane.pid, cores.server)
        watch = Watch(plane.pid)
        fetch = _Fetching(folder, cloud)
        figures = _first(plane, fetch, ids, rounds)
        figures += _again(plane, fetch, ids, rounds)
        peak = watch.peak_kib / 1024
        name = f"resident memory, synchronising {secrets:,} secrets"
        figures.append(Figure(name, peak, MOST_RESIDENT_MIB, "at most", "MiB"))
        return figures
    finally:
        if watch is not None:
            watch.stop()
        plane.stop()
        cloud.stop()


class _Fetching:
    """The bare client, in a process of its own on the control plane's core."""

    def __init__(self, folder: Path, cloud: Cloud) -> None:
        told = cloud.told()
        port = cloud.port
        self._file = folder / "fetching.json"
        self._told: dict[str, Any] = {
            "authority": str(cloud.data / "tls" / "ca.pem"),
            "tenant_id": told["AZURE_TENANT_ID"],
            "client_id": told["AZURE_CLIENT_ID"],
            "client_secret": told["AZURE_CLIENT_SECRET"],
            "login": f"https://login.localhost:{port}",
            "scope": f"https://vault.localhost:{port}/.default",
            "vaults_at_once": VAULTS_AT_ONCE,
            "calls_at_once": CALLS_AT_ONCE,
        }
        self._port = port

    def run(self, numbers: Sequence[int], *, versions: bool) -> dict[str, Any]:
        """Pages and seconds."""
        vaults = [f"https://{vault_name(number)}.vault.localhost:{self._port}" for number in numbers]
        self._file.write_text(json.dumps(self._told | {"vaults": vaults, "versions": versions}))
        command = [sys.executable, "-m", "bench.fetching", str(self._file)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        machine.pin(process.pid, machine.cores().server)
        said, _ = process.communicate(timeout=FETCH_LIMIT_S)
        if process.returncode:
            raise RuntimeError("the bare client failed")
        found: dict[str, Any] = json.loads(said)
        return found


@dataclass
class Taken:
    """What rounds took, ours and the bare client's, in seconds; calls and pages of all of them."""

    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    our_processor: list[float] = field(default_factory=list)
    bare_processor: list[float] = field(default_factory=list)
    calls: int = 0
    pages: int = 0

    def add(self, ours: tuple[float, float], bare: tuple[float, float]) -> None:
        """Seconds of a round, and those of the processor: ours, and the bare client's."""
        self.ours.append(ours[0])
        self.bare.append(bare[0])
        self.our_processor.append(ours[1] or 1.0)
        self.bare_processor.append(bare[1])

    def figure(self, name: str) -> Figure:
        """The ratio, with what the processor says, which hardly notices what else the machine does."""
        used = [one / other for one, other in zip(self.our_processor, self.bare_processor, strict=True)]
        note = f"{statistics.median(self.ours):.1f} s, {statistics.median(self.bare):.1f} s; "
        note += f"processor {statistics.median(used):.2f} x; {self.calls:,} calls, {self.pages:,} pages"
        return ratio(name, self.ours, self.bare, MOST_TIME, "at most", note, vars(self))


def _round(
    plane: ControlPlane, fetch: _Fetching, ids: Sequence[str], numbers: range, taken: Taken, *, is_first: bool
) -> None:
    """The bare client, then the product, on the same vaults."""
    fetched = fetch.run(numbers, versions=is_first)
    used = machine.processor_s(plane.pid) or 0.0
    seconds, job = _synchronize(plane, [ids[number] for number in numbers])
    used = (machine.processor_s(plane.pid) or 0.0) - used
    taken.add((seconds, used), (fetched["seconds"], fetched["processor_s"]))
    taken.calls += job["progress"]["calls"]
    taken.pages += fetched["pages"]
    what = f"{'first' if is_first else 'again'}, {len(numbers)} vaults"
    bare = f"bare client {fetched['seconds']:.1f} s ({fetched['processor_s']:.1f} s)"
    say(f"  {what}: {seconds:.1f} s ({used:.1f} s of the processor), {bare}")


def _first(plane: ControlPlane, fetch: _Fetching, ids: Sequence[str], rounds: int) -> list[Figure]:
    """Vaults that were never read, a portion a round."""
    each = max(1, len(ids) // rounds)
    taken = Taken()
    resident: list[float] = []
    for at in range(0, each * rounds, each):
        _round(plane, fetch, ids, range(at, at + each), taken, is_first=True)
        resident.append(machine.resident_kib(plane.pid) / 1024)
    left = ids[each * rounds :]
    if left:
        _synchronize(plane, left)
    grown = machine.resident_kib(plane.pid) / 1024 - resident[0]
    seen = ", ".join(f"{mib:.0f}" for mib in resident)
    return [
        taken.figure("first synchronisation / bare fetch"),
        Figure("memory gained after its first round", grown, MOST_GROWTH_MIB, "at most", "MiB", note=f"{seen} MiB"),
    ]


def _again(plane: ControlPlane, fetch: _Fetching, ids: Sequence[str], rounds: int) -> list[Figure]:
    """All vaults again: the lists alone, and nothing to write."""
    before = _digest(plane)
    _round(plane, fetch, ids, range(len(ids)), Taken(), is_first=False)  # does not count
    taken = Taken()
    for _ in range(rounds):
        _round(plane, fetch, ids, range(len(ids)), taken, is_first=False)
    changed = float(_digest(plane) != before)
    return [
        taken.figure("synchronisation / bare fetch, nothing new"),
        Figure("secrets' rows differ after that", changed, 0, "at most"),
    ]


def _synchronize(plane: ControlPlane, ids: Sequence[str]) -> tuple[float, Any]:
    began = time.perf_counter()
    job_id = plane.start_synchronization(ids)
    job = plane.ended(job_id)
    taken = time.perf_counter() - began
    if job["overall_status"] != "completed":
        raise RuntimeError(f"the job failed: {job['message']} {job['progress']['failed_items'][:3]}")
    return taken, job


def _digest(plane: ControlPlane) -> str:
    """Of all rows of secrets, and of the revision that every change of one moves."""
    found = hashlib.sha256()
    database = apsw.Connection(str(plane.data / "claviger.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        database.set_busy_timeout(10_000)
        for row in database.execute("SELECT * FROM cckm_azure_secrets ORDER BY num"):
            found.update(repr(row).encode())
        for row in database.execute("SELECT value FROM meta WHERE key = 'cckm_azure_secrets_revision'"):
            found.update(repr(row).encode())
    finally:
        database.close()
    return found.hexdigest()


def say(text: str) -> None:
    print(text, flush=True)
