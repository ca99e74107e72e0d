"""Whatever is sent to the routes of access, on both databases: never a 5xx, always an error body of the right form."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from claviger.cckm.calls import Route
from tests.control import PASSWORD, Control, ControlClient, open_control, quoted

STRANGE: list[Any] = [
    None,
    "",
    "x" * 5_000,
    "a\0b",
    "\u202e\u0000\U0001f511",
    "' OR 1=1 --",
    "*",
    "%",
    "../..",
    0,
    -1,
    2**63,
    10**40,
    1.5,
    True,
    [],
    [None],
    ["x"] * 500,
    {},
    {"a": {"b": [1, {"c": None}]}},
    {"\0": "\0"},
]
RAW = [
    b"",
    b" ",
    b"null",
    b"[]",
    b'"x"',
    b"7",
    b"{",
    b'{"a": }',
    b"\xff\xfe",
    b'{"username": "\\ud800"}',
    b'{"username": "\xff"}',
    b"[" * 10_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"a": ' + b"9" * 5_000 + b"}",
    b'{"a": 1e999}',
    b'{"username": "a", "username": "b"}',
    b"\xef\xbb\xbf{}",
    b"username=admin&password=x",
]
PATHS = ["%00", "%ff", "..", "%2e%2e", "x" * 3_000, "%F0%9F%94%91", "' OR 1=1 --", "local%7C", "*", "%25", "+"]
FIELDS = [
    "username", "password", "new_password", "grant_type", "connection", "domain", "auth_domain", "auth_domain_path",
    "refresh_token", "renew_refresh_token", "refresh_token_lifetime", "refresh_token_revoke_unused_in", "client_id",
    "client_secret", "client_credential", "jwt", "token", "refresh_token_id", "name", "email", "nickname",
    "login_flags", "app_metadata", "user_metadata", "client_metadata", "failed_logins_count",
    "password_change_required", "description", "admins", "meta", "allow_user_management", "parent_ca_id",
    "hsm_connection_id", "actions", "container_id", "labels",
]  # fmt: skip
QUERIES = ["skip", "limit", "sort", "username", "name", "email", "groups", "user_id", "users", "clients", "unknown"]


@pytest.fixture
async def control(database_url: str) -> AsyncIterator[Control]:
    async with open_control(database_url) as opened:
        yield opened


async def fresh(control: Control, at: int) -> ControlClient:
    """An admin at an address of his own, for what was sent may have ended the session before."""
    client = control.client(address=f"2001:db8::{at:x}")
    answer = await client.ask("POST", "/auth/tokens", {"username": "admin", "password": PASSWORD}, expect=200)
    client.token = answer.json()["jwt"]
    return client


def filled(route: Route, value: str = "7b1d2a0c-5f3e-4d55-9a0f-0c9d8e7f6a5b") -> str:
    return "/".join(value if part.startswith("{") else part for part in route.path.split("/"))


def changing(control: Control) -> Iterator[tuple[int, Route]]:
    for at, route in enumerate(control.routing.routes):
        if route.takes is not None:
            yield at, route


async def test_bodies_that_are_no_bodies(control: Control) -> None:
    for at, route in changing(control):
        client = await fresh(control, at)
        for raw in RAW:
            answer = await client.ask(route.method, filled(route), content=raw)
            assert answer.status_code < 500, (route.path, raw[:40])
            if raw.strip() not in (b"", b'{"username": "a", "username": "b"}', b'{"a": 1e999}'):
                assert answer.status_code in (400, 401, 404, 429), (route.path, raw[:40], answer.text)


async def test_fields_of_any_kind(control: Control) -> None:
    for at, route in changing(control):
        client = await fresh(control, at)
        bodies = [dict.fromkeys(FIELDS, value) for value in STRANGE]
        base = {"username": "x-y-z", "password": PASSWORD, "name": "some name"}
        bodies += [{**base, field: value} for field in FIELDS for value in ("a\0b", 10**40, {"\0": "\0"})]
        for number, body in enumerate(bodies):
            if number % 20 == 0:  # failures to sign in are counted by address
                client = await fresh(control, at * 1000 + number)
            await client.ask(route.method, filled(route), body)
    await control.signed_in()


async def test_paths_and_queries_of_any_kind(control: Control) -> None:
    client = await fresh(control, 1)
    for route in control.routing.routes:
        if "{" in route.path:
            for segment in PATHS:
                body = {} if route.takes is not None else None
                answer = await client.ask(
                    route.method, filled(route, quoted(segment) if " " in segment else segment), body
                )
                assert answer.status_code in (400, 404, 405), (
                    route.path,
                    segment[:20],
                    answer.status_code,
                    answer.text,
                )
        elif route.method == "GET":
            for name in QUERIES:
                for value in ("", "x" * 5_000, "a\0b", "-1", "9" * 30, "%", "*" * 500, "\\", "é", "--", "-"):
                    await client.ask("GET", f"{route.path}?{urlencode({name: value})}")
            for raw in ("?%ff", "?limit=%00", "?a=1" + "&a=1" * 300, "?&&==", "?limit=%f0"):
                await client.ask("GET", route.path + raw)


async def test_a_body_beyond_the_limit_is_refused(control: Control) -> None:
    client = await fresh(control, 1)
    answer = await client.ask("POST", "/usermgmt/users", content=json.dumps({"username": "x" * 70_000}).encode())
    assert answer.status_code == 413


async def test_wrong_methods_and_paths(control: Control) -> None:
    client = await fresh(control, 1)
    answer = await client.ask("DELETE", "/domain", expect=405)
    assert answer.headers["allow"] == "GET"
    await client.ask("GET", "/auth/changepw", expect=405)
    for path in ("/nothing", "/auth", "/usermgmt", "/usermgmt/groups/a/b", "/", ""):
        await client.ask("GET", path, expect=404)
