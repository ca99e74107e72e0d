"""The process beside a program under `claviger exec`: it runs the proxy, and ends when the program ends.

`launch` starts it as nobody's child, in a session of its own, so that neither the program's `wait` nor a Ctrl-C meets
it; `Launched.begin` tells it what to do. Its orders come by a pipe: a command line can be read by others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from claviger.cli.running import find_running
from claviger.core.errors import Misconfigured
from claviger.core.ids import new_token
from claviger.core.sensitive import Sensitive
from claviger.proxy.tunnels import USER, Limits, Proxy
from claviger.proxy.upstream import Exceptions, find_upstream

READY_S = 60.0
_SPARE_DESCRIPTORS = 64
_LOOK_S = 0.5
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Orders(msgspec.Struct):
    """What the process is to do: for which program, with which password, and which folder to remove at the end."""

    data: str
    password: str
    program: int
    folder: str | None

    def __repr__(self) -> str:
        return "<orders>"


class Launched:
    """A process that waits for its orders. Without any it ends as soon as this one does."""

    def __init__(self, listening: socket.socket, orders: int, ready: int) -> None:
        self._listening, self._orders, self._ready = listening, orders, ready
        self._password = new_token()

    @property
    def url(self) -> Sensitive:
        """The proxy's URL with the credentials that it asks for."""
        return Sensitive(f"http://{USER}:{self._password}@127.0.0.1:{self._listening.getsockname()[1]}")

    def begin(self, data: Path, folder: Path | None) -> None:
        """Gives the orders and waits until the proxy works. Raises Misconfigured("ProxyDidNotStart")."""
        orders = Orders(str(data.resolve()), self._password, os.getpid(), str(folder) if folder else None)
        with contextlib.suppress(BrokenPipeError), os.fdopen(self._orders, "wb") as pipe:
            pipe.write(msgspec.json.encode(orders))
        came, _, _ = select.select([self._ready], [], [], READY_S)
        if not came or os.read(self._ready, 1) != b"1":
            fix = "see what it says with CLAVIGER_LOG_LEVEL=debug"
            raise Misconfigured("ProxyDidNotStart", waited_s=READY_S, fix=fix)


def launch(debug: bool) -> Launched:
    """Starts the process for the program that this process is about to become. `debug` lets it write to our stderr."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    orders_read, orders_write = os.pipe()
    ready_read, ready_write = os.pipe()
    watched = _watch_handle()
    passed = [listening.fileno(), ready_write, *([] if watched is None else [watched])]
    # -P: a module of the folder that the user happens to be in must not stand in for one of ours.
    command = [sys.executable, "-P", "-m", "claviger.cli.tunnelling", *map(str, passed), *(["-1"] * (3 - len(passed)))]
    between = os.fork()
    if between == 0:
        with contextlib.suppress(BaseException):
            subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=orders_read,
                stdout=subprocess.DEVNULL,
                stderr=None if debug else subprocess.DEVNULL,
                pass_fds=passed,
                start_new_session=True,
            )
        os._exit(0)
    os.waitpid(between, 0)
    for descriptor in (orders_read, ready_write, *passed[2:]):
        os.close(descriptor)
    return Launched(listening, orders_write, ready_read)


def _watch_handle() -> int | None:
    """A descriptor that becomes readable when this process, whatever program it runs by then, has ended (Linux)."""
    try:
        return os.pidfd_open(os.getpid())
    except (AttributeError, OSError):
        return None


def main(arguments: list[str]) -> None:
    """The process: `arguments` are descriptors, the listening socket, the pipe to say ready by, and a handle or -1."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    listening, ready, watched = map(int, arguments)
    text = sys.stdin.buffer.read()
    if not text:
        return
    orders = msgspec.json.decode(text, type=Orders)
    if os.environ.get("CLAVIGER_LOG_LEVEL", "").lower() == "debug":
        logging.basicConfig(format="claviger exec: %(message)s")
        logging.getLogger("claviger").setLevel(logging.DEBUG)
    _allow_descriptors(2 * Limits().connections + _SPARE_DESCRIPTORS)
    try:
        with socket.socket(fileno=listening) as bound:
            asyncio.run(_serve(bound, ready, None if watched < 0 else watched, orders))
    finally:
        if orders.folder is not None:
            shutil.rmtree(orders.folder, ignore_errors=True)


def _allow_descriptors(wanted: int) -> None:
    """A tunnel has two ends; what a shell allows is often less than half of what the tunnels need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _serve(listening: socket.socket, ready: int, watched: int | None, orders: Orders) -> None:
    proxy = Proxy(
        Sensitive(orders.password),
        _server_of(Path(orders.data)),
        find_upstream(os.environ),
        Exceptions(os.environ),
    )

    async def program_ends() -> None:
        os.write(ready, b"1")
        os.close(ready)
        await _end_of(orders.program, watched)

    await proxy.serve(listening, program_ends())


def _server_of(data: Path) -> Callable[[], tuple[str, int] | None]:
    """Where the server of this data is, asked anew for every tunnel: it may be started again on another port."""

    def look() -> tuple[str, int] | None:
        running = find_running(data)
        return None if running is None else (running.reached_at, running.port)

    return look


async def _end_of(program: int, watched: int | None) -> None:
    """Returns when the program has ended."""
    if watched is not None:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(watched, ended.set)
        await ended.wait()
        return
    while _lives(program):  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(_LOOK_S)


def _lives(program: int) -> bool:
    try:
        os.kill(program, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
