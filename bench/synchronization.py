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
from pathlib import Path
from typing import Any

import apsw

from bench import machine
from bench.estate import Cloud, ControlPlane, vault_name
from bench.report import Figure, ratio
from claviger.cckm.azure.synchronization.gate import CALLS_AT_ONCE
from claviger.cckm.azure.synchronization.runner import VAULTS_AT_ONCE

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
    _say(f"filling {vaults} vaults with {secrets:,} secrets")
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


def _first(plane: ControlPlane, fetch: _Fetching, ids: Sequence[str], rounds: int) -> list[Figure]:
    """Vaults that were never read, a portion a round."""
    each = max(1, len(ids) // rounds)
    ours: list[float] = []
    bare: list[float] = []
    pages = calls = 0
    resident: list[float] = []
    for at in range(0, each * rounds, each):
        numbers = range(at, min(at + each, len(ids)))
        fetched = fetch.run(numbers, versions=True)
        taken, job = _synchronize(plane, [ids[number] for number in numbers])
        ours.append(taken)
        bare.append(fetched["seconds"])
        pages, calls = pages + fetched["pages"], calls + job["progress"]["calls"]
        resident.append(machine.resident_kib(plane.pid) / 1024)
        _say(f"  first reading of {len(numbers)} vaults: {taken:.1f} s, bare client {fetched['seconds']:.1f} s")
    left = [ids[number] for number in range(each * rounds, len(ids))]
    if left:
        _synchronize(plane, left)
    note = f"{statistics.median(ours):.1f} s, {statistics.median(bare):.1f} s a round; {calls:,} calls, {pages:,} pages"
    grown = machine.resident_kib(plane.pid) / 1024 - resident[0]
    seen = ", ".join(f"{mib:.0f}" for mib in resident)
    return [
        ratio("first synchronisation / bare fetch", ours, bare, MOST_TIME, "at most", note),
        Figure("memory gained after its first round", grown, MOST_GROWTH_MIB, "at most", "MiB", note=f"{seen} MiB"),
    ]


def _again(plane: ControlPlane, fetch: _Fetching, ids: Sequence[str], rounds: int) -> list[Figure]:
    """All vaults again: the lists alone, and nothing to write."""
    before = _digest(plane)
    ours: list[float] = []
    bare: list[float] = []
    pages = calls = 0
    for number in range(rounds + 1):
        fetched = fetch.run(range(len(ids)), versions=False)
        taken, job = _synchronize(plane, ids)
        if number:  # the first round does not count
            ours.append(taken)
            bare.append(fetched["seconds"])
        pages, calls = fetched["pages"], job["progress"]["calls"]
        _say(f"  again: {taken:.1f} s, bare client {fetched['seconds']:.1f} s")
    changed = float(_digest(plane) != before)
    note = f"{statistics.median(ours):.1f} s, {statistics.median(bare):.1f} s; {calls:,} calls, {pages:,} pages"
    return [
        ratio("synchronisation / bare fetch, nothing new", ours, bare, MOST_TIME, "at most", note),
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


def _say(text: str) -> None:
    print(text, flush=True)
