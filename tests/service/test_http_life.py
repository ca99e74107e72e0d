"""A server's life: starting, being ready, stopping in time, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from bench.ports import kept_ports
from claviger.core.clock import SystemClock
from claviger.core.errors import Misconfigured
from claviger.server.front import Front
from claviger.server.limits import Limits
from claviger.server.metrics import Metrics
from claviger.server.run import Serving, run, serve
from tests.wire_server import PATIENCE_S, Served, ShowingApp, plain_front, read_answer, served, until

HOST = b"Host: demo.vault.localhost\r\n"


def get(path: bytes) -> bytes:
    """A request without a body."""
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n"


class TestStarting:
    def test_the_port_is_known_and_health_is_ready(self) -> None:
        with served() as it:
            told = it.ask(get(b"/health")).json
            assert told["status"] == "ready"
            assert told["version"] == "1.2.3"
            assert told["services"] == {"showing": "1"}
            assert told["uptime_s"] >= 0

    def test_until_the_services_are_started_there_is_503(self) -> None:
        seen: list[tuple[int, bytes]] = []

        async def start() -> None:
            loop = asyncio.get_running_loop()
            seen.append(await loop.run_in_executor(None, ask, port, b"/health"))
            seen.append(await loop.run_in_executor(None, ask, port, b"/hello"))

        def slow(app: ShowingApp) -> Front:
            return Front(
                lambda _host, _path: app,
                metrics=Metrics(),
                clock=SystemClock(),
                version="1",
                services={},
                start=start,
            )

        showing = ShowingApp()
        done: list[int] = []

        def started(it: Serving) -> None:
            done.append(it.port)
            it.stop()

        with kept_ports() as (port,):
            run(serve(slow(showing), listen=("127.0.0.1", port), tls=None, started=started))
        assert done == [port]
        assert [status for status, _ in seen] == [503, 503]
        assert b'"starting"' in seen[0][1]
        assert showing.seen == []

    def test_a_failure_to_start_is_raised_and_the_port_is_free_again(self) -> None:
        async def start() -> None:
            raise Misconfigured("Setting", setting="X", fix="Y")

        front = Front(
            lambda _host, _path: None, metrics=Metrics(), clock=SystemClock(), version="1", services={}, start=start
        )
        with kept_ports() as (port,), socket.socket() as again:
            with pytest.raises(Misconfigured, match="setting=X"):
                run(serve(front, listen=("127.0.0.1", port), tls=None))
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", port))

    def test_a_busy_port_is_named_with_the_fix(self) -> None:
        with served() as it:
            for listen, plain in ((it.port, None), (0, it.port)):
                plain_listen = None if plain is None else ("127.0.0.1", plain)
                with pytest.raises(Misconfigured) as caught:
                    run(
                        serve(
                            plain_front(ShowingApp()),
                            listen=("127.0.0.1", listen),
                            tls=None,
                            plain_listen=plain_listen,
                        )
                    )
                assert f"127.0.0.1:{it.port}" in str(caught.value)
                assert "choose another port" in str(caught.value)

    def test_a_port_that_was_just_served_can_be_served_again(self) -> None:
        request = b"GET /hello HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
        with kept_ports() as (port,):
            for _ in range(2):
                with served(port=port) as it:
                    assert it.ask(request).status == 200  # closed by the server, whose side lingers in the kernel

    @pytest.mark.parametrize("host", ["203.0.113.1", "no.such.host.invalid", "a\0b", "x" * 300])
    def test_a_wrong_address_is_named_with_the_fix(self, host: str) -> None:
        with pytest.raises(Misconfigured) as caught:
            run(serve(plain_front(ShowingApp()), listen=(host, 0), tls=None))
        assert "give an address of this machine" in str(caught.value)

    def test_a_second_address_without_tls(self) -> None:
        with served(plain_listen=("127.0.0.1", 0)) as it:
            assert it.serving.plain_port not in (None, it.port)
            with socket.create_connection(("127.0.0.1", it.serving.plain_port or 0), PATIENCE_S) as connection:
                connection.sendall(get(b"/hello/plain"))
                answer = read_answer(connection.makefile("rb"))
                assert answer is not None
                assert answer.json == {"hello": "plain"}

    def test_more_ports_of_the_same_address(self) -> None:
        with kept_ports(2) as ports, served(host="localhost", more_ports=ports) as it:
            assert it.port not in ports
            for port in ports:
                assert ask(port, b"/hello/more")[0] == 200
            with pytest.raises(Misconfigured, match="oci_ports") as caught:
                run(serve(plain_front(ShowingApp()), listen=("127.0.0.1", 0), tls=None, more_ports=ports))
            assert f"127.0.0.1:{ports[0]}" in str(caught.value)

    def test_ipv6(self) -> None:
        if not socket.has_ipv6:
            pytest.skip("this machine has no IPv6")

        def started(it: Serving) -> None:
            told.append(it.host)
            it.stop()

        told: list[str] = []
        try:
            run(serve(plain_front(ShowingApp()), listen=("::1", 0), tls=None, started=started))
        except Misconfigured:
            pytest.skip("this machine has no IPv6 loopback")
        assert told == ["::1"]


def ask(port: int, path: bytes) -> tuple[int, bytes]:
    """Status and body, on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(get(path))
        answer = read_answer(connection.makefile("rb"))
        assert answer is not None
        return answer.status, answer.body


