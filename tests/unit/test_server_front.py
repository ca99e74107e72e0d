"""The front: which service gets a request, /health, /metrics, and what a failing service shows."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from claviger.core.asgi import Application, Message, Receive, Scope, Send
from claviger.core.clock import ManualClock
from claviger.core.errors import Misconfigured
from claviger.server.asgi import Failures, reply
from claviger.server.front import Front
from claviger.server.metrics import Metrics


async def _vaults(scope: Scope, _: Receive, send: Send) -> None:
    await reply(send, 200, b'"vaults"')


async def _login(scope: Scope, _: Receive, send: Send) -> None:
    await reply(send, 200, b'"login"')


async def _broken(_: Scope, __: Receive, send: Send) -> None:
    raise KeyError("the canary s3cr3t")


async def _broken_late(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise KeyError("the canary s3cr3t")


def pick(host: str, path: str) -> Application | None:
    """The services of these tests."""
    return {
        "demo.vault.localhost": _vaults,
        "login.localhost": _login,
        "::1": _login,
        "broken": _broken,
        "late": _broken_late,
    }.get(host)


class Shown:
    """What a client would see."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def send(self, message: Message) -> None:
        """ASGI send; strict about order."""
        if bool(self.messages) != (message["type"] == "http.response.body"):
            raise RuntimeError("out of order")
        self.messages.append(message)

    @property
    def status(self) -> int:
        """The answer's."""
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        """The answer's."""
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        """The answer's."""
        return bytes(self.messages[1]["body"])

    @property
    def json(self) -> Any:
        """The answer's body, decoded."""
        return json.loads(self.body)


async def _nothing_to_receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def ask(front: Front, path: str, *hosts: bytes, method: str = "GET", **scope: Any) -> Shown:
    """One request."""
    shown = Shown()
    whole = {
        "type": "http",
        "method": method,
        "path": path,
        "scheme": "https",
        "client": ("127.0.0.1", 1),
        "headers": [(b"host", host) for host in hosts],
        **scope,
    }
    await front(whole, _nothing_to_receive, shown.send)
    return shown


@pytest.fixture
def clock() -> ManualClock:
    """Stands still."""
    return ManualClock(1000.0)


@pytest.fixture
async def front(clock: ManualClock) -> Front:
    """Ready."""
    made = Front(pick, metrics=Metrics(), clock=clock, version="1.2", services={"keyvault": "9"})
    await made.startup()
    return made


class TestHosts:
    @pytest.mark.parametrize(
        "host",
        [
            b"demo.vault.localhost",
            b"demo.vault.localhost:8443",
            b"DEMO.Vault.LocalHost:1",
            b"demo.vault.localhost.",
            b"demo.vault.localhost.:443",
        ],
    )
    async def test_case_port_and_trailing_dot_do_not_matter(self, front: Front, host: bytes) -> None:
        for _ in range(2):  # the second time from memory
            assert (await ask(front, "/", host)).json == "vaults"

    @pytest.mark.parametrize("host", [b"[::1]", b"[::1]:8443", b"[0:0:0:0:0:0:0:1]:1"])
    async def test_ipv6(self, front: Front, host: bytes) -> None:
        assert (await ask(front, "/", host)).json == "login"

    @pytest.mark.parametrize(
        "host",
        [b"", b":", b":80", b".", b"a b", b"a/b", b"a@b", b"a:b", b"a:123456", b"a:1:2", b"[::1", b"[::g]",
         b"[1.2.3.4]", b"\xff", b"a\n", b"a,b", b"a" * 254, b"::1"],
    )  # fmt: skip
    async def test_what_is_no_host_gets_400(self, front: Front, host: bytes) -> None:
        shown = await ask(front, "/", host)
        assert shown.status == 400
        assert shown.json["error"]["code"] == "BadParameter"

    async def test_none_and_two_get_400(self, front: Front) -> None:
        assert (await ask(front, "/")).status == 400
        assert (await ask(front, "/", b"login.localhost", b"login.localhost")).status == 400

    async def test_an_unknown_one_gets_404(self, front: Front) -> None:
        shown = await ask(front, "/", b"example.org")
        assert (shown.status, shown.json["error"]["code"]) == (404, "NotFound")

    async def test_many_hosts_do_not_fill_the_memory(self, front: Front) -> None:
        for number in range(3000):
            assert (await ask(front, "/", b"h%d" % number)).status == 404
        assert len(front._hosts) <= 1024
        assert (await ask(front, "/", b"h" * 60_000)).status == 400
        assert max(map(len, front._hosts)) < 300

    async def test_without_tls_another_function_may_pick(self, clock: ManualClock) -> None:
        def plain(host: str, path: str) -> Application | None:
            return _login if path.startswith("/metadata/") else None

        made = Front(pick, metrics=Metrics(), clock=clock, version="", services={}, pick_plain=plain)
        await made.startup()
        assert (await ask(made, "/metadata/x", b"169.254.169.254", scheme="http")).json == "login"
        assert (await ask(made, "/secrets", b"demo.vault.localhost", scheme="http")).status == 404
        assert (await ask(made, "/secrets", b"demo.vault.localhost")).status == 200


