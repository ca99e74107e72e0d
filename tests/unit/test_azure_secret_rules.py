"""What may be done to the control plane's record of a secret, walked cell by cell; and what its parts may look like."""

from __future__ import annotations

import pytest

from claviger.cckm.azure.secrets.rules import (
    TRANSITIONS,
    Operation,
    Status,
    decide,
    name_problem,
    recovery_problems,
    tag_problems,
    time_problems,
    value_problem,
)
from claviger.core.errors import Invalid

ALLOWED = {
    (Operation.UPDATE, Status.AVAILABLE): Status.AVAILABLE,
    (Operation.SOFT_DELETE, Status.AVAILABLE): Status.SOFT_DELETED,
    (Operation.DELETE_FOR_GOOD, Status.AVAILABLE): Status.DELETED,
    (Operation.HARD_DELETE, Status.SOFT_DELETED): Status.DELETED,
    (Operation.RECOVER, Status.SOFT_DELETED): Status.AVAILABLE,
    (Operation.RESTORE, Status.DELETED): Status.AVAILABLE,
    (Operation.REMOVE, Status.DELETED): Status.DELETED,
}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("operation", Operation)
def test_every_cell(operation: Operation, status: Status) -> None:
    """The table of the contract (§5.2), and a refusal that names the state for everything else."""
    if (operation, status) in ALLOWED:
        assert decide(operation, status) is ALLOWED[operation, status]
        return
    with pytest.raises(Invalid) as refused:
        decide(operation, status)
    assert refused.value.reason == "StateForbids"
    assert str(refused.value.facts["message"]).startswith(f"the secret is {status.value}, and ")


@pytest.mark.parametrize("operation", [Operation.RECOVER, Operation.RESTORE])
@pytest.mark.parametrize("status", Status)
def test_who_wants_a_secret_back_is_never_told_to_delete_it(operation: Operation, status: Status) -> None:
    if (operation, status) in ALLOWED:
        return
    with pytest.raises(Invalid) as refused:
        decide(operation, status)
    advice = str(refused.value.facts["message"]).partition("; ")[2]
    assert advice
    assert "delete" not in advice


def test_the_table_names_every_cell() -> None:
    assert {(operation, status) for operation, status, _ in TRANSITIONS.cells()} == {
        (operation, status) for operation in Operation for status in Status
    }


@pytest.mark.parametrize("name", ["a", "A-9", "0", "-", "x" * 127])
def test_names_that_azure_takes(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize("name", ["", "x" * 128, "a b", "a_b", "a.b", "a/b", "é", "a\n", "a\0", "a%20"])
def test_names_that_azure_does_not_take(name: str) -> None:
    assert name_problem(name) is not None


def test_values_end_at_25_kilobytes() -> None:
    assert value_problem(b"x" * 25_600) is None
    assert value_problem(b"x" * 25_601) is not None


def test_tags_take_every_character_of_the_documentation_but_colon_and_percent() -> None:
    allowed = r"""aZ09!@#$)({}><?+-/[]^&=|~`;.'_ ,\"""" + '"'
    assert tag_problems({"t": allowed}) == {}
    assert set(tag_problems({"a": "x:y", "b": "10%", "c": "fine"})) == {"tags.a", "tags.b"}


def test_tags_are_counted_and_measured() -> None:
    assert tag_problems({f"t{n}": "" for n in range(15)}) == {}
    assert "tags" in tag_problems({f"t{n}": "" for n in range(16)})
    assert tag_problems({"t": "x" * 256}) == {}
    for tags in ({"t": "x" * 257}, {"": "x"}, {"x" * 257: ""}, {"t": "a\nb"}):
        assert tag_problems(tags), tags


@pytest.mark.parametrize(
    ("not_before", "expires_at", "wrong"),
    [
        (None, None, set()),
        (5, 6, set()),
        (6, 6, {"attributes.exp"}),
        (7, 6, {"attributes.exp"}),
        (-1, None, {"attributes.nbf"}),
        (None, 253_402_300_800, {"attributes.exp"}),
        (0, None, set()),
    ],
)
def test_times(not_before: int | None, expires_at: int | None, wrong: set[str]) -> None:
    assert set(time_problems(not_before, expires_at)) == wrong


def test_what_describes_the_vault_may_be_repeated_but_not_invented() -> None:
    assert recovery_problems(0, "Recoverable", True) == {}
    assert recovery_problems(90, "Recoverable+Purgeable", True) == {}
    assert set(recovery_problems(6, None, True)) == {"attributes.recoverableDays"}
    assert set(recovery_problems(91, "Never", True)) == {"attributes.recoverableDays", "attributes.recoveryLevel"}
    assert set(recovery_problems(7, None, False)) == {"attributes.recoverableDays"}
