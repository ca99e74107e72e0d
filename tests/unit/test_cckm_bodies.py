"""NUL in what callers of the control plane send: refused in one place, whatever the database would do with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claviger.cckm.access.users.wire import NewUser
from claviger.cckm.app import read_query
from claviger.cckm.azure.secrets.wire import CreateSecret
from claviger.cckm.bodies import read_struct
from claviger.cckm.routing import segments_of
from claviger.core.errors import Invalid

SECRET: dict[str, Any] = {"secret_name": "a", "key_vault": "b", "azure_param": {"value": "c"}}
USER: dict[str, Any] = {"username": "a", "password": "b"}


def refusal(body: dict[str, Any], kind: Any) -> str:
    with pytest.raises(Invalid) as caught:
        read_struct(json.dumps(body).encode(), kind)
    return str(caught.value.facts["message"])


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"secret_name": "a\0"}, "secret_name: must not contain NUL"),
        ({"azure_param": {"value": "c", "contentType": "\0"}}, "azure_param.contentType: must not contain NUL"),
        ({"azure_param": {"value": "c", "tags": {"k": "\0"}}}, "azure_param.tags.k: must not contain NUL"),
        ({"azure_param": {"value": "c", "tags": {"\0": "v"}}}, "azure_param.tags: no name in it may contain NUL"),
    ],
)
def test_a_nul_in_any_text_is_refused_by_its_place(change: dict[str, Any], place: str) -> None:
    assert place in refusal({**SECRET, **change}, CreateSecret)


def test_also_deep_inside_of_what_is_only_kept() -> None:
    deep: Any = "\0"
    for _ in range(300):
        deep = [{"a": deep}]
    assert "must not contain NUL" in refusal({**USER, "app_metadata": {"a": deep}}, NewUser)


def test_what_only_looks_like_one_is_let_through() -> None:
    read = read_struct(rb'{"username": "a\\u0000", "password": "b"}', NewUser)
    assert read.username == r"a\u0000"


def test_what_is_sealed_or_not_read_may_hold_one() -> None:
    body = {**SECRET, "unknown": "\0", "azure_param": {"value": "c\0"}}
    assert read_struct(json.dumps(body).encode(), CreateSecret).azure_param.value.reveal() == b"c\0"


@pytest.mark.parametrize("raw", [b"a=%00", b"%00=a", b"a=1&b=x%00y"])
def test_a_nul_in_a_query_is_refused(raw: bytes) -> None:
    with pytest.raises(Invalid):
        read_query(raw)


def test_a_nul_in_a_path_is_refused() -> None:
    assert segments_of(b"/api//v1/a%2Fb/") == ["api", "v1", "a/b"]
    assert segments_of(b"/api//v1/a/") == ["api", "v1", "a"]
    with pytest.raises(Invalid):
        segments_of(b"/api/v1/a%00")
