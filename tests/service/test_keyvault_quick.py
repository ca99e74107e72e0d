"""The quick way to a get gives what the ordinary way gives, and leaves everything else to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from claviger import bootstrap
from claviger.bootstrap import Services
from claviger.core.clock import ManualClock
from claviger.keyvault.directory import records
from claviger.keyvault.directory.demo import load_demo
from claviger.keyvault.directory.operations import fingerprint
from claviger.keyvault.directory.signing import SigningKeys
from claviger.keyvault.directory.tokens import TokenMaker
from claviger.settings import load_settings

HOST = b"demo.vault.localhost:8443"


class Plane:
    """The front of a whole server, called without sockets."""

    def __init__(self, services: Services, token: bytes) -> None:
        self.services = services
        self.token = token

    def scope(
        self, more: Mapping[str, bytes], method: str, path: str, query: bytes = b"api-version=7.4"
    ) -> dict[str, Any]:
        """A request as the protocol would hand it over."""
        named = {"host": HOST, "authorization": b"Bearer " + self.token} | dict(more)
        return {
            "type": "http",
            "method": method,
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "headers": [(name.replace("_", "-").encode(), value) for name, value in named.items() if value],
            "client": ("127.0.0.1", 4711),
        }

    def quick(self, *asked: Any, **headers: bytes) -> bytes | None:
        """The quick answer."""
        return self.services.front.quick(self.scope(headers, *asked))

    async def ordinary(self, *asked: Any, body: bytes = b"", **headers: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        """The ordinary answer."""
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.services.front(self.scope(headers, *asked), receive, send)
        return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    clock = ManualClock(1_800_000_000)
    async with bootstrap.built(load_settings({}, data=tmp_path), clock) as services:
        house = services.house
        demo = await load_demo(house.store, house.notes)
        assert demo is not None
        application = await records.application_by_credential(house.store, fingerprint(demo.client_secret))
        assert application is not None
        issued = await TokenMaker(SigningKeys(house.store, house.keyring, clock), clock).issue(
            application, "https://vault.azure.net"
        )
        await services.front.startup()
        plane = Plane(services, issued.token.reveal())
        status, _, _ = await plane.ordinary("PUT", "/secrets/a", body=b'{"value":"v","tags":{"k":"t"}}')
        assert status == 200
        yield plane
        await services.front.shutdown()


def taken_apart(answer: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    return int(status.split(b" ")[1]), dict(line.split(b": ", 1) for line in lines), body


@pytest.mark.parametrize("path", ["/secrets/a", "/secrets/a/", "/secrets/A"])
async def test_both_ways_answer_the_same(plane: Plane, path: str) -> None:
    with_id = {"x_ms_client_request_id": b"11-22"}
    await plane.ordinary("GET", path)
    quick = plane.quick("GET", path, **with_id)
    assert quick is not None
    status, headers, body = taken_apart(quick)
    expected_status, expected, expected_body = await plane.ordinary("GET", path, **with_id)
    assert headers.pop(b"x-ms-request-id") != expected.pop(b"x-ms-request-id")
    assert (status, headers, body) == (expected_status, expected, expected_body)


@pytest.mark.parametrize(
    ("asked", "headers"),
    [
        (("GET", "/secrets/none"), {}),
        (("GET", "/secrets"), {}),
        (("GET", "/secrets/a/versions"), {}),
        (("DELETE", "/secrets/a"), {}),
        (("GET", "/secrets/a", b""), {}),
        (("GET", "/secrets/a", b"api-version=1.0"), {}),
        (("GET", "/secrets/a"), {"authorization": b""}),
        (("GET", "/secrets/a"), {"authorization": b"Bearer x"}),
        (("GET", "/secrets/a"), {"host": b"other.vault.localhost"}),
        (("GET", "/secrets/a"), {"x_ms_client_request_id": b"a\tb"}),
        (("GET", "/health"), {}),
    ],
)
async def test_everything_else_is_left_to_the_ordinary_way(
    plane: Plane, asked: tuple[Any, ...], headers: dict[str, bytes]
) -> None:
    await plane.ordinary("GET", "/secrets/a")
    assert plane.quick("GET", "/secrets/a") is not None
    assert plane.quick(*asked, **headers) is None


async def test_what_is_disabled_deleted_or_no_longer_allowed_is_not_told_quickly(plane: Plane) -> None:
    await plane.ordinary("GET", "/secrets/a")
    assert plane.quick("GET", "/secrets/a") is not None
    await plane.ordinary("PATCH", "/secrets/a", body=b'{"attributes":{"enabled":false}}')
    assert plane.quick("GET", "/secrets/a") is None
    await plane.ordinary("PATCH", "/secrets/a", body=b'{"attributes":{"enabled":true}}')
    await plane.ordinary("GET", "/secrets/a")
    assert plane.quick("GET", "/secrets/a") is not None
    status, _, _ = await plane.ordinary("DELETE", "/secrets/a")
    assert status == 200
    assert plane.quick("GET", "/secrets/a") is None
