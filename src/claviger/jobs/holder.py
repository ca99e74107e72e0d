"""Who holds a lease: this process, named so that others can tell whether it still lives.

On Linux the name says the boot, the pid namespace, the process and its start, so a process that starts after a crash on
the same machine sees at once that the earlier one is dead. Elsewhere, and between machines, the lease's end decides.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_STATE, _STARTED_AT = 0, 19  # fields of /proc/PID/stat after the command's closing bracket


def own_name() -> str:
    """A name for this process that no other one ever has."""
    place = _place()
    if place is None:
        return f"elsewhere:{secrets.token_hex(16)}"
    pid = os.getpid()
    return f"{place}:{pid}:{_started(pid)}:{secrets.token_hex(4)}"


def is_dead(name: str) -> bool:
    """Whether the process of that name is known to have ended. False where that cannot be told from here."""
    place = _place()
    told = name.split(":")
    if place is None or len(told) != 5 or ":".join(told[:2]) != place or not told[2].isdigit():
        return False
    return _started(int(told[2])) != told[3]


def _place() -> str | None:
    """This boot and this pid namespace: within it, process numbers mean something."""
    try:
        return f"{_BOOT.read_text().strip()}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return None


def _started(pid: int) -> str:
    """When a process started, in the kernel's own ticks; empty where there is none, or only its remains."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if told[_STATE] in "ZX" else told[_STARTED_AT]  # killed, and nobody has asked for its exit code yet
    except (OSError, IndexError):
        return ""