class TestHealth:
    async def test_tells_versions_and_age_on_any_host(self, front: Front, clock: ManualClock) -> None:
        clock.advance(12.5)
        expected = {"status": "ready", "version": "1.2", "services": {"keyvault": "9"}, "uptime_s": 12}
        for hosts in ((), (b"demo.vault.localhost",), (b"a b",)):
            shown = await ask(front, "/health", *hosts)
            assert (shown.status, shown.json) == (200, expected)
            assert shown.headers[b"content-type"] == b"application/json; charset=utf-8"

    async def test_is_503_before_and_after(self, clock: ManualClock) -> None:
        made = Front(pick, metrics=Metrics(), clock=clock, version="", services={})
        shown = await ask(made, "/health")
        assert (shown.status, shown.json["status"]) == (503, "starting")
        assert (await ask(made, "/", b"login.localhost")).status == 503
        await made.startup()
        assert (await ask(made, "/", b"login.localhost")).status == 200
        await made.shutdown()
        shown = await ask(made, "/health")
        assert (shown.status, shown.json["status"]) == (503, "stopping")

    async def test_only_get_and_head(self, front: Front) -> None:
        assert (await ask(front, "/health", method="HEAD")).status == 200
        for path in ("/health", "/metrics"):
            shown = await ask(front, path, method="POST")
            assert (shown.status, shown.headers[b"allow"]) == (405, b"GET, HEAD")


class TestMetrics:
    @pytest.mark.parametrize(
        ("client", "status"),
        [
            (("127.0.0.1", 1), 200),
            (("127.9.9.9", 1), 200),
            (("::1", 1), 200),
            (("::ffff:127.0.0.1", 1), 200),
            (("10.0.0.1", 1), 403),
            (("::ffff:10.0.0.1", 1), 403),
            (("fe80::1%eth0", 1), 403),
            (("name", 1), 403),
            (None, 403),
        ],
    )
    async def test_are_for_this_machine(self, front: Front, client: tuple[str, int] | None, status: int) -> None:
        assert (await ask(front, "/metrics", client=client)).status == status

    async def test_are_for_all_by_setting(self, clock: ManualClock) -> None:
        made = Front(pick, metrics=Metrics(), clock=clock, version="", services={}, metrics_public=True)
        shown = await ask(made, "/metrics", client=("10.0.0.1", 1))
        assert shown.status == 200
        assert shown.headers[b"content-type"].startswith(b"text/plain; version=0.0.4")

    async def test_count_what_the_front_refuses(self, front: Front) -> None:
        await ask(front, "/", b"example.org")
        await ask(front, "/", b"broken")
        text = (await ask(front, "/metrics")).body
        assert b'claviger_requests_total{operation="refused",service="front",status="4xx"} 1.0' in text
        assert b'claviger_requests_total{operation="refused",service="front",status="5xx"} 1.0' in text
        assert b"example" not in text


class TestFailures:
    async def test_show_nothing_of_the_inside(self, front: Front, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            shown = await ask(front, "/", b"broken")
        assert (shown.status, shown.json["error"]["code"]) == (500, "InternalServerError")
        assert "KeyError at _broken test_server_front.py" in caplog.text
        assert "s3cr3t" not in caplog.text + shown.body.decode()

    async def test_after_the_answer_began_are_left_to_the_connection(self, front: Front) -> None:
        with pytest.raises(RuntimeError):
            await ask(front, "/", b"late")

    async def test_have_the_shape_that_was_asked_for(self, clock: ManualClock) -> None:
        made = Front(
            pick,
            metrics=Metrics(),
            clock=clock,
            version="",
            services={},
            failures_at=lambda _: Failures(lambda status, message: b'{"status":%d}' % status),
        )
        await made.startup()
        assert (await ask(made, "/", b"broken")).json == {"status": 500}
        assert (await ask(made, "/")).json == {"status": 400}


class TestLifespan:
    """For other ASGI servers; ours calls `startup` and `shutdown`."""

    async def test_runs_the_hooks(self, clock: ManualClock) -> None:
        order: list[str] = []

        async def start() -> None:
            order.append("start")

        async def stop() -> None:
            order.append("stop")

        made = Front(pick, metrics=Metrics(), clock=clock, version="", services={}, start=start, stop=stop)
        events = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive() -> Message:
            return {"type": next(events)}

        async def send(message: Message) -> None:
            order.append(message["type"])

        await made({"type": "lifespan"}, receive, send)
        assert order == ["start", "lifespan.startup.complete", "stop", "lifespan.shutdown.complete"]

    async def test_tells_a_failure_without_its_text(self, clock: ManualClock) -> None:
        async def start() -> None:
            raise Misconfigured("Setting", setting="s3cr3t")

        told: list[Message] = []

        async def receive() -> Message:
            return {"type": "lifespan.startup"}

        async def send(message: Message) -> None:
            told.append(message)

        made = Front(pick, metrics=Metrics(), clock=clock, version="", services={}, start=start)
        await made({"type": "lifespan"}, receive, send)
        assert told == [{"type": "lifespan.startup.failed", "message": "Misconfigured"}]

    async def test_nothing_but_http(self, front: Front) -> None:
        with pytest.raises(RuntimeError):
            await front({"type": "websocket"}, _nothing_to_receive, Shown().send)
