"""Entries of the audit log: one canonical form, within limits, and nothing that is not plain."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claviger.audit.entry import (
    CUT,
    LARGEST_DETAILS,
    LONGEST_FACT,
    LONGEST_WORD,
    Actor,
    Entry,
    Subject,
    decoded,
    encoded,
)
from claviger.core.errors import Damaged
from claviger.core.sensitive import Sensitive
from tests.auditing import entry

TEXT = st.text(st.characters(codec=None, exclude_categories=[]), max_size=700)
FACTS: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(TEXT, inner, max_size=40),
    max_leaves=60,
)


def test_the_canonical_form_byte_for_byte():
    made = Entry(
        at=1_800_000_000,
        action="Soft-delete Azure Secret",
        actor=Actor(address="::1", session_id="t", user_id="u", username="admin"),
        domain_id="d",
        object=Subject(container="v", id="i", kind="secret", name="größe"),
        origin="api",
        outcome="granted",
        request_id="r",
        service="cckm",
        severity="info",
        status=200,
        details={"b": 1.5, "a": [True, None, "x"]},
    )
    assert encoded(made).decode() == (
        '{"action":"Soft-delete Azure Secret",'
        '"actor":{"address":"::1","session_id":"t","user_id":"u","username":"admin"},'
        '"at":1800000000.0,"details":{"a":[true,null,"x"],"b":1.5},"domain_id":"d","format":1,'
        '"object":{"container":"v","id":"i","kind":"secret","name":"größe"},'
        '"origin":"api","outcome":"granted","request_id":"r","service":"cckm","severity":"info","status":200}'
    )


def test_keys_are_sorted_by_their_bytes():
    names = ["\U00010000", "\uffff", "é", "z", "a", "Z", ""]
    body = encoded(entry(details=dict.fromkeys(names, 1)))
    assert list(json.loads(body)["details"]) == sorted(names, key=str.encode)
    assert list(json.loads(body)) == sorted(json.loads(body))


@given(st.dictionaries(TEXT, FACTS, max_size=50), TEXT, st.floats(allow_nan=False, allow_infinity=False))
def test_whatever_is_told_has_one_form_within_its_limits(details: dict[str, Any], text: str, at: float):
    made = entry(
        at=at,
        action=text,
        details=details,
        actor=Actor(username=text, address=text),
        object=Subject(id=text, name=text),
    )
    body = encoded(made)
    read = decoded(body)
    assert encoded(read) == body
    assert read.at == at
    assert len(read.action) <= LONGEST_WORD
    assert len(msgspec.json.encode(read.details)) <= LARGEST_DETAILS
    assert "\0" not in read.action + read.object.name
    if text.isprintable() and text.isascii() and len(text) <= LONGEST_WORD:
        assert (read.action, read.actor.username, read.object.id) == (text, text, text)


def test_what_is_cut_says_so():
    made = entry(details={"long": "x" * 1000, "many": list(range(100)), "deep": {"a": {"b": {"c": 1}}}})
    assert made.details["long"] == "x" * (LONGEST_FACT - 1) + CUT
    assert made.details["many"][-1] == CUT
    assert made.details["deep"] == {"a": {"b": CUT}}
    assert entry(details={f"fact-{at:03}": 1 for at in range(40)}).details[CUT] == 9
    large = entry(details={f"fact-{at:02}": ["y" * 500] * 32 for at in range(32)})
    assert large.details[CUT] is True
    assert len(msgspec.json.encode(large.details)) <= LARGEST_DETAILS
    assert entry(action="x" * 1000).action == "x" * (LONGEST_WORD - 1) + CUT


class Plain(str, Enum):  # noqa: UP042 - the kind whose str() is not its value
    WORD = "word"


def test_members_of_enumerations_are_their_values():
    made = entry(action=Plain.WORD, details={"a": Plain.WORD})
    assert (made.action, made.details["a"], type(made.details["a"])) == ("word", "word", str)


@pytest.mark.parametrize("value", [Sensitive("s3cret"), b"s3cret", object(), {1, 2}, 1j])
def test_what_is_not_plain_is_refused_wherever_it_stands(value: Any):
    for place in (
        lambda: entry(details={"a": value}),
        lambda: entry(details={"a": [{"b": value}]}),
        lambda: entry(action=value),
        lambda: entry(request_id=value),
        lambda: entry(domain_id=value),
        lambda: Actor(username=value),
        lambda: Actor(session_id=value),
        lambda: Subject(name=value),
        lambda: entry(actor=value),
        lambda: entry(object=value),
        lambda: entry(at=value),
        lambda: entry(status=value),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            place()
        assert "s3cret" not in str(caught.value)
    with pytest.raises(TypeError):
        entry(details={value: 1} if not isinstance(value, (set, Sensitive)) else {"a": value})


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "elsewhere"},
        {"outcome": "maybe"},
        {"severity": "bad"},
        {"at": float("nan")},
        {"status": -1},
        {"status": True},
    ],
)
def test_words_outside_of_their_list_and_times_that_are_none_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=r"an entry|a status"):
        entry(**wrong)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda body: body.replace(b'"format":1', b'"format":2'), "is not a record"),
        (lambda body: body.replace(b":", b": ", 1), "canonical"),
        (lambda body: body + b" ", "canonical"),
        (lambda body: body.replace(b"1800000000.0", b"1800000000"), "canonical"),
        (lambda body: body[:-1] + b',"status":200}', "canonical"),
        (lambda body: body[:-1] + b',"more":1}', "is not a record"),
        (lambda body: body.replace(b'"status":200', b'"status":200.0'), "is not a record"),
        (lambda body: body.replace(b"demo", b"d\\u0065mo"), "canonical"),
        (lambda body: body.replace(b"demo", b"d\xffmo"), "is not a record"),
        (lambda _: b"[" * 100_000, "is not a record"),
        (lambda _: b"", "is not a record"),
    ],
)
def test_any_other_form_of_the_same_is_damage(spoil: Any, problem: str):
    with pytest.raises(Damaged) as caught:
        decoded(spoil(encoded(entry())))
    assert problem in str(caught.value.facts["problem"])
