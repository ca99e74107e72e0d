"""How much of those whom nobody knows is recorded: they must not be able to fill the disk."""

from __future__ import annotations

from claviger.core.clock import Clock

STRANGERS_A_MINUTE = 120
"""So many refusals of callers that nobody knows are recorded; how many more there were is said by the next one."""
_MINUTE_S = 60


class Strangers:
    """Counts them. `machine` measures the minute."""

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        self._minute = -float(_MINUTE_S)
        self._count = 0

    def told(self) -> dict[str, int] | None:
        """What the record of a stranger's refusal adds to it; None where there is to be none."""
        now = self._machine.monotonic()
        if now - self._minute >= _MINUTE_S:
            unrecorded = max(0, self._count - STRANGERS_A_MINUTE)
            self._minute, self._count = now, 1
            return {"unrecorded_before": unrecorded} if unrecorded else {}
        self._count += 1
        return {} if self._count <= STRANGERS_A_MINUTE else None
