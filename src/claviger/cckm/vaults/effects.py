"""What it means, for plans, that vaults of any cloud come under management, are reached or are guarded otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from claviger.cckm.approvals.rules import Protection
from claviger.cckm.planning.draft import Effect
from claviger.cckm.vaults.records import ManagedVault

MOST_NAMED = 20


def added(rows: Sequence[ManagedVault], kind: str, cloud: str, things: str, undo: str) -> Effect:
    """Vaults come under management; `things` are what lies in them."""
    named = ", ".join(row.name for row in rows[:MOST_NAMED]) + (", ..." if len(rows) > MOST_NAMED else "")
    return Effect(
        what=f"{kind}.add",
        words=f"{len(rows)} of {cloud}'s vaults come under management: {named}; nothing changes in {cloud}, and their "
        f"{things} are not read by this",
        kind=kind,
        name=rows[0].name if len(rows) == 1 else "",
        undo=undo,
        facts={"vault_count": len(rows), "vaults": [row.name for row in rows]},
    )


def reached_otherwise(before: ManagedVault, after: ManagedVault, cloud: str) -> list[str]:
    """A vault is looked at again, and perhaps by another connection: in words."""
    told = [f"the vault {before.name} is looked at in {cloud} again, and its record says what {cloud} says"]
    if before.connection_id != after.connection_id:
        told.append(f"it is reached by the connection {after.connection_name} instead of {before.connection_name}")
    return told


def protection_facts(was: Protection, kept: Protection) -> dict[str, object]:
    """How a vault is guarded before and after."""
    return {
        "protected": {"before": was.protected, "after": kept.protected},
        "hard_delete_quorum": {"before": was.in_force, "after": kept.in_force},
    }
