"""How long a trial waits for an answer before it says that none came: a busy machine is not a server that hangs.

Seconds in which somebody on this machine wanted a processor and had none do not count (Linux, `/proc/pressure/cpu`);
elsewhere, and where nobody waits, all of them do. An end there is all the same.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TypeVar

PRESSURE = Path("/proc/pressure/cpu")
MOST_TIMES = 12
"""So many times as long as on a machine of one's own at most."""
LOOK_S = 0.1

T = TypeVar("T")


def short_of_processors_s() -> float:
    """The seconds so far in which somebody had to wait for a processor; 0 where the system does not tell."""
    try:
        return int(PRESSURE.read_text().partition("\n")[0].rpartition("total=")[2]) / 1e6
    except (OSError, ValueError):
        return 0.0


class Patience:
    """A limit in seconds, from now on."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._began, self._short_s = time.monotonic(), short_of_processors_s()

    @property
    def allowed_s(self) -> float:
        """The limit with what does not count."""
        return min(self._limit_s + short_of_processors_s() - self._short_s, MOST_TIMES * self._limit_s)

    @property
    def left_s(self) -> float:
        """How long to wait before looking here again; 0 or less at the end."""
        return self._began + self.allowed_s - time.monotonic()


async def in_time(work: asyncio.Task[T], limit_s: float) -> T:
    """What the task comes to within so many seconds in which somebody was looking. Raises TimeoutError, and ends it.

    A look that the loop was late for counts as one of its proper length: what came meanwhile is found by the next.
    """
    patience, looks = Patience(limit_s), 0
    while not work.done():
        if looks >= max(1, round(patience.allowed_s / LOOK_S)):
            work.cancel()
            raise TimeoutError
        await asyncio.wait({work}, timeout=LOOK_S)
        looks += 1
    return work.result()
