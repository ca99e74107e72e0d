"""What a quorum is, what is the same call, how a request stands, and which calls are planned."""

from __future__ import annotations

import pytest

from claviger.cckm.approvals.rules import Protection, State, check_quorum, check_reason, digest_of, state_of, version_of
from claviger.cckm.planning.rules import CHANGING, NOT_PLANNED, ONLY_ASKS
from claviger.core.errors import Invalid


@pytest.mark.parametrize(
    ("set_on", "in_force"),
    [
        (Protection(), None),
        (Protection(True), 2),
        (Protection(True, 3), 3),
        (Protection(False, 3), 3),
        (Protection(False, 2), 2),
    ],
)
def test_what_is_in_force(set_on: Protection, in_force: int | None) -> None:
    assert set_on.in_force == in_force


@pytest.mark.parametrize(
    ("before", "after", "is_weaker"),
    [
        (Protection(), Protection(True), False),
        (Protection(True), Protection(True, 2), False),
        (Protection(True, 2), Protection(True), False),
        (Protection(True), Protection(False, 2), True),
        (Protection(True), Protection(False, 5), True),
        (Protection(True, 3), Protection(True), True),
        (Protection(False, 3), Protection(True), True),
        (Protection(False, 2), Protection(True), False),
        (Protection(False, 2), Protection(), True),
        (Protection(), Protection(), False),
    ],
)
def test_what_is_weaker(before: Protection, after: Protection, is_weaker: bool) -> None:
    assert after.is_weaker_than(before) is is_weaker


@pytest.mark.parametrize("quorum", [-1, 0, 1, 11])
def test_no_quorum(quorum: int) -> None:
    with pytest.raises(Invalid, match="different people"):
        check_quorum(quorum, "hard_delete_quorum")


def test_quorums_and_reasons() -> None:
    assert [check_quorum(each, "q") for each in (None, 2, 10)] == [None, 2, 10]
    assert check_reason("  in use ") == "in use"
    for bad in ("", " \n", "a\0b", "x" * 1025):
        with pytest.raises(Invalid):
            check_reason(bad)


def test_the_same_call_has_the_same_digest_and_no_other_has() -> None:
    def digest(
        method: str = "POST", path: str = "/a/{id}", ident: str = "1", query: object = None, body: bytes = b""
    ) -> str:
        pairs = query if isinstance(query, list) else []
        return digest_of(method, path, {"id": ident}, pairs, body)

    same = {
        digest(body=b'{"a": 1, "b": [1, {"c": null, "d": 2}]}'),
        digest(body=b'{"b":[1,{"d":2,"c":null}],"a":1}'),
        digest(body=b' {"a":1,\n"b":[1,{"c":null,"d":2}]}'),
    }
    assert len(same) == 1
    assert digest(query=[("a", ["1"]), ("b", ["2"])]) == digest(query=[("b", ["2"]), ("a", ["1"])])
    others = [
        digest(),
        digest(method="DELETE"),
        digest(path="/b/{id}"),
        digest(ident="2"),
        digest(ident="1 "),
        digest(query=[("a", ["1"])]),
        digest(query=[("a", ["1", "2"])]),
        digest(query=[("a", ["2", "1"])]),
        digest(query=[("a1", [""])]),
        digest(body=b"{}"),
        digest(body=b'{"a":1}'),
        digest(body=b'{"a":"1"}'),
        digest(body=b'{"a":1.0}'),
        digest(body=b'{"a":[1]}'),
        digest(body=b"[1]"),
        digest(body=b"not JSON"),
        digest(body=b"not JSON "),
        digest(body=b"\xff"),
        digest(body=b'"raw"'),
        digest(body=b"[" * 100_000),
    ]
    assert len(set(others)) == len(others)
    assert digest(body=b"  ") == digest()


def test_versions() -> None:
    assert version_of([1, "a", None]) == version_of((1, "a", None))
    assert len({version_of(each) for each in ([1], ["1"], [1, None], [[1]], {"a": 1})}) == 5


@pytest.mark.parametrize(
    ("stored", "agreed", "now", "state"),
    [
        (State.OPEN, 1, 9.0, State.PENDING),
        (State.OPEN, 2, 9.0, State.APPROVED),
        (State.OPEN, 3, 9.0, State.APPROVED),
        (State.OPEN, 2, 10.0, State.LAPSED),
        (State.USED, 2, 11.0, State.USED),
        (State.REFUSED, 1, 9.0, State.REFUSED),
    ],
)
def test_how_a_request_stands(stored: State, agreed: int, now: float, state: State) -> None:
    assert state_of(stored, agreed, 2, 10.0, now) is state


def test_only_changing_calls_are_spoken_of() -> None:
    assert {method for method, _ in (*NOT_PLANNED, *ONLY_ASKS)} <= set(CHANGING)
    assert not NOT_PLANNED.keys() & ONLY_ASKS.keys()
