"""Names, limits, lists and addresses of the embedded Object Storage, without a database."""

from __future__ import annotations

import base64
from hashlib import md5

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claviger.core.errors import Conflict, Invalid
from claviger.ocikms.storage import contents, rules
from claviger.ocikms.storage.records import ObjectRow
from claviger.ocikms.storage.rules import Window, page_of_objects


class Thing(msgspec.Struct, frozen=True, order=True):
    """Something with a name."""

    name: str


NAMES = st.lists(st.text("ab/", min_size=1, max_size=6), unique=True, max_size=12).map(sorted)


@pytest.mark.parametrize("name", ["a", "A.b-c_9", "x" * 255])
def test_names_of_buckets(name: str) -> None:
    assert rules.check_bucket_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "ü", "x" * 256, "a\n", "\0"])
def test_names_that_no_bucket_has(name: str) -> None:
    with pytest.raises(Invalid):
        rules.check_bucket_name(name)


@pytest.mark.parametrize("name", ["", "ü" * 513, "a\nb", "a\rb", "a\0b"])
def test_names_that_no_object_has(name: str) -> None:
    with pytest.raises(Invalid):
        rules.check_object_name(name)
    assert rules.check_object_name("ü" * 512)


@pytest.mark.parametrize("given_type", ["a\nb", "größe", "x" * 257])
def test_content_types_that_are_no_header(given_type: str) -> None:
    with pytest.raises(Invalid):
        rules.check_content_type(given_type)
    assert rules.check_content_type(None) == rules.check_content_type("") == "application/octet-stream"


@given(NAMES, st.integers(1, 5), st.sampled_from(["", "a", "a/", "b/a"]), st.sampled_from(["", "/"]))
def test_pages_put_together_are_the_whole_list(names: list[str], limit: int, prefix: str, delimiter: str) -> None:
    """Whatever the size of the pages: everything once, in order, and every name is shown or stands for its prefix."""
    things = [Thing(name) for name in names]
    found: list[str] = []
    prefixes: list[str] = []
    start = ""
    while True:
        page, heads, following = page_of_objects(things, Window(prefix, start), delimiter, limit)
        assert len(page) + len(heads) <= limit
        found += [thing.name for thing in page]
        prefixes += heads
        if following is None:
            break
        assert following > start
        start = following
    wanted = [name for name in names if name.startswith(prefix)]
    if not delimiter:
        assert (found, prefixes) == (wanted, [])
        return
    whole, shared, _ = page_of_objects(things, Window(prefix), delimiter, 1000)
    assert found == [thing.name for thing in whole] == [name for name in wanted if "/" not in name[len(prefix) :]]
    assert sorted(set(prefixes)) == shared == sorted({_head(name, prefix) for name in wanted} - {""})


def _head(name: str, prefix: str) -> str:
    rest = name[len(prefix) :]
    return prefix + rest.partition("/")[0] + "/" if "/" in rest else ""


def test_a_window_has_a_start_and_an_end() -> None:
    window = Window("a", "ab", "ac", "af")
    assert [name for name in ("a", "ab", "ac", "ad", "ae", "af", "b") if window.holds(name)] == ["ad", "ae"]


@pytest.mark.parametrize(
    ("access_type", "name", "asked", "is_covered"),
    [
        ("ObjectRead", "a", "a", True),
        ("ObjectRead", "a", "ab", False),
        ("ObjectReadWrite", None, "a", False),
        ("AnyObjectRead", None, "a", True),
        ("AnyObjectWrite", "logs/", "logs/1", True),
        ("AnyObjectWrite", "logs/", "log", False),
    ],
)
def test_what_an_address_is_for(access_type: str, name: str | None, asked: str, is_covered: bool) -> None:
    assert rules.covers(access_type, name, asked) == is_covered


def test_md5_as_headers_have_it() -> None:
    found = contents.md5_of(b"x")
    assert base64.b64decode(found) == md5(b"x").digest()
    assert contents.fits_md5(None, found)
    assert contents.fits_md5(f" {found} ", found)
    for wrong in ("", "x", "ü", found[:-2], found * 10, contents.md5_of(b"y")):
        assert not contents.fits_md5(wrong, found)


def test_conditions() -> None:
    held = ObjectRow(1, 1, "a", 1, "", "", "etag", 0.0)
    contents.check_conditions(held, "etag", None)
    contents.check_conditions(held, '"etag"', "other")
    contents.check_conditions(held, "*", None)
    contents.check_conditions(None, None, "*")
    for given_held, if_match, if_none_match in (
        (held, "other", None),
        (None, "*", None),
        (None, "etag", None),
        (held, None, "*"),
        (held, None, "etag"),
    ):
        with pytest.raises(Conflict):
            contents.check_conditions(given_held, if_match, if_none_match)
