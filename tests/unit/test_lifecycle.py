"""The pure rules: retention arithmetic, recovery levels, and the table machinery."""

from __future__ import annotations

from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claviger.core.errors import Conflict, Invalid, NotFound
from claviger.lifecycle.retention import (
    DAY_S,
    check_retention_days,
    is_final,
    purge_at,
    recovery_level,
)
from claviger.lifecycle.transitions import TransitionTable, absent


@pytest.mark.parametrize(
    ("soft_delete", "days", "protected", "level"),
    [
        (False, 90, False, "Purgeable"),
        (True, 90, False, "Recoverable+Purgeable"),
        (True, 90, True, "Recoverable"),
        (True, 7, False, "CustomizedRecoverable+Purgeable"),
        (True, 89, False, "CustomizedRecoverable+Purgeable"),
        (True, 30, True, "CustomizedRecoverable"),
    ],
)
def test_recovery_level_follows_the_vault(soft_delete: bool, days: int, protected: bool, level: str) -> None:
    assert recovery_level(soft_delete, days, protected) == level


@pytest.mark.parametrize("days", [-1, 0, 6, 91, 10**9])
def test_retention_outside_its_bounds_is_refused(days: int) -> None:
    with pytest.raises(Invalid):
        check_retention_days(days)


@given(deleted_at=st.integers(0, 4_000_000_000), days=st.integers(7, 90), early=st.floats(1e-3, 1e6))
def test_never_final_early_and_final_on_the_second(deleted_at: int, days: int, early: float) -> None:
    until = purge_at(deleted_at, days)
    assert until - deleted_at == days * DAY_S
    assert not is_final(until, until - early)
    assert is_final(until, until)
    assert not is_final(None, until + early)


class _State(Enum):
    OFF = "off"
    ON = "on"


class _Operation(Enum):
    SWITCH_ON = "switch on"
    SWITCH_OFF = "switch off"


def test_a_cell_that_is_missing_is_a_refusal() -> None:
    table = TransitionTable({_Operation.SWITCH_ON: {_State.OFF: _State.ON, _State.ON: absent("Already")}})
    assert table.decide(_Operation.SWITCH_ON, _State.OFF) is _State.ON
    with pytest.raises(NotFound) as refused:
        table.decide(_Operation.SWITCH_ON, _State.ON, name="lamp")
    assert refused.value.facts == {"name": "lamp"}
    with pytest.raises(Conflict, match="StateForbids"):
        table.decide(_Operation.SWITCH_OFF, _State.ON)
    assert len(list(table.cells())) == 2
