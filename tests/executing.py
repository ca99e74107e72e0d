"""A shell in which `claviger exec` is typed: nothing set but what any program needs, and no way out to the Internet.

A proxy that lets nobody through is set as the user's own, for https:// and http:// alike, and notes whom it was asked
for: at the end that must be nobody but whom a test asked for.
"""

from __future__ import annotations

import contextlib
import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.server import RunningServer

LIMIT_S = 90.0
PATIENCE_S = 60.0
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "USER")


class Guard:
    """The proxy that lets nobody through."""

    def __init__(self, port: int) -> None:
        self.url = f"http://user:secret-of-the-guard@127.0.0.1:{port}"
        self.asked: list[str] = []
        self.expected: set[str] = set()

    def expect(self, target: str) -> None:
        """Says that a test means to ask for this one."""
        self.expected.add(target)

    @property
    def unexpected(self) -> list[str]:
        """Whom it was asked for besides."""
        return [target for target in self.asked if target not in self.expected]


@contextlib.contextmanager
def guarding() -> Iterator[Guard]:
    """Runs the guard on a thread."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            words = self.rfile.readline(4096).decode("latin-1").split(" ")
            guard.asked.append(words[1] if len(words) > 1 else str(words))
            while self.rfile.readline(4096).strip():
                pass
            self.wfile.write(b"HTTP/1.1 403 Nobody Leaves\r\nContent-Length: 0\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        guard = Guard(server.server_address[1])
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield guard
        finally:
            server.shutdown()


class Shell:
    """Runs programs under `claviger exec` on one server."""

    def __init__(self, server: RunningServer, guard: Guard, home: Path) -> None:
        self.server = server
        self.guard = guard
        self.home = home

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """What the shell has set."""
        kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        proxies = {"HTTPS_PROXY": self.guard.url, "HTTP_PROXY": self.guard.url, "http_proxy": self.guard.url}
        return {**kept, "HOME": str(self.home), **proxies, **(more or {})}

    def words(self, *program: str, options: tuple[str, ...] = ()) -> list[str]:
        """The command line. -P, as for the installed command: the folder one is in is not looked at for modules."""
        start = [sys.executable, "-P", "-m", "claviger", "exec", "--data", str(self.server.data), *options]
        return [*start, "--", *program] if program else start

    def run(
        self,
        *program: str,
        options: tuple[str, ...] = (),
        more: Mapping[str, str] | None = None,
        given: bytes = b"",
        cwd: Path | None = None,
        limit_s: float = LIMIT_S,
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs to the end, whatever that is."""
        return subprocess.run(
            self.words(*program, options=options),
            env=self.environment(more),
            input=given,
            capture_output=True,
            timeout=limit_s,
            check=False,
            cwd=cwd or self.home,
        )

    def said(
        self,
        *program: str,
        more: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        limit_s: float = LIMIT_S,
    ) -> str:
        """What a program wrote that must end well."""
        done = self.run(*program, options=("--quiet",), more=more, cwd=cwd, limit_s=limit_s)
        assert done.returncode == 0, f"{done.stdout.decode()}\n{done.stderr.decode()}"
        return done.stdout.decode()

    @contextlib.contextmanager
    def started(self, *program: str, more: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """A program with pipes at both ends, in a session of its own as in a terminal; killed in the end."""
        process = subprocess.Popen(
            self.words(*program, options=("--quiet",)),
            env=self.environment(more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=self.home,
        )
        try:
            with process:
                yield process
                process.kill()
        finally:
            process.kill()


@contextlib.contextmanager
def shell_on(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Shell]:
    """A server, a guard and a shell; at the end nobody may have asked the guard for anyone unexpected."""
    server = RunningServer(folder / "server", settings=settings)
    home = folder / "home"
    home.mkdir(parents=True)
    (folder / "server").mkdir()
    try:
        server.start()
        with guarding() as guard:
            yield Shell(server, guard, home)
            assert guard.unexpected == [], "something went out that should have stayed here"
        server.stop()
    finally:
        server.kill()


def until(holds: Callable[[], bool], told: str) -> None:
    """Waits for something that another process is about to do."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up_at, told
        time.sleep(0.02)
