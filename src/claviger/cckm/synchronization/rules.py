"""How a vault is read with patience, and when its records are not to be touched. Pure.

Absence is never concluded from an answer that failed. Even a whole reading that misses many things at once is more
likely a vault that was emptied by mistake, or the wrong vault, than a day's work: that is what the brake is for.
"""

from __future__ import annotations

from collections.abc import Sequence

IN_PROGRESS, COMPLETED, FAILED, CANCELLED, WAITING = "in_progress", "completed", "failed", "cancelled", "waiting"
STATUSES = (IN_PROGRESS, COMPLETED, FAILED)
"""What clients see of a job, and of a vault in it (CCKM contract §12)."""

MOST_VAULTS = 1000
BRAKE_PERCENT = 10
BRAKE_FREE = 10
"""So many secrets or keys may go whatever the share is: in a small vault every one of them would be a large share."""

PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Between tries of a call that came to nothing; after the last of them the vault is given up."""
LONGEST_RETRY_AFTER_S = 600.0
THROTTLED_FOR_S = 120.0
THROTTLED_IN_A_ROW = 20


def braked(known: int, would_go: int, percent: int) -> bool:
    """Whether so many of a vault with so many known ones are too many to be marked gone at once."""
    return would_go > max(BRAKE_FREE, known * percent // 100)


def pause_after(failures: int) -> float | None:
    """Seconds to wait after so many failed tries of one call; None where it is given up."""
    return PAUSES_S[failures - 1] if failures <= len(PAUSES_S) else None


def is_given_up(throttled_in_a_row: int, throttled_for_s: float) -> bool:
    """Whether a vault that lets nothing through for so long is given up for now."""
    return throttled_in_a_row >= THROTTLED_IN_A_ROW and throttled_for_s >= THROTTLED_FOR_S


def choice_problems(vaults: Sequence[str], synchronize_all: bool, field: str) -> dict[str, str]:
    """What is wrong with a choice of vaults, in `field` (CCKM contract, Azure §6, OCI §7: exactly one of the two)."""
    if vaults and synchronize_all:
        return {"synchronize_all": f"excludes {field}: give one of them"}
    if not vaults and not synchronize_all:
        return {field: "names no vault: give at least one, or synchronize_all"}
    if len(vaults) > MOST_VAULTS:
        return {field: f"names more than {MOST_VAULTS} vaults"}
    return {}


def shown_status(state: str) -> str:
    """The state of a vault in the words of the contract: one that was not read because of a cancel has failed."""
    return {WAITING: IN_PROGRESS, CANCELLED: FAILED}.get(state, state)


def overall(states: Sequence[str]) -> str:
    """How a job ends by the ends of its vaults (CCKM contract, Azure §6); a cancelled one is completed (§12)."""
    return FAILED if FAILED in states else COMPLETED
