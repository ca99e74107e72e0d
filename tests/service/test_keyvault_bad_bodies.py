"""Bodies that are wrong: each gets the API's own error, never a 5xx, and changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rawhttp import RawConnection, head
from tests.vaults import VaultClient, accepted, refused, turned_away

NO_JSON = {
    "empty": b"",
    "blank": b" \n",
    "half an object": b'{"value":"x"',
    "only the end": b"}",
    "word": b"value",
    "single quotes": b"{'value':'x'}",
    "comment": b'{"value":"x"/*c*/}',
    "comma at the end": b'{"value":"x",}',
    "something after it": b'{"value":"x"} x',
    "two documents": b'{"value":"x"}{"value":"y"}',
    "unquoted name": b'{value:"x"}',
    "control character": b'{"value":"a\x01b"}',
    "bad escape": b'{"value":"\\x41"}',
    "half an escape": b'{"value":"\\u00"}',
    "not UTF-8": b'{"value":"\xff\xfe"}',
    "overlong UTF-8": b'{"value":"\xc0\xaf"}',
    "surrogate in UTF-8": b'{"value":"\xed\xa0\x80"}',
    "UTF-16": '{"value":"x"}'.encode("utf-16"),
    "UTF-32": '{"value":"x"}'.encode("utf-32"),
    "lone surrogate": b'{"value":"\\ud800"}',
    "surrogates in the wrong order": b'{"value":"\\udc00\\ud800"}',
    "form": b"value=x",
    "XML": b"<value>x</value>",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "NUL": b"\0",
    "NaN": b'{"value":"x","attributes":{"exp":NaN}}',
    "Infinity": b'{"value":"x","attributes":{"exp":Infinity}}',
    "hexadecimal": b'{"value":"x","attributes":{"exp":0x10}}',
    "leading zero": b'{"value":"x","attributes":{"exp":010}}',
    "plus": b'{"value":"x","attributes":{"exp":+1}}',
    "brackets, 100,000 deep": b"[" * 100_000,
    "closed brackets, 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "objects, 50,000 deep": b'{"value":' * 50_000,
    "deep inside an unknown field": b'{"value":"x","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep inside tags": b'{"value":"x","tags":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
}
NO_OBJECT: dict[str, Any] = {
    "array": [],
    "null": None,
    "true": True,
    "number": 1,
    "string": "x",
    "list": [{"value": "x"}],
}
HUGE = 10**400
WRONG_FIELDS: dict[str, Any] = {
    "contentType": [1, True, [], {}, 1.5, "c" * 256, "a\0b"],
    "tags": [[], "x", 1, True, [{}], {"a": 1}, {"a": None}, {"a": {}}, {"a": ["b"]}, {"a": True}],
    "attributes": [[], "x", 1, True, [{}]],
}
WRONG_ATTRIBUTES: dict[str, Any] = {
    "enabled": ["true", 1, 0, 1.0, [], {}, ""],
    "nbf": ["1", 1.5, True, [], {}, -1, -HUGE, HUGE, 2**63, 2**64, 253_402_300_800, "2030-01-01T00:00:00Z"],
    "exp": ["1", 1.5, False, [], {}, -1, -HUGE, HUGE, 2**63, -(2**63) - 1, 10**15, ""],
}
WRONG = [({field: value}) for field, values in WRONG_FIELDS.items() for value in values]
WRONG += [({"attributes": {field: value}}) for field, values in WRONG_ATTRIBUTES.items() for value in values]
WRONG_VALUES: list[Any] = [1, True, None, [], {}, 1.5, ["x"], "x" * 25_601]


ROUTES = {"set": ("PUT", "/secrets/s"), "update": ("PATCH", "/secrets/s/"), "restore": ("POST", "/secrets/restore")}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("case", NO_JSON)
def test_what_is_no_json(kept: VaultClient, route: str, case: str):
    answer = kept.ask(*ROUTES[route], content=NO_JSON[case])
    told = refused(answer, 400, "BadParameter")
    assert "value" not in told.lower() or told.startswith("Property  has invalid value")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("case", NO_OBJECT)
def test_json_that_is_no_object(kept: VaultClient, route: str, case: str):
    refused(kept.ask(*ROUTES[route], content=json.dumps(NO_OBJECT[case])), 400, "BadParameter")


@pytest.mark.parametrize("route", ["set", "restore"])
def test_a_value_that_is_missing_or_of_the_wrong_type(kept: VaultClient, route: str):
    for body in [{}, {"Value": "x"}, {"VALUE": "x"}, *({"value": value} for value in WRONG_VALUES)]:
        answer = kept.ask(*ROUTES[route], content=json.dumps(body))
        turned_away(answer)
        assert answer.status_code == 400


def test_fields_of_the_wrong_type_or_range(kept: VaultClient):
    for wrong in WRONG:
        for route, body in (("set", {"value": "x", **wrong}), ("update", wrong)):
            answer = kept.ask(*ROUTES[route], content=json.dumps(body))
            assert answer.status_code == 400, (wrong, answer.text)
            refused(answer, 400, "BadParameter", "Property  has invalid value\r\n")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1e-999", "-0.0", "9" * 5000, "1." + "0" * 5000, "1e5"])
def test_numbers_in_odd_spellings_never_break_anything(kept: VaultClient, number: str):
    body = f'{{"attributes":{{"exp":{number}}}}}'
    answer = kept.ask("PATCH", "/secrets/none-such/", content=body)
    assert answer.status_code in (400, 404), answer.text
    turned_away(answer)


def test_of_a_repeated_name_the_last_one_counts(vault: VaultClient, name: str):
    body = '{"value":"first","value":"last","tags":{"a":"1"},"tags":{"a":"2","a":"3"}}'
    bundle = accepted(vault.ask("PUT", f"/secrets/{name}", content=body))
    assert (bundle["value"], bundle["tags"]) == ("last", {"a": "3"})
    assert vault.get(name) == bundle


def test_odd_characters_in_tags_are_kept_to_the_character(vault: VaultClient, name: str):
    tags = {"": "", "\0": "\0", "\u2028": "\u2029", '"\\': "🔑", "ÄÖ": "\x7f", " ": "\t\r\n", "__proto__": "x"}
    assert vault.put(name, tags=tags)["tags"] == tags
    assert vault.get(name)["tags"] == tags
    (item,) = vault.versions(name)
    assert item["tags"] == tags


@pytest.mark.parametrize("route", ROUTES)
def test_a_body_over_the_limit_is_refused_before_it_is_sent(kept: VaultClient, route: str):
    """The length is announced, and not one byte of the body follows: a server that reads on would wait for ever."""
    method, path = ROUTES[route]
    for length in (100_000_000, 10**12, 2**63 - 1):
        lines = ("Content-Type: application/json", f"Content-Length: {length}")
        with RawConnection(kept.server, kept.host) as connection:
            connection.send(head(method, f"{path}?api-version=7.6", kept.host, kept.token, *lines))
            answer = connection.answer(method)
        assert answer.status == 413
        assert answer.json()["error"]["code"] == "RequestEntityTooLarge"
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("route", ROUTES)
def test_a_body_without_a_length_is_cut_off_at_the_limit(kept: VaultClient, route: str):
    method, path = ROUTES[route]
    limit = 26_000_000 if route == "restore" else 600_000
    chunk = b"%x\r\n%b\r\n" % (65_536, b" " * 65_536)
    sent = 0
    with RawConnection(kept.server, kept.host) as connection:
        lines = ("Content-Type: application/json", "Transfer-Encoding: chunked")
        connection.send(head(method, f"{path}?api-version=7.6", kept.host, kept.token, *lines))
        try:
            while sent < limit + 4_000_000:
                connection.send(chunk)
                sent += 65_536
        except OSError:
            pass  # the server has closed: it had heard enough
        else:
            answer = connection.answer(method)
            assert answer.status == 413
            assert answer.json()["error"]["code"] == "RequestEntityTooLarge"


def test_a_large_body_where_none_belongs_is_not_waited_for(kept: VaultClient):
    for method, path in (("GET", "/secrets/s"), ("DELETE", "/secrets/none"), ("POST", "/secrets/none/backup")):
        with RawConnection(kept.server, kept.host) as connection:
            lines = ("Content-Length: 100000000",)
            connection.send(head(method, f"{path}?api-version=7.6", kept.host, kept.token, *lines))
            assert connection.answer(method).status == (200 if method == "GET" else 404)


def test_nobody_is_made_to_send_a_body_before_the_challenge(kept: VaultClient):
    with RawConnection(kept.server, kept.host) as connection:
        connection.send(head("PUT", "/secrets/s?api-version=7.6", kept.host, None, "Content-Length: 500000"))
        answer = connection.answer("PUT")
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")


def test_leave_to_go_on_is_given_only_where_the_body_is_wanted(kept: VaultClient, name: str):
    body = b'{"value":"continued"}'
    lines = ("Content-Type: application/json", f"Content-Length: {len(body)}", "Expect: 100-continue")
    target = f"/secrets/{name}?api-version=7.6"
    with RawConnection(kept.server, kept.host) as connection:
        connection.send(head("PUT", target, kept.host, None, *lines))
        assert connection.answer("PUT").status == 401
    with RawConnection(kept.server, kept.host) as connection:
        connection.send(head("PUT", target, kept.host, kept.token, *lines))
        assert connection.interim().startswith(b"HTTP/1.1 100 ")
        connection.send(body)
        answer = connection.answer("PUT")
    assert (answer.status, answer.json()["value"]) == (200, "continued")
    kept.delete(name)
    kept.purge(name)


def test_a_body_that_ends_early_sets_nothing(kept: VaultClient):
    for lines, body in (
        (("Content-Length: 100",), b'{"value":"cut"}'),
        (("Transfer-Encoding: chunked",), b'f\r\n{"value":"cut"}\r\n'),
    ):
        with RawConnection(kept.server, kept.host) as connection:
            connection.send(head("PUT", "/secrets/s?api-version=7.6", kept.host, kept.token, *lines) + body)


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
_anything = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
_attributes = st.fixed_dictionaries({}, optional={"enabled": _anything, "nbf": _anything, "exp": _anything})
_bodies = st.fixed_dictionaries(
    {},
    optional={
        "value": _anything | st.text(),
        "contentType": _anything,
        "tags": _anything | st.dictionaries(st.text(max_size=8), st.text(max_size=8)),
        "attributes": _anything | _attributes,
    },
)


def test_whatever_json_is_sent_the_answer_is_a_200_or_a_400(vault: VaultClient, name: str):
    vault.put(name)

    @settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(body=_bodies | _anything, verb=st.sampled_from(["PUT", "PATCH"]))
    def run(body: Any, verb: str) -> None:
        answer = vault.ask(verb, f"/secrets/{name}", content=json.dumps(body))
        if answer.status_code == 200:
            assert answer.json()["id"].startswith(f"{vault.url}/secrets/{name}/")
        else:
            refused(answer, 400, "BadParameter")

    run()
    assert vault.versions(name)
