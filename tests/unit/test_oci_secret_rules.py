"""Secrets in OCI vaults: every cell of state and operation, stages of versions, expiry, what parts may look like."""

from __future__ import annotations

import base64
import re
from itertools import product

import pytest

from claviger.core.errors import Conflict, Invalid, NotFound, Refusal
from claviger.ocikms import errors
from claviger.ocikms.secrets import generation, rules
from claviger.ocikms.secrets.generation import Generation
from claviger.ocikms.secrets.rules import FIRST, ExpiryRule, Marks, Operation, State

NOW = 1_800_000_000.0
DAY_S = 86_400.0

SETTLES = {
    (Operation.SCHEDULE, "ACTIVE"): "PENDING_DELETION",
    (Operation.CANCEL, "PENDING_DELETION"): "ACTIVE",
    (Operation.READ_CONTENT, "ACTIVE"): "ACTIVE",
    (Operation.READ_CONTENT, "UPDATING"): "UPDATING",
    **{
        (operation, "ACTIVE"): "ACTIVE"
        for operation in (
            Operation.UPDATE,
            Operation.ROTATE,
            Operation.CANCEL_ROTATION,
            Operation.MOVE,
            Operation.SCHEDULE_VERSION,
            Operation.CANCEL_VERSION,
        )
    },
}


def test_the_table_has_every_cell() -> None:
    cells = {(operation, state) for operation, state, _ in rules.TRANSITIONS.cells()}
    assert cells == set(product(Operation, State))


@pytest.mark.parametrize(("operation", "state"), [*product(Operation, [state.value for state in State])])
def test_each_operation_in_each_state(operation: Operation, state: str) -> None:
    settles = SETTLES.get((operation, state))
    if settles is not None:
        assert rules.decide(operation, state, "id") == settles
        return
    with pytest.raises(Refusal) as told:
        rules.decide(operation, state, "ocid1.vaultsecret.x")
    if operation is Operation.READ_CONTENT:
        assert errors.told(told.value) == (404, "NotAuthorizedOrNotFound", errors.absent("Secret").facts["message"])
    else:
        status, code, message = errors.told(told.value)
        assert (status, code) == (409, "IncorrectState")
        assert "ocid1.vaultsecret.x" in message
        assert state in message


def test_a_secret_is_shown_deleted_with_its_vault_and_in_its_own_state_before() -> None:
    for own in State:
        assert rules.shown(own.value, "DELETED") == "DELETED"
        for vault in ("ACTIVE", "PENDING_DELETION", "SCHEDULING_DELETION", "UPDATING", "BACKUP_IN_PROGRESS"):
            assert rules.shown(own.value, vault) == own.value


@pytest.mark.parametrize(
    ("vault", "key", "is_readable"),
    [
        ("ACTIVE", "ENABLED", True),
        ("UPDATING", "ENABLED", True),
        ("BACKUP_IN_PROGRESS", "ENABLED", True),
        ("SCHEDULING_DELETION", "ENABLED", False),
        ("PENDING_DELETION", "PENDING_DELETION", False),
        ("PENDING_DELETION", "ENABLED", False),
        ("DELETED", "DELETED", False),
        ("ACTIVE", "DISABLED", False),
        ("ACTIVE", "PENDING_DELETION", False),
        ("ACTIVE", "SCHEDULING_DELETION", False),
        ("ACTIVE", "DELETED", False),
        ("ACTIVE", "UPDATING", False),
        ("ACTIVE", "ENABLING", False),
    ],
)
def test_what_vault_and_key_let_through(vault: str, key: str, is_readable: bool) -> None:
    told = rules.out_of_reach("ACTIVE", vault, key)
    assert (told is None) == is_readable
    if is_readable:
        rules.check_readable(vault, key)
        return
    with pytest.raises(NotFound):
        rules.check_readable(vault, key)
    for own in ("PENDING_DELETION", "SCHEDULING_DELETION", "DELETED"):  # that says enough itself
        assert rules.out_of_reach(own, vault, key) is None


# Stages.


def all_stages(marks: Marks) -> dict[int, list[str]]:
    return {number: rules.stages_of(number, marks) for number in range(1, marks.latest + 1)}


def test_the_first_version_is_current_and_latest() -> None:
    assert all_stages(FIRST) == {1: ["CURRENT", "LATEST"]}


