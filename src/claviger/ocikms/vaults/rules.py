"""What may be done to a vault in which state, as a table, and which kinds of vault there are. Pure.

A vault is ACTIVE, or waits for its deletion, or is deleted; the other states pass by themselves (`ocikms.states`). A
vault that waits can only be read, and brought back; all keys wait with it (OCI contract §8).
"""

from __future__ import annotations

from enum import Enum

from claviger.core.errors import Conflict
from claviger.lifecycle.transitions import Refused, TransitionTable, conflict
from claviger.ocikms.errors import wrong, wrong_state

DEFAULT, VIRTUAL_PRIVATE, EXTERNAL = "DEFAULT", "VIRTUAL_PRIVATE", "EXTERNAL"
OFFERED_TYPES = (DEFAULT, VIRTUAL_PRIVATE)
VAULT_TYPES = (*OFFERED_TYPES, EXTERNAL)


class State(Enum):
    """What a vault is shown as (contract §8); the first three it can stay in."""

    ACTIVE = "ACTIVE"
    PENDING_DELETION = "PENDING_DELETION"
    DELETED = "DELETED"
    CREATING = "CREATING"
    UPDATING = "UPDATING"
    DELETING = "DELETING"
    SCHEDULING_DELETION = "SCHEDULING_DELETION"
    CANCELLING_DELETION = "CANCELLING_DELETION"
    BACKUP_IN_PROGRESS = "BACKUP_IN_PROGRESS"
    RESTORING = "RESTORING"


class Operation(Enum):
    """What depends on a vault's state. FILL is every change of what is in it."""

    READ = "GetVault"
    UPDATE = "UpdateVault"
    SCHEDULE_DELETION = "ScheduleVaultDeletion"
    CANCEL_DELETION = "CancelVaultDeletion"
    MOVE = "ChangeVaultCompartment"
    BACK_UP = "BackupVault"
    REPLICATE = "CreateVaultReplica"
    FILL = "CreateKey"


_NO = conflict("WrongState")


def _only(**allowed: State) -> dict[State, State | Refused]:
    """A row of the table: where the named states lead; every other state refuses."""
    return {state: allowed.get(state.name, _NO) for state in State}


TRANSITIONS: TransitionTable[Operation, State] = TransitionTable(
    {
        Operation.READ: {state: state for state in State},
        Operation.UPDATE: _only(ACTIVE=State.ACTIVE, CREATING=State.CREATING),
        Operation.SCHEDULE_DELETION: _only(ACTIVE=State.PENDING_DELETION),
        Operation.CANCEL_DELETION: _only(PENDING_DELETION=State.ACTIVE),
        Operation.MOVE: _only(ACTIVE=State.ACTIVE),
        Operation.BACK_UP: _only(ACTIVE=State.ACTIVE),
        Operation.REPLICATE: _only(ACTIVE=State.ACTIVE),
        Operation.FILL: _only(ACTIVE=State.ACTIVE),
    }
)


def decide(operation: Operation, shown: str, ident: str) -> State:
    """Where the operation leads a vault of that shown state. Raises Conflict("WrongState") where it is not allowed."""
    try:
        return TRANSITIONS.decide(operation, State(shown))
    except Conflict:
        raise wrong_state("Vault", ident, shown) from None


def check_type(vault_type: str, has_external_manager: bool) -> str:
    """`vault_type` itself. Raises Invalid for an unknown one and for EXTERNAL, which is not offered (§7.6)."""
    if vault_type not in VAULT_TYPES:
        raise wrong("vaultType", f"must be one of {', '.join(VAULT_TYPES)}")
    if vault_type == EXTERNAL:
        raise wrong("vaultType", "EXTERNAL cannot be used: this service has no external key managers")
    if has_external_manager:
        raise wrong("externalKeyManagerMetadata", "is for vaults of type EXTERNAL only")
    return vault_type


def lowest_free(taken: list[int], count: int) -> int | None:
    """The lowest number from 0 below `count` that is not in `taken`, which is in order; None where all are."""
    free = next((number for number, other in enumerate(taken) if number != other), len(taken))
    return free if free < count else None


def check_key_dates(latest: float | None, deletes_at: float) -> None:
    """Refuses to delete a vault before a key that was scheduled on its own (§8.4). Raises Conflict."""
    if latest is not None and latest > deletes_at:
        raise Conflict(
            "KeyDeletedLater",
            message="A key of this vault is scheduled to be deleted later than the vault would be; "
            "cancel that deletion, or choose a later time.",
        )
