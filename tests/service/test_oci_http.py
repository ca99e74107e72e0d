"""What the HTTP layer refuses by itself has the shape that the clients of that path read: OCI's, at OCI's paths."""

from __future__ import annotations

import re

import pytest

from tests.rawhttp import RawAnswer, RawConnection, exchange, head
from tests.serving import Estate

HOST = "kms.us-ashburn-1.localhost"
ID = re.compile("[0-9A-F]{32}(/[0-9A-F]{32}){2}")


def refused(estate: Estate, target: str, *more: str, host: str = HOST) -> RawAnswer:
    return exchange(estate.server, host, head("GET", target, host, None, *more))


@pytest.mark.parametrize(
    ("target", "more", "status", "code"),
    [
        ("/20180608/keys/" + "k" * 20_000, (), 414, "InvalidParameter"),
        ("/20180608/keys?page=" + "k" * 70_000, (), 414, "InvalidParameter"),
        ("//20180608/keys", ("X-A: " + "a" * 70_000,), 431, "RequestHeaderFieldsTooLarge"),
        ("/20160918/regions", tuple(f"X-{n}: a" for n in range(200)), 431, "RequestHeaderFieldsTooLarge"),
        ("/20190301/secretbundles/x", ("Transfer-Encoding: gzip",), 400, "InvalidParameter"),
        ("/n/namespace/b", ("Upgrade: websocket", "Connection: upgrade", "Content-Length: 3"), 400, "InvalidParameter"),
    ],
)
def test_a_head_that_is_too_much_or_wrong(
    estate: Estate, target: str, more: tuple[str, ...], status: int, code: str
) -> None:
    answer = refused(estate, target, *more)
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"code", "message"}
    assert ID.fullmatch(answer.headers["opc-request-id"])


def test_other_paths_keep_the_shape_of_their_own_clients(estate: Estate) -> None:
    too_much = "X-A: " + "a" * 70_000
    azure = refused(estate, "/secrets/s", too_much, host="demo.vault.localhost")
    assert (azure.status, set(azure.json())) == (431, {"error"})
    plane = refused(estate, "/api/v1/cckm/oci/keys", too_much, host="localhost")
    assert (plane.status, set(plane.json())) == (431, {"code", "codeDesc", "message", "requestID"})


def test_each_request_of_a_connection_is_refused_in_its_own_shape(estate: Estate) -> None:
    with RawConnection(estate.server, HOST) as connection:
        connection.send(head("GET", "/20180608/vaults", HOST, None))
        assert connection.answer().json()["code"] == "NotAuthenticated"
        connection.send(head("GET", "/secrets/s", HOST, None, "X-A: " + "a" * 70_000))
        assert set(connection.answer().json()) == {"error"}