def test_stages_over_a_life() -> None:
    marks = rules.after_upload(FIRST, "CURRENT")
    assert all_stages(marks) == {1: ["PREVIOUS"], 2: ["CURRENT", "LATEST"]}
    marks = rules.after_upload(marks, "CURRENT")
    assert all_stages(marks) == {1: ["DEPRECATED"], 2: ["PREVIOUS"], 3: ["CURRENT", "LATEST"]}
    marks = rules.after_upload(marks, "PENDING")
    assert all_stages(marks) == {1: ["DEPRECATED"], 2: ["PREVIOUS"], 3: ["CURRENT"], 4: ["PENDING", "LATEST"]}
    promoted = rules.after_promotion(marks, 4)
    assert all_stages(promoted) == {1: ["DEPRECATED"], 2: ["DEPRECATED"], 3: ["PREVIOUS"], 4: ["CURRENT", "LATEST"]}
    back = rules.after_promotion(promoted, 3)  # a rollback: the two change places
    assert all_stages(back) == {1: ["DEPRECATED"], 2: ["DEPRECATED"], 3: ["CURRENT"], 4: ["PREVIOUS", "LATEST"]}
    far_back = rules.after_promotion(back, 1)
    assert all_stages(far_back) == {1: ["CURRENT"], 2: ["DEPRECATED"], 3: ["PREVIOUS"], 4: ["DEPRECATED", "LATEST"]}
    assert rules.after_promotion(far_back, 1) == far_back


def test_a_pending_version_stays_so_until_it_is_promoted_or_replaced() -> None:
    marks = rules.after_upload(FIRST, "PENDING")
    marks = rules.after_upload(marks, "CURRENT")
    assert all_stages(marks) == {1: ["PREVIOUS"], 2: ["PENDING"], 3: ["CURRENT", "LATEST"]}
    marks = rules.after_upload(marks, "PENDING")
    assert all_stages(marks)[2] == ["DEPRECATED"]
    assert all_stages(marks)[4] == ["PENDING", "LATEST"]


def test_no_series_of_changes_breaks_the_stages() -> None:
    """One current, one latest, at most one of the others; whatever is done in whatever order."""
    reached = {FIRST}
    for _ in range(4):
        grown = set(reached)
        for marks in reached:
            grown |= {rules.after_upload(marks, stage) for stage in ("CURRENT", "PENDING")}
            grown |= {rules.after_promotion(marks, number) for number in range(1, marks.latest + 1)}
        reached = grown
    assert len(reached) > 40
    for marks in reached:
        told = [stage for stages in all_stages(marks).values() for stage in stages]
        assert told.count("CURRENT") == told.count("LATEST") == 1
        assert told.count("PREVIOUS") <= 1
        assert told.count("PENDING") <= 1
        for number, stages in all_stages(marks).items():
            assert len(set(stages) - {"LATEST"}) == 1, (number, marks)


def test_only_deprecated_versions_can_be_deleted() -> None:
    marks = Marks(current=3, previous=2, pending=4, latest=5)
    for number in (1, 5):
        rules.check_deletable(number, marks)
    for number, stage in ((2, "PREVIOUS"), (3, "CURRENT"), (4, "PENDING")):
        with pytest.raises(Conflict) as told:
            rules.check_deletable(number, marks)
        assert stage in errors.told(told.value)[2]


@pytest.mark.parametrize("text", ["", "0", "-1", "+1", "1.0", " 1", "x", "1" * 10, "١"])
def test_what_is_no_version_number(text: str) -> None:
    with pytest.raises(Invalid):
        rules.number_of(text)


# Rules on contents.


@pytest.mark.parametrize(("text", "days"), [(None, None), ("P1D", 1), ("P90D", 90)])
def test_intervals(text: str | None, days: int | None) -> None:
    assert rules.interval_days(text) == days


@pytest.mark.parametrize("text", ["", "P0D", "P91D", "P01D", "P1000D", "1D", "P1M", "PT24H", "P1DT1H", "p1d", "P1D "])
def test_intervals_that_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        rules.interval_days(text)


def test_the_absolute_time_is_1_to_365_days_ahead_unless_it_was_there() -> None:
    for days in (1, 365):
        rules.check_expiry(ExpiryRule(absolute_at=NOW + days * DAY_S), None, NOW)
    for far in (0.9, 365.1, -1.0):
        late = ExpiryRule(absolute_at=NOW + far * DAY_S)
        with pytest.raises(Invalid):
            rules.check_expiry(late, None, NOW)
        with pytest.raises(Invalid):
            rules.check_expiry(late, ExpiryRule(absolute_at=NOW), NOW)
        rules.check_expiry(late, ExpiryRule(absolute_at=late.absolute_at, is_blocking=True), NOW)
    with pytest.raises(Invalid, match="Value"):
        rules.check_expiry(ExpiryRule(is_blocking=True), None, NOW)


@pytest.mark.parametrize(
    ("rule", "at"),
    [
        (None, None),
        (ExpiryRule(interval_days=3), NOW + 3 * DAY_S),
        (ExpiryRule(absolute_at=NOW + 5), NOW + 5),
        (ExpiryRule(interval_days=3, absolute_at=NOW + 5), NOW + 5),
        (ExpiryRule(interval_days=3, absolute_at=NOW + 9 * DAY_S), NOW + 3 * DAY_S),
    ],
)
def test_the_earlier_end_counts(rule: ExpiryRule | None, at: float | None) -> None:
    assert rules.expires_at(rule, NOW) == at


