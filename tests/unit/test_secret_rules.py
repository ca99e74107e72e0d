"""The rules of secrets: the whole transition table cell by cell, limits, paths and bodies."""

from __future__ import annotations

import pytest

from claviger.core.errors import Forbidden, Invalid, Refusal
from claviger.keyvault.errors import body_of, told
from claviger.keyvault.secrets import rules, wire
from claviger.keyvault.secrets.routes import match
from claviger.keyvault.secrets.rules import RIGHTS, TRANSITIONS, Operation, State
from claviger.lifecycle.transitions import Refused

Told = State | tuple[int, str | None]
GONE: dict[State, Told] = dict.fromkeys(State, (404, None))
TAKEN: dict[State, Told] = dict.fromkeys(State, (409, None))

# Written out by hand from the Key Vault contract §4 and §6: status and inner code, or the state it leads to.
EXPECTED: dict[Operation, dict[State, Told]] = {
    Operation.SET: {
        State.ABSENT: State.ACTIVE,
        State.ACTIVE: State.ACTIVE,
        State.DELETING: (409, "ObjectIsBeingDeleted"),
        State.DELETED: (409, "ObjectIsDeletedButRecoverable"),
        State.RECOVERING: (409, "ObjectIsBeingRecovered"),
    },
    Operation.GET: GONE | {State.ACTIVE: State.ACTIVE},
    Operation.UPDATE: GONE | {State.ACTIVE: State.ACTIVE, State.RECOVERING: (409, "ObjectIsBeingRecovered")},
    Operation.DELETE: GONE | {State.ACTIVE: State.DELETED, State.RECOVERING: (409, "ObjectIsBeingRecovered")},
    Operation.GET_DELETED: GONE | {State.DELETED: State.DELETED},
    Operation.RECOVER: {
        State.ABSENT: (404, None),
        State.ACTIVE: (404, None),
        State.DELETING: (409, "ObjectIsBeingDeleted"),
        State.DELETED: State.ACTIVE,
        State.RECOVERING: (409, "ObjectIsBeingRecovered"),
    },
    Operation.PURGE: GONE | {State.DELETING: (409, "ObjectIsBeingDeleted"), State.DELETED: State.ABSENT},
    Operation.BACKUP: GONE | {State.ACTIVE: State.ACTIVE},
    Operation.RESTORE: TAKEN | {State.ABSENT: State.ACTIVE},
}


@pytest.mark.parametrize("operation", EXPECTED)
@pytest.mark.parametrize("state", State)
def test_every_cell_of_the_table(operation: Operation, state: State) -> None:
    expected = EXPECTED[operation][state]
    if isinstance(expected, State):
        assert TRANSITIONS.decide(operation, state, name="n") is expected
        return
    with pytest.raises(Refusal) as refused:
        TRANSITIONS.decide(operation, state, name="n")
    how = told(refused.value)
    assert (how.status, how.inner) == expected


def test_every_refusal_in_the_table_has_words_of_its_own() -> None:
    reasons = {cell.reason for _, _, cell in TRANSITIONS.cells() if isinstance(cell, Refused)}
    for reason in reasons:
        status, body = body_of(
            next(c for _, _, c in TRANSITIONS.cells() if isinstance(c, Refused) and c.reason == reason).raised(
                {"name": "n", "id": "i"}
            )
        )
        assert status in (404, 409)
        assert b"?" not in body.replace(b"/?linkid", b"")


@pytest.mark.parametrize(
    ("deleted", "settles_at", "purge_at", "now", "state"),
    [
        (False, None, None, 100, State.ACTIVE),
        (False, 110, None, 100, State.RECOVERING),
        (False, 100, None, 100, State.ACTIVE),
        (True, None, 200, 199.999, State.DELETED),
        (True, None, 200, 200, State.ABSENT),
        (True, 110, 200, 100, State.DELETING),
        (True, 110, 200, 110, State.DELETED),
    ],
)
def test_state_of_a_row(deleted: bool, settles_at: int | None, purge_at: int | None, now: float, state: State) -> None:
    assert rules.state_of(deleted, settles_at, purge_at, now) is state


@pytest.mark.parametrize("name", ["a", "A-9", "0", "-", "x" * 127])
def test_good_names(name: str) -> None:
    assert rules.check_name(name) == name.lower()


@pytest.mark.parametrize("name", ["", "x" * 128, "a_b", "a.b", "é", "a b", "a\n", "٣", "\u212a"])
def test_bad_names(name: str) -> None:
    with pytest.raises(Invalid):
        rules.check_name(name)


