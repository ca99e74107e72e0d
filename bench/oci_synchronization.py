"""Synchronisation of OCI: the time it takes against that of fetching the same objects with the bare official SDK.

Two servers: one has the vaults, the other manages them, so what is measured is the control plane alone. It and the bare
SDK take turns on the same core. Every reading fetches every key and the list of its versions; the first one writes all
of them down, later ones find nothing new.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from bench import machine
from bench.oci_estate import OciCloud, OciControlPlane
from bench.report import Figure
from bench.synchronization import FETCH_LIMIT_S, MOST_GROWTH_MIB, MOST_RESIDENT_MIB, Taken, Watch, say
from claviger.cckm.synchronization.gate import CALLS_AT_ONCE


def measure(folder: Path, keys: int, vaults: int, rounds: int) -> list[Figure]:
    """So many keys in so many vaults, read for the first time in portions, and then all of them again and again."""
    cores = machine.cores()
    cloud = OciCloud(folder / "oci-cloud", cores.load)
    plane = OciControlPlane(folder / "oci-plane", cores.server)
    say(f"filling {vaults} vaults with {keys:,} keys")
    watch: Watch | None = None
    try:
        cloud.prepare(vaults, keys // vaults)
        plane.start()
        plane.connect_to(cloud)
        records = plane.manage_vaults(cloud)
        machine.pin(plane.pid, cores.server)
        watch = Watch(plane.pid)
        turns = _Turns(plane, _Fetching(folder, cloud, plane), records)
        figures = turns.first(rounds)
        figures += turns.again(rounds)
        peak = watch.peak_kib / 1024
        name = f"resident memory, synchronising {keys:,} keys of OCI"
        figures.append(Figure(name, peak, MOST_RESIDENT_MIB, "at most", "MiB"))
        return figures
    finally:
        if watch is not None:
            watch.stop()
        plane.stop()
        cloud.stop()


class _Fetching:
    """The bare SDK, in a process of its own on the control plane's core."""

    def __init__(self, folder: Path, cloud: OciCloud, plane: OciControlPlane) -> None:
        self._file = folder / "oci-fetching.json"
        found = plane.call("POST", "/cckm/oci/get-compartments", {"connection": "bench"})["data"]
        self._told: dict[str, Any] = {
            "account": cloud.account,
            "authority": cloud.authority.read_text(),
            "compartments": [each["id"] for each in found],
            "threads": CALLS_AT_ONCE,
        }

    def run(self, records: Sequence[Any]) -> dict[str, Any]:
        """Calls and seconds."""
        vaults = [record["management_endpoint"] for record in records]
        self._file.write_text(json.dumps(self._told | {"vaults": vaults}))
        command = [sys.executable, "-m", "bench.oci_fetching", str(self._file)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        machine.pin(process.pid, machine.cores().server)
        said, _ = process.communicate(timeout=FETCH_LIMIT_S)
        if process.returncode:
            raise RuntimeError("the bare SDK failed")
        found: dict[str, Any] = json.loads(said)
        return found


class _Turns:
    """The bare SDK and the product, by turns on the same vaults."""

    def __init__(self, plane: OciControlPlane, fetching: _Fetching, records: Sequence[Any]) -> None:
        self._plane = plane
        self._fetching = fetching
        self._records = records

    def first(self, rounds: int) -> list[Figure]:
        """Vaults that were never read, a portion a round."""
        each = max(1, len(self._records) // rounds)
        taken = Taken()
        resident: list[float] = []
        for at in range(0, each * rounds, each):
            self._round(self._records[at : at + each], taken, "first")
            resident.append(machine.resident_kib(self._plane.pid) / 1024)
        left = self._records[each * rounds :]
        if left:
            self._synchronize(left)
        grown = machine.resident_kib(self._plane.pid) / 1024 - resident[0]
        seen = ", ".join(f"{mib:.0f}" for mib in resident)
        return [
            taken.figure("first synchronisation of OCI / bare SDK"),
            Figure(
                "memory gained after OCI's first round", grown, MOST_GROWTH_MIB, "at most", "MiB", note=f"{seen} MiB"
            ),
        ]

    def again(self, rounds: int) -> list[Figure]:
        """All vaults again, with nothing to write."""
        before = self._digest()
        taken = Taken()
        for _ in range(rounds):
            self._round(self._records, taken, "again")
        changed = float(self._digest() != before)
        return [
            taken.figure("synchronisation of OCI / bare SDK, nothing new"),
            Figure("keys' rows differ after that", changed, 0, "at most"),
        ]

    def _round(self, records: Sequence[Any], taken: Taken, what: str) -> None:
        fetched = self._fetching.run(records)
        used = machine.processor_s(self._plane.pid) or 0.0
        seconds, job = self._synchronize(records)
        used = (machine.processor_s(self._plane.pid) or 0.0) - used
        taken.add((seconds, used), (fetched["seconds"], fetched["processor_s"]))
        taken.calls += job["progress"]["calls"]
        taken.pages += fetched["calls"]
        if job["progress"]["keys_done"] != fetched["keys"]:
            raise RuntimeError(f"{job['progress']['keys_done']} keys were read, and {fetched['keys']} are there")
        bare = f"bare SDK {fetched['seconds']:.1f} s ({fetched['processor_s']:.1f} s)"
        say(f"  {what}, {len(records)} vaults: {seconds:.1f} s ({used:.1f} s of the processor), {bare}")

    def _synchronize(self, records: Sequence[Any]) -> tuple[float, Any]:
        began = time.perf_counter()
        job = self._plane.synchronized([record["id"] for record in records])
        taken = time.perf_counter() - began
        if job["overall_status"] != "completed":
            raise RuntimeError(f"the job failed: {job['message']} {job['progress']['failed_items'][:3]}")
        return taken, job

    def _digest(self) -> str:
        """Of all rows of keys and versions, and of the revision that every change of one moves."""
        found = hashlib.sha256()
        database = apsw.Connection(str(self._plane.data / "claviger.db"), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            database.set_busy_timeout(10_000)
            for table in ("cckm_oci_keys", "cckm_oci_key_versions"):
                for row in database.execute(f"SELECT * FROM {table} ORDER BY num"):
                    found.update(repr(row).encode())
            for row in database.execute("SELECT value FROM meta WHERE key = 'cckm_oci_keys_revision'"):
                found.update(repr(row).encode())
        finally:
            database.close()
        return found.hexdigest()