def test_an_expired_content_is_withheld_only_where_the_rule_says_so() -> None:
    rules.check_not_expired(ExpiryRule(interval_days=1), NOW, NOW + 9 * DAY_S)
    blocking = ExpiryRule(interval_days=1, is_blocking=True)
    rules.check_not_expired(blocking, NOW, NOW + DAY_S - 0.001)
    with pytest.raises(NotFound):
        rules.check_not_expired(blocking, NOW, NOW + DAY_S)


# Names and contents.


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 255])
def test_names(name: str) -> None:
    assert rules.check_name(name) == name


@pytest.mark.parametrize("name", ["", " ", "a b", "a/b", "é", "x" * 256, "a\n", "a\0"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(Invalid):
        rules.check_name(name)


def test_contents() -> None:
    for content in (b"\0", b"secret", bytes(25 * 1024)):
        assert rules.content_bytes(base64.b64encode(content).decode()) == content


@pytest.mark.parametrize("text", [None, "", "c2VjcmV0cw", "not base64!", "c2Vj cmV0", "c2Vjcmé=", "===="])
def test_contents_that_are_refused_are_not_quoted(text: str | None) -> None:
    with pytest.raises(Invalid) as told:
        rules.content_bytes(text)
    assert not text or text not in errors.told(told.value)[2]


def test_a_content_has_25_kilobytes_at_most() -> None:
    with pytest.raises(Invalid):
        rules.content_bytes(base64.b64encode(bytes(25 * 1024 + 1)).decode())


def test_limits_of_versions() -> None:
    rules.check_room(29)
    rules.check_room_pending(29)
    for check in (rules.check_room, rules.check_room_pending):
        with pytest.raises(Invalid) as told:
            check(30)
        assert errors.told(told.value)[:2] == (400, "LimitExceeded")


@pytest.mark.parametrize(
    ("has_content", "number", "has_rules", "is_refused"),
    [
        (has_content, number, has_rules, sum((has_content, number is not None, has_rules)) > 1)
        for has_content, number, has_rules in product((False, True), (None, 1), (False, True))
    ],
)
def test_one_of_content_number_and_rules(
    has_content: bool, number: int | None, has_rules: bool, is_refused: bool
) -> None:
    if not is_refused:
        rules.check_alone(has_content, number, has_rules)
        return
    with pytest.raises(Invalid):
        rules.check_alone(has_content, number, has_rules)


# Generated contents.


def test_passphrases_have_their_length_and_every_kind_of_character() -> None:
    for template, length, special in (
        ("SECRETS_DEFAULT_PASSWORD", None, "!@#$%^&*()-_=+"),
        ("SECRETS_DEFAULT_PASSWORD", 12, "!@#$%^&*()-_=+"),
        ("DBAAS_DEFAULT_PASSWORD", 30, "_#-"),
    ):
        by = generation.check(Generation("PASSPHRASE", template, length))
        made = [generation.generated(by).reveal_text() for _ in range(50)]
        assert len(set(made)) == 50
        for one in made:
            assert len(one) == (length or 32)
            assert re.match("[A-Za-z]", one)
            assert sum(char in special for char in one) >= 2
            for kind in ("[A-Z]", "[a-z]", "[0-9]"):
                assert len(re.findall(kind, one)) >= 2
            assert re.fullmatch(f"[A-Za-z0-9{re.escape(special)}]*", one)


def test_bytes_and_templates() -> None:
    assert len(generation.generated(Generation("BYTES", "BYTES_512"))) == 512
    assert len(generation.generated(Generation("BYTES", "BYTES_1024"))) == 1024
    shown = generation.generated(Generation("BYTES", "BYTES_512", None, "<%GENERATED_BYTES%>")).reveal_text()
    assert shown[0] + shown[-1] == "<>"
    assert len(base64.b64decode(shown[1:-1], validate=True)) == 512
    told = generation.generated(
        Generation("PASSPHRASE", "DBAAS_DEFAULT_PASSWORD", 12, '{"p":"%GENERATED_PASSPHRASE%"}')
    )
    assert re.fullmatch(r'\{"p":"[\w#-]{12}"\}', told.reveal_text())


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Generation("SSH_KEY", "RSA_2048"), "MethodNotImplemented"),
        (Generation("OTHER", "X"), "InvalidParameter"),
        (Generation("BYTES", "BYTES_1"), "InvalidParameter"),
        (Generation("PASSPHRASE", "BYTES_512"), "InvalidParameter"),
        (Generation("PASSPHRASE", "DBAAS_DEFAULT_PASSWORD", 31), "InvalidParameter"),
        (Generation("PASSPHRASE", "SECRETS_DEFAULT_PASSWORD", 11), "InvalidParameter"),
        (Generation("BYTES", "BYTES_512", None, "no word"), "InvalidParameter"),
        (Generation("BYTES", "BYTES_512", None, "%GENERATED_BYTES%" + "x" * 4096), "InvalidParameter"),
    ],
)
def test_what_cannot_be_generated(asked: Generation, code: str) -> None:
    with pytest.raises(Invalid) as told:
        generation.check(asked)
    assert errors.told(told.value)[1] == code
