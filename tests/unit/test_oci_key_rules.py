"""Keys and versions as rules: every cell of state × operation, shapes, protection modes, the arithmetic of rotation."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from claviger.core.errors import Conflict, Invalid, Refusal
from claviger.lifecycle.transitions import Refused
from claviger.ocikms.errors import told
from claviger.ocikms.keys import rules
from claviger.ocikms.keys.rules import Operation, State
from claviger.ocikms.keys.schedules import Order, ordered
from claviger.ocikms.keys.wire import AutoKeyRotationDetails
from claviger.ocikms.texts import written
from claviger.ocikms.versions import rules as version_rules
from claviger.ocikms.versions.rules import Operation as VersionOperation
from claviger.ocikms.versions.rules import State as VersionState

KEY, VERSION = "ocid1.key.oc1.iad.p.k", "ocid1.keyversion.oc1.iad.p.e.v"
REFUSED = (409, "IncorrectState")
HIDDEN = (404, "NotAuthorizedOrNotFound")
DAY_S = 86_400.0

# Written out by hand from the OCI contract §8.1 and §8.5: the state that the answer shows; all else is refused.
EXPECTED: dict[Operation, dict[str, str]] = {
    Operation.GET: {state.name: state.name for state in State},
    Operation.UPDATE: {"ENABLED": "ENABLED", "CREATING": "CREATING"},
    Operation.ENABLE: {"DISABLED": "ENABLING"},
    Operation.DISABLE: {"ENABLED": "DISABLING"},
    Operation.ROTATE: {"ENABLED": "ENABLED"},
    Operation.SCHEDULE_DELETION: {"ENABLED": "SCHEDULING_DELETION", "DISABLED": "SCHEDULING_DELETION"},
    Operation.CANCEL_DELETION: {"PENDING_DELETION": "CANCELLING_DELETION"},
    Operation.CHANGE_COMPARTMENT: {"ENABLED": "UPDATING", "DISABLED": "UPDATING"},
    Operation.BACKUP: {"ENABLED": "BACKUP_IN_PROGRESS", "DISABLED": "BACKUP_IN_PROGRESS"},
    Operation.CHANGE_VERSION: {"ENABLED": "ENABLED", "DISABLED": "DISABLED"},
    Operation.USE: {"ENABLED": "ENABLED"},
}
EXPECTED_OF_VERSIONS: dict[VersionOperation, dict[str, str]] = {
    VersionOperation.GET: {state.name: state.name for state in VersionState},
    VersionOperation.SCHEDULE_DELETION: {"ENABLED": "SCHEDULING_DELETION"},
    VersionOperation.CANCEL_DELETION: {"PENDING_DELETION": "CANCELLING_DELETION"},
    VersionOperation.USE: {"ENABLED": "ENABLED", "CREATING": "CREATING"},
}
ENUM = {
    *("CREATING", "ENABLING", "ENABLED", "DISABLING", "DISABLED", "DELETING", "DELETED"),
    *("SCHEDULING_DELETION", "PENDING_DELETION", "CANCELLING_DELETION"),
}


def test_the_states_are_those_of_the_wire() -> None:
    assert {state.value for state in VersionState} == ENUM
    assert {state.value for state in State} == ENUM | {"UPDATING", "BACKUP_IN_PROGRESS", "RESTORING"}
    assert all(state.name == state.value for state in (*State, *VersionState))


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("state", State)
def test_every_cell_of_keys(operation: Operation, state: State) -> None:
    leads_to = EXPECTED[operation].get(state.name)
    if leads_to is not None:
        assert rules.decide(operation, state.value, KEY).value == leads_to
        return
    with pytest.raises(Refusal) as refused:
        rules.decide(operation, state.value, KEY)
    status, code, message = told(refused.value)
    is_gone = operation is Operation.USE and state is State.DELETED
    assert (status, code) == (HIDDEN if is_gone else REFUSED)
    assert is_gone or (KEY in message and state.value in message)


@pytest.mark.parametrize("operation", VersionOperation)
@pytest.mark.parametrize("state", VersionState)
def test_every_cell_of_versions(operation: VersionOperation, state: VersionState) -> None:
    leads_to = EXPECTED_OF_VERSIONS[operation].get(state.name)
    if leads_to is not None:
        assert version_rules.decide(operation, state.value, VERSION).value == leads_to
        return
    with pytest.raises(Refusal) as refused:
        version_rules.decide(operation, state.value, VERSION)
    is_gone = operation is VersionOperation.USE and state is VersionState.DELETED
    assert told(refused.value)[:2] == (HIDDEN if is_gone else REFUSED)


def test_every_state_that_passes_settles_somewhere() -> None:
    stable = {State.ENABLED, State.DISABLED, State.PENDING_DELETION, State.DELETED}
    back = {State.CANCELLING_DELETION, State.UPDATING, State.BACKUP_IN_PROGRESS}  # to where the key was
    reached = {cell for operation, _, cell in rules.TRANSITIONS.cells() if operation is not Operation.GET}
    passing = {cell for cell in reached if not isinstance(cell, Refused)} - stable
    assert passing <= {*rules.SETTLES, *back}
    assert {*rules.SETTLES, *stable, *back} == set(State)
    assert set(rules.SETTLES.values()) <= stable


def test_the_current_version_is_protected_in_the_words_that_clients_look_for() -> None:
    version_rules.check_not_current(VERSION, "another")
    with pytest.raises(Conflict) as refused:
        version_rules.check_not_current(VERSION, VERSION)
    assert told(refused.value)[:2] == REFUSED
    assert "cannot be deleted because it is the current key version" in told(refused.value)[2]


SHAPES = [
    *(("AES", length, None) for length in (16, 24, 32)),
    *(("RSA", length, None) for length in (256, 384, 512)),
    *(("ECDSA", length, curve) for length, curve in ((32, "NIST_P256"), (48, "NIST_P384"), (66, "NIST_P521"))),
]


@pytest.mark.parametrize("algorithm", ["AES", "RSA", "ECDSA", "aes", "", "DES"])
@pytest.mark.parametrize("length", [0, -16, 16, 24, 32, 48, 66, 128, 256, 384, 512, 2048])
@pytest.mark.parametrize("curve", [None, "NIST_P256", "NIST_P384", "NIST_P521", "", "P-256"])
def test_every_shape(algorithm: str, length: int, curve: str | None) -> None:
    fitting = next((c for a, n, c in SHAPES if (a, n) == (algorithm, length) == ("ECDSA", length)), None)
    if (algorithm, length, curve) in SHAPES:
        assert rules.check_shape(algorithm, length, curve) == (algorithm, length, curve)
    elif fitting is not None and curve is None:  # the curve is that of the length
        assert rules.check_shape(algorithm, length, None) == (algorithm, length, fitting)
    else:
        with pytest.raises(Invalid) as refused:
            rules.check_shape(algorithm, length, curve)
        assert told(refused.value)[:2] == (400, "InvalidParameter")


def test_protection_modes() -> None:
    assert rules.check_protection(None, False) == "HSM"
    assert rules.check_protection("SOFTWARE", False) == "SOFTWARE"
    for mode, has_reference in (("EXTERNAL", True), ("EXTERNAL", False), ("hsm", False), ("", True), ("HSM", True)):
        with pytest.raises(Invalid) as refused:
            rules.check_protection(mode, has_reference)
        assert told(refused.value)[:2] == (400, "InvalidParameter")


def test_ecdsa_is_not_imported() -> None:
    rules.check_import("AES")
    rules.check_import("RSA")
    with pytest.raises(Invalid):
        rules.check_import("ECDSA")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("start", "days", "now", "following"),
    [
        ("2027-01-01", 60, "2027-01-01T00:00:00", "2027-03-02"),  # the first is one interval after the first day
        ("2027-01-01", 60, "2027-03-01T23:59:59", "2027-03-02"),
        ("2027-01-01", 60, "2027-03-02T00:00:00", "2027-05-01"),  # strictly after now
        ("2027-01-01", 60, "2029-01-01T12:00:00", "2029-02-19"),  # those that were missed are not made up for
        ("2028-01-01", 365, "2027-01-01T00:00:00", "2028-12-31"),  # a first day to come
        ("2027-01-01", 90, "2026-12-31T00:00:00", "2027-04-01"),
    ],
)
def test_the_next_rotation(start: str, days: int, now: str, following: str) -> None:
    assert rules.next_rotation(at(start), days, at(now)) == at(following)


def test_the_time_of_day_means_nothing() -> None:
    assert rules.day_of(at("2027-01-15T23:59:59.999")) == at("2027-01-15")
    assert rules.day_of(at("2027-01-15")) == at("2027-01-15")


NOW = at("2027-01-15T08:00:00")
PRIVATE = "VIRTUAL_PRIVATE"


def asked(days: int | None = None, start: str | None = None) -> AutoKeyRotationDetails:
    return AutoKeyRotationDetails(days, start)


def test_an_order_begins_today_unless_told_otherwise() -> None:
    today = at("2027-01-15")
    assert ordered(Order(), True, asked(60), PRIVATE, NOW) == Order(True, 60, today, today + 60 * DAY_S)
    named = ordered(Order(), True, asked(365, "2027-02-01T15:14:13+02:00"), PRIVATE, NOW)
    assert named == Order(True, 365, at("2027-02-01"), at("2028-02-01"))


def test_an_order_that_is_switched_off_keeps_its_interval_and_goes_on_from_its_first_day() -> None:
    on = ordered(Order(), True, asked(60), PRIVATE, NOW)
    off = ordered(on, False, None, PRIVATE, NOW)
    assert off == Order(False, 60, on.start_at, None)
    later = NOW + 100 * DAY_S
    assert ordered(off, True, None, PRIVATE, later) == Order(True, 60, on.start_at, at("2027-01-15") + 120 * DAY_S)


def test_what_is_absent_stays() -> None:
    on = ordered(Order(), True, asked(60, "2027-01-01T00:00:00Z"), PRIVATE, NOW)
    later = NOW + 10 * DAY_S
    assert ordered(on, None, None, PRIVATE, later) is on
    assert ordered(on, True, None, PRIVATE, later) is on
    assert ordered(on, None, asked(90), PRIVATE, later) == Order(True, 90, on.start_at, at("2027-04-01"))
    moved = ordered(on, None, asked(None, "2027-02-01T00:00:00Z"), PRIVATE, later)
    assert moved == Order(True, 60, at("2027-02-01"), at("2027-04-02"))
    put_off = msgspec.structs.replace(on, next_at=later + 3600)  # after a failure
    assert ordered(put_off, True, asked(60, "2027-01-01T00:00:00Z"), PRIVATE, later).next_at == later + 3600


def test_an_interval_of_nought_is_no_absent_one() -> None:
    on = ordered(Order(), True, asked(60), PRIVATE, NOW)
    with pytest.raises(Invalid):
        ordered(on, None, asked(0), PRIVATE, NOW)


def test_an_order_may_be_kept_switched_off() -> None:
    assert ordered(Order(), False, asked(60), PRIVATE, NOW) == Order(False, 60, at("2027-01-15"), None)
    assert ordered(Order(), None, None, "DEFAULT", NOW) == Order()
    assert ordered(Order(), False, None, "DEFAULT", NOW) == Order()


@pytest.mark.parametrize(
    ("is_on", "details", "vault_type"),
    [
        (True, None, PRIVATE),  # a new order needs its interval
        (True, asked(), PRIVATE),
        (True, asked(59), PRIVATE),
        (True, asked(366), PRIVATE),
        (True, asked(0), PRIVATE),
        (True, asked(-60), PRIVATE),
        (False, asked(59), PRIVATE),
        (True, asked(60, "tomorrow"), PRIVATE),
        (True, asked(60, "9999-12-31T00:00:00Z"), PRIVATE),
        (True, asked(60), "DEFAULT"),
        (False, asked(60), "DEFAULT"),
    ],
)
def test_orders_that_are_refused(is_on: bool, details: AutoKeyRotationDetails | None, vault_type: str) -> None:
    with pytest.raises(Invalid) as refused:
        ordered(Order(), is_on, details, vault_type, NOW)
    assert told(refused.value)[:2] == (400, "InvalidParameter")


def test_no_order_reaches_behind_the_last_date_that_can_be_shown() -> None:
    """A clock may be set far ahead; a key whose next rotation cannot be written would never be read again."""
    late = at("9995-01-01")
    with pytest.raises(Invalid):
        ordered(Order(), True, asked(365, "9999-12-31T00:00:00Z"), PRIVATE, late)
    following = ordered(Order(), True, asked(365, "9997-12-30T00:00:00Z"), PRIVATE, late).next_at
    assert following is not None
    assert written(following).startswith("9998")
