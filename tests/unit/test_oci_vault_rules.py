"""Vaults of the embedded OCI: every operation in every state, kinds of vault, ports, and dates of keys."""

from __future__ import annotations

import pytest

from claviger.core.errors import Conflict, Invalid
from claviger.ocikms import errors
from claviger.ocikms.vaults import rules
from claviger.ocikms.vaults.rules import Operation, State

STATES = (
    "CREATING ACTIVE UPDATING DELETING DELETED SCHEDULING_DELETION PENDING_DELETION CANCELLING_DELETION"
    " BACKUP_IN_PROGRESS RESTORING"
)
"""All states of a vault, as contract §8 lists them."""
ALLOWED = {
    "GetVault": {state: state for state in STATES.split()},
    "UpdateVault": {"ACTIVE": "ACTIVE", "CREATING": "CREATING"},
    "ScheduleVaultDeletion": {"ACTIVE": "PENDING_DELETION"},
    "CancelVaultDeletion": {"PENDING_DELETION": "ACTIVE"},
    "ChangeVaultCompartment": {"ACTIVE": "ACTIVE"},
    "BackupVault": {"ACTIVE": "ACTIVE"},
    "CreateVaultReplica": {"ACTIVE": "ACTIVE"},
    "CreateKey": {"ACTIVE": "ACTIVE"},
}
"""Where each operation leads, as contract §3 and §8.1 say; what is not here is refused."""


def test_the_states_are_those_of_the_wire() -> None:
    assert sorted(state.value for state in State) == sorted(STATES.split())
    assert {operation.value for operation in Operation} == set(ALLOWED)


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("state", STATES.split())
def test_every_cell(operation: Operation, state: str) -> None:
    leads_to = ALLOWED[operation.value].get(state)
    if leads_to is not None:
        assert rules.decide(operation, state, "ocid1.vault") == State(leads_to)
        return
    with pytest.raises(Conflict) as refused:
        rules.decide(operation, state, "ocid1.vault")
    assert errors.told(refused.value) == (
        409,
        "IncorrectState",
        f"Vault ocid1.vault is in state {state}, which does not allow this operation.",
    )


def test_the_table_has_every_cell() -> None:
    cells = {(operation.value, state.value) for operation, state, _ in rules.TRANSITIONS.cells()}
    assert cells == {(operation, state) for operation in ALLOWED for state in STATES.split()}


def test_the_kinds_of_vault() -> None:
    assert rules.check_type("DEFAULT", False) == "DEFAULT"
    assert rules.check_type("VIRTUAL_PRIVATE", False) == "VIRTUAL_PRIVATE"
    for kind, has_manager in (("EXTERNAL", True), ("EXTERNAL", False), ("default", False), ("", False)):
        with pytest.raises(Invalid) as refused:
            rules.check_type(kind, has_manager)
        assert errors.told(refused.value)[:2] == (400, "InvalidParameter")
        assert "vaultType" in errors.told(refused.value)[2]
    with pytest.raises(Invalid, match="externalKeyManagerMetadata"):
        rules.check_type("DEFAULT", True)


@pytest.mark.parametrize(
    ("taken", "count", "free"),
    [([], 3, 0), ([0], 3, 1), ([1, 2], 3, 0), ([0, 2], 3, 1), ([0, 1, 2], 3, None), ([0, 1, 5], 3, 2), ([], 0, None)],
)
def test_the_lowest_free_port(taken: list[int], count: int, free: int | None) -> None:
    assert rules.lowest_free(taken, count) == free


def test_no_key_outlives_its_vault() -> None:
    rules.check_key_dates(None, 100.0)
    rules.check_key_dates(100.0, 100.0)
    with pytest.raises(Conflict) as refused:
        rules.check_key_dates(100.001, 100.0)
    assert errors.told(refused.value)[:2] == (409, "Conflict")
