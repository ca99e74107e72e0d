"""How bodies and times of the embedded OCI are read: what is let through, and what is refused and not guessed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from claviger.core.errors import Invalid
from claviger.ocikms.texts import MAX_DEPTH, from_base64, read_body, read_time, written


class Body(msgspec.Struct, rename="camel"):
    display_name: str | None = None
    metadata: dict[str, Any] | None = None
    rules: list[dict[str, str]] | None = None


def nested(depth: int, opening: str, closing: str) -> bytes:
    """An object whose metadata has something that deep in it, beside other members."""
    return f'{{"displayName":"x","metadata":{{"a":{opening * depth}1{closing * depth}}}}}'.encode()


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_a_body_may_be_nested_so_deep_and_no_deeper(opening: str, closing: str):
    each = opening.count("[") + opening.count("{")
    most = (MAX_DEPTH - 2) // each
    assert read_body(nested(most, opening, closing), Body).display_name == "x"
    for depth in (most + 1, 200, 330, 500, 900, 990, 5000):
        with pytest.raises(Invalid) as refused:
            read_body(nested(depth, opening, closing), Body)
        assert refused.value.reason in ("Value", "NotJson")


def test_many_lists_side_by_side_are_not_deep():
    body = msgspec.json.encode({"metadata": {"a": [[] for _ in range(500)]}})
    assert len(read_body(body, Body).metadata["a"]) == 500  # type: ignore[index]


def test_a_null_is_absent_wherever_it_stands():
    read = read_body(b'{"displayName":null,"metadata":{"a":null,"b":[null,1]},"rules":[{"x":"y","z":null}]}', Body)
    assert (read.display_name, read.metadata, read.rules) == (None, {"b": [None, 1]}, [{"x": "y"}])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-12-10T10:00:00Z", "2026-12-10T10:00:00.000Z"),
        ("2026-12-10T10:00:00.123456Z", "2026-12-10T10:00:00.123Z"),
        ("2026-12-10T10:00:00.123456789Z", "2026-12-10T10:00:00.123Z"),
        ("2026-12-10t10:00:00.5z", "2026-12-10T10:00:00.500Z"),
        ("2026-12-10 10:00:00+00:00", "2026-12-10T10:00:00.000Z"),
        ("2026-12-10T10:00:00-05:30", "2026-12-10T15:30:00.000Z"),
        ("2026-12-10T10:00:00", "2026-12-10T10:00:00.000Z"),
        ("2026-12-10T10:00Z", "2026-12-10T10:00:00.000Z"),
    ],
)
def test_a_time_is_read_with_any_fraction_and_offset(text: str, shown: str):
    at = read_time("timeOfDeletion", text)
    assert at is not None
    assert written(at) == shown


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "tomorrow", "2026", "2026-12-10", "20261210T100000Z", "2026-W49-7", "2026-13-10T10:00:00Z"),
        *("2026-12-10T24:00:00Z", "2026-12-10T10:00:00+99:00", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z"),
        *("2026-12-10T10:00:00.Z", "\u0662026-12-10T10:00:00Z", "2026-12-10T10:00:00Z\n", "9" * 500),
    ],
)
def test_what_is_no_time_is_refused_and_not_guessed(text: str):
    with pytest.raises(Invalid):
        read_time("timeOfDeletion", text)


def test_no_time_is_none():
    assert read_time("timeOfDeletion", None) is None


def test_base64_is_read_strictly():
    assert [from_base64(text) for text in ("", "YQ==", "YWI=", "YWJj", "+/+/")] == [
        b"",
        b"a",
        b"ab",
        b"abc",
        b"\xfb\xff\xbf",
    ]
    for text in ("YQ", "YQ=", "YWJj=", "YWJj==", "YWJj===", "YWJj====", "====", "YQ==YQ==", "YWJj\n", "Y-_j", "YWJé"):
        assert from_base64(text) is None, text