class TestStopping:
    def test_what_is_under_way_is_finished(self) -> None:
        app = ShowingApp()
        with contextlib.ExitStack() as stack:
            it = stack.enter_context(served(app=app))
            idle = stack.enter_context(it.connection())
            until(lambda: len(it.serving.connections) == 1)
            busy = stack.enter_context(it.connection())
            busy.sendall(get(b"/wait/last"))
            until(lambda: app.seen == ["/wait/last"])
            it.loop.call_soon_threadsafe(it.serving.stop)
            assert idle.recv(10) == b""
            with pytest.raises(OSError, match=r"refused|reset"):
                socket.create_connection(("127.0.0.1", it.port), PATIENCE_S).recv(1)
            app.gate.set()
            stream = busy.makefile("rb")
            answer = read_answer(stream)
            assert answer is not None
            assert answer.json == {"waited": "last"}
            assert answer.headers["connection"] == "close"
            assert stream.read() == b""

    def test_what_takes_too_long_is_cut_off(self, caplog: pytest.LogCaptureFixture) -> None:
        app = ShowingApp()
        with served(app=app, grace_s=0.2) as it, it.connection() as busy:
            busy.sendall(get(b"/wait/forever"))
            until(lambda: app.seen == ["/wait/forever"])
            it.loop.call_soon_threadsafe(it.serving.stop)
            with contextlib.suppress(ConnectionResetError):
                busy.recv(1000)
        assert "1 requests were cut off" in caplog.text

    def test_the_services_stop_after_the_last_request(self) -> None:
        order: list[str] = []
        app = ShowingApp()

        async def stop() -> None:
            order.append(f"stopped after {len(app.seen)}")

        def front(showing: ShowingApp) -> Front:
            return Front(
                lambda _host, _path: showing,
                metrics=Metrics(),
                clock=SystemClock(),
                version="1",
                services={},
                stop=stop,
            )

        with served(app=app, front=front) as it:
            assert it.ask(get(b"/hello")).status == 200
            assert order == []
        assert order == ["stopped after 1"]

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_the_program_with_0_and_after_its_finally(self, number: int) -> None:
        with running_program() as (process, port):
            assert ask(port, b"/health")[0] == 200
            process.send_signal(number)
            said, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            assert said.splitlines() == ["cleaned up"]

    def test_sighup_reloads_and_goes_on(self) -> None:
        with running_program() as (process, port):
            process.send_signal(signal.SIGHUP)
            assert process.stdout is not None
            assert process.stdout.readline() == "reloaded\n"
            assert ask(port, b"/health")[0] == 200


PROGRAM = textwrap.dedent("""
    import sys
    from claviger.core.clock import SystemClock
    from claviger.server.front import Front
    from claviger.server.metrics import Metrics
    from claviger.server.run import run, serve

    def say(text):
        print(text, flush=True)

    front = Front(lambda h, p: None, metrics=Metrics(), clock=SystemClock(), version="1", services={})
    hooks = {"started": lambda it: say(it.port), "reload": lambda: say("reloaded")}
    try:
        run(serve(front, listen=("127.0.0.1", 0), tls=None, **hooks))
    finally:
        say("cleaned up")
""")


@contextlib.contextmanager
def running_program():
    """A server in a process of its own, and its port."""
    environment = {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "PATH": os.environ["PATH"]}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def test_hundreds_of_clients_at_once() -> None:
    """More connections than the limit: each gets its answer or a polite 503, and afterwards all is as before."""
    limits = Limits(connections=50, leave_s=1.0)
    statuses: list[int] = []

    def client(it: Served) -> None:
        with contextlib.suppress(OSError):
            statuses.append(it.talk(get(b"/hello"))[0].status)

    with served(limits=limits) as it:
        threads = [threading.Thread(target=client, args=(it,)) for _ in range(300)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(statuses) <= {200, 503}
        assert statuses.count(200) >= 50
        until(lambda: not it.serving.connections)
        assert it.ask(get(b"/hello")).status == 200


def test_localhost_is_both_loopback_addresses() -> None:
    with served(host="localhost") as it, socket.create_connection(("::1", it.port), PATIENCE_S) as client:
        client.sendall(get(b"/health"))
        assert client.recv(12) == b"HTTP/1.1 200"