def test_limits_hold_at_their_edge() -> None:
    rules.check_value(b"x" * 25_600)
    rules.check_metadata("c" * 255, {f"t{i}": "v" * 512 for i in range(15)})
    rules.check_metadata(None, {})
    for bad in (
        lambda: rules.check_value(b"x" * 25_601),
        lambda: rules.check_metadata("c" * 256, None),
        lambda: rules.check_metadata("a\0b", None),
        lambda: rules.check_metadata(None, {f"t{i}": "v" for i in range(16)}),
        lambda: rules.check_metadata(None, {"t": "v" * 513}),
        lambda: rules.check_metadata(None, {"t" * 513: "v"}),
    ):
        with pytest.raises(Invalid, match="Property"):
            bad()


@pytest.mark.parametrize("given", ["0", "26", "-1", "+5", "", "a", "1.0", "٣", "9" * 30])
def test_bad_page_sizes(given: str) -> None:
    with pytest.raises(Invalid):
        rules.check_page_size(given)


def test_page_sizes() -> None:
    assert [rules.check_page_size(given) for given in (None, "1", "25", "07")] == [25, 1, 25, 7]


def test_protection_and_disabled_are_refused() -> None:
    rules.check_purge(False, "n")
    rules.check_enabled(True, "n")
    with pytest.raises(Forbidden, match="PurgeProtected"):
        rules.check_purge(True, "n")
    with pytest.raises(Forbidden, match="SecretDisabled"):
        rules.check_enabled(False, "n")


VERSION = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("PUT", "secrets/a", Operation.SET),
        ("GET", "secrets/a", Operation.GET),
        ("GET", f"secrets/a/{VERSION}", Operation.GET),
        ("PATCH", "secrets/a", Operation.UPDATE),
        ("PATCH", f"secrets/a/{VERSION}", Operation.UPDATE),
        ("DELETE", "secrets/a", Operation.DELETE),
        ("GET", "secrets", Operation.LIST),
        ("GET", "secrets/a/versions", Operation.LIST_VERSIONS),
        ("GET", "deletedsecrets", Operation.LIST_DELETED),
        ("GET", "deletedsecrets/a", Operation.GET_DELETED),
        ("POST", "deletedsecrets/a/recover", Operation.RECOVER),
        ("DELETE", "deletedsecrets/a", Operation.PURGE),
        ("POST", "secrets/a/backup", Operation.BACKUP),
        ("POST", "secrets/restore", Operation.RESTORE),
        ("PUT", "secrets/restore", Operation.SET),
        ("GET", "secrets/restore", Operation.GET),
    ],
)
def test_routes(method: str, path: str, operation: Operation) -> None:
    assert match(method, path.split("/")).operation is operation


@pytest.mark.parametrize(
    ("method", "path", "segment"),
    [
        ("POST", "secrets/a", "a"),
        ("GET", "secrets/a/nothex", "nothex"),
        ("DELETE", f"secrets/a/{VERSION}", VERSION),
        ("GET", "secrets/a/backup", "backup"),
        ("POST", "secrets", "secrets"),
        ("PUT", "deletedsecrets/a", "a"),
        ("HEAD", "secrets/a", "a"),
        ("GET", "", ""),
        ("GET", "keys", "keys"),
        ("GET", f"secrets/a/{VERSION}/b", "b"),
    ],
)
def test_no_such_route_names_verb_and_segment(method: str, path: str, segment: str) -> None:
    with pytest.raises(Invalid) as refused:
        match(method, path.split("/"))
    status, body = body_of(refused.value)
    assert status == 400
    assert f"Method {method} does not allow operation '{segment}'".encode() in body


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"value":1}', b'{"value":null}', b"\xff\xfe", b'{"value":"\xff"}',
     b'{"value":"\\ud800"}', b"[" * 100_000, b'{"value":' * 5000, b'{"value":"v","attributes":{"exp":"1"}}',
     b'{"value":"v","attributes":{"exp":1.5}}', b'{"value":"v","attributes":{"exp":-1}}',
     b'{"value":"v","attributes":{"exp":99999999999999999999}}', b'{"value":"v","attributes":{"enabled":"true"}}',
     b'{"value":"v","tags":{"a":1}}', b'{"value":"v","tags":[]}', b'{"value":"v","contentType":3}'],
)  # fmt: skip
def test_bad_bodies_are_invalid_and_never_quoted(body: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        wire.decode_set(body)
    assert refused.value.facts == {}


def test_a_body_with_unknown_fields_and_nulls() -> None:
    asked = wire.decode_set(
        b'{"value":"v","x":[1],"contentType":null,"tags":null,"attributes":{"created":1,"exp":null}}'
    )
    assert (asked.value, asked.content_type, asked.tags) == ("v", None, None)


def test_every_operation_names_its_right() -> None:
    assert set(RIGHTS) == set(Operation)
    vault_wide = {operation for operation, right in RIGHTS.items() if right.vault_wide}
    assert vault_wide == {Operation.LIST, Operation.LIST_DELETED, Operation.RESTORE}
    assert all(right.data_action.startswith("Microsoft.KeyVault/vaults/secrets/") for right in RIGHTS.values())
