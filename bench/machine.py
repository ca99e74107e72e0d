"""What is measured on, and how a process is watched: cores, memory, processor time, the disk's time for a sync.

Where the system does not tell (macOS has no /proc and no affinity), the answer is None or nothing is pinned, and the
report says so.
"""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import apsw

LIBRARIES = ("uvicorn", "uvloop", "httptools", "apsw", "cryptography", "msgspec", "PyJWT")
SYNC_COUNT = 200


@dataclass(frozen=True)
class Cores:
    """Which core serves and which ones make the load; None where nothing can be pinned."""

    server: frozenset[int] | None
    load: frozenset[int] | None


def cores() -> Cores:
    """One core for the server, the others for the load. Nothing is pinned on a machine with a single core."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores(None, None)
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return Cores(None, None)
    return Cores(frozenset(allowed[-1:]), frozenset(allowed[:-1]))


def pin(pid: int, to: frozenset[int] | None) -> None:
    """Keeps a process, with all the threads that it has by now and will have, on these cores."""
    if to is None or sys.platform == "darwin":
        return
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), to)


def resident_kib(pid: int) -> int:
    """Resident memory of a process, in KiB."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, timeout=10, check=True)
    return int(said.stdout)


def processor_s(*pids: int) -> float | None:
    """Processor time that processes have used, system calls included, in seconds; None where /proc is missing."""
    ticks = 0
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists():
            return None
        fields = stat.read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def sync_ms(folder: Path) -> float:
    """The median time of writing 4 KiB and syncing them, in milliseconds."""
    path = folder / "sync-probe"
    taken: list[float] = []
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(SYNC_COUNT):
                file.write(bytes(4096))
                began = time.perf_counter()
                os.fsync(file.fileno())
                taken.append(time.perf_counter() - began)
    finally:
        path.unlink(missing_ok=True)
    return statistics.median(taken) * 1000


def raise_file_limit() -> None:
    """Lets this process and its children hold as many connections as the system allows anyone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def load_average() -> list[float]:
    """How busy the machine is, over one, five and fifteen minutes."""
    return [round(load, 2) for load in os.getloadavg()]


def facts(folder: Path) -> dict[str, object]:
    """The machine and the versions that figures belong to."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average_before": load_average(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "sync_ms": round(sync_ms(folder), 3),
        "versions": {name: metadata.version(name) for name in ("claviger", *LIBRARIES) if _installed(name)},
    }


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
