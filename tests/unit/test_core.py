"""Clock, ids, page marks, sensitive values and the error family."""

from __future__ import annotations

import pickle
import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claviger.core.clock import ManualClock, SystemClock
from claviger.core.errors import Invalid, NotFound
from claviger.core.ids import new_token, new_uuid, new_version
from claviger.core.paging import decode_mark, encode_mark
from claviger.core.sensitive import Sensitive


def test_a_sensitive_value_does_not_show() -> None:
    value = Sensitive("hunter2")
    shown = [repr(value), str(value), f"{value}", f"{value:>20}", repr([value]), "".join(map(str, [value]))]
    assert all("hunter2" not in text for text in shown)
    assert value.reveal() == b"hunter2"
    assert value.reveal_text() == "hunter2"
    assert value == Sensitive(b"hunter2")
    assert value != Sensitive("hunter3")
    assert value != "hunter2"
    with pytest.raises(TypeError):
        pickle.dumps(value)
    with pytest.raises(TypeError):
        hash(value)


@given(st.text(max_size=200).filter(lambda text: "\0" not in text and len(text.encode("utf-8", "replace")) < 700))
def test_a_page_mark_comes_back(key: str) -> None:
    try:
        key.encode()
    except UnicodeEncodeError:
        return
    mark = encode_mark(key)
    assert re.fullmatch(r"[A-Za-z0-9_-]*", mark)
    assert decode_mark(mark) == key


@pytest.mark.parametrize("mark", ["!", "a", "====", "é", "a" * 2000, "_w", "a b", "AA", "YQBi"])
def test_a_bad_page_mark_is_refused(mark: str) -> None:
    with pytest.raises(Invalid):
        decode_mark(mark)


def test_ids_have_their_form_and_differ() -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", new_version())
    assert str(UUID(new_uuid())) != new_uuid()
    assert len({new_token() for _ in range(100)}) == 100
    assert not any(new_token().startswith("-") for _ in range(3000))


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(1000.0)
    clock.advance(5)
    assert (clock.now(), clock.monotonic()) == (1005.0, 5.0)
    clock.set(900)
    assert (clock.now(), clock.monotonic()) == (900, 5.0)
    assert SystemClock().now() > 1.6e9


def test_a_refusal_says_its_reason_and_facts() -> None:
    assert str(NotFound("SecretNotFound", name="a")) == "SecretNotFound (name=a)"
    assert str(NotFound("Nothing")) == "Nothing"
