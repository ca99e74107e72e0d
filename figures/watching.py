"""`python -m figures.watching FILE ...`: the command line of Claviger, with each call that meets the switches noted.

A line a call of the vaults: when it came, by the machine's monotonic clock, which operation, of which vault, and
whether it was throttled there.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NamedTuple

from claviger.core.errors import Throttled
from claviger.switches.board import Switches


class Met(NamedTuple):
    """A call as it was noted."""

    at: float
    operation: str
    vault: str
    throttled: bool


def read(path: Path, since: float) -> list[Met]:
    """What was noted since a moment, in order."""
    found = []
    for line in path.read_text().splitlines():
        at, operation, vault, throttled = line.split()
        if float(at) >= since:
            found.append(Met(float(at), operation, vault, throttled == "1"))
    return sorted(found)


def watch(path: Path) -> None:
    """Notes what meets the switches of this process from now on."""
    told = path.open("a", buffering=1)
    meet = Switches.meet

    async def noting(self: Switches, service: str, operation: str, place: str) -> bool:
        at, throttled = time.monotonic(), 0
        try:
            return await meet(self, service, operation, place)
        except Throttled:
            throttled = 1
            raise
        finally:
            if service == "keyvault":
                told.write(f"{at:.6f} {operation} {place} {throttled}\n")

    Switches.meet = noting  # type: ignore[method-assign]  # this process is made for it


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
    from claviger.cli.main import main

    del sys.argv[1]
    main()
