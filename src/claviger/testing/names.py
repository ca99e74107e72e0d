"""Helps programs under test find `*.localhost` where the machine does not by itself, without a change to any of them.

This process, and Python programs that tests start, get a `getaddrinfo` that knows those names; Node.js gets a
preloaded `dns.lookup`; curl has a configuration file. Where the names resolve, nothing is touched.
"""

from __future__ import annotations

import contextlib
import socket
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PROBE = "probe.vault.localhost"

_PYTHON = """
    import importlib.machinery, importlib.util, os, socket, sys
    real = socket.getaddrinfo
    def getaddrinfo(host, *rest, **more):
        name = host.decode() if isinstance(host, bytes) else host
        local = isinstance(name, str) and name.lower().rstrip(".").endswith(".localhost")
        return real("127.0.0.1" if local else host, *rest, **more)
    socket.getaddrinfo = getaddrinfo
    here = os.path.dirname(os.path.abspath(__file__))
    rest = [each for each in sys.path if os.path.abspath(each or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""
_NODE = """
    const dns = require("node:dns");
    const real = dns.lookup;
    dns.lookup = (host, ...rest) => {
      const local = String(host).toLowerCase().endsWith(".localhost");
      return real(local ? "127.0.0.1" : host, ...rest);
    };
"""


def resolves() -> bool:
    """Whether this process finds that `*.localhost` is this machine."""
    return _resolves(socket.getaddrinfo)


def resolves_by_itself() -> bool:
    """Whether the machine does, so that other programs find it without help."""
    return _resolves(getattr(socket.getaddrinfo, "real", socket.getaddrinfo))


def _resolves(getaddrinfo: Callable[..., Any]) -> bool:
    try:
        found = getaddrinfo(PROBE, 443, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(address[4][0] in ("127.0.0.1", "::1") for address in found)


def knowing_localhost(real: Callable[..., Any]) -> Callable[..., Any]:
    """`getaddrinfo` that answers for `*.localhost` and leaves the rest to `real`."""

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        local = isinstance(name, str) and name.lower().rstrip(".").endswith(".localhost")
        return real("127.0.0.1" if local else host, *rest, **more)

    getaddrinfo.real = real  # type: ignore[attr-defined]  # for `resolves_by_itself`
    return getaddrinfo


@contextlib.contextmanager
def known() -> Iterator[None]:
    """Makes the names known to this process until the end of the block, if they are not."""
    if resolves():
        yield
        return
    real = socket.getaddrinfo
    socket.getaddrinfo = knowing_localhost(real)
    try:
        yield
    finally:
        socket.getaddrinfo = real


def settings_for_programs(folder: Path) -> dict[str, str]:
    """Environment variables by which Python, Node.js and curl find `*.localhost`; the files go into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(textwrap.dedent(_PYTHON))
    (folder / "localhost.cjs").write_text(textwrap.dedent(_NODE))
    # From version 7.85 on curl knows these names itself; before, its resolver is told to ask for another name.
    (folder / ".curlrc").write_text('connect-to = "::127.0.0.1:"\n')
    return {
        "PYTHONPATH": str(folder),
        "NODE_OPTIONS": f"--require={folder / 'localhost.cjs'}",
        "CURL_HOME": str(folder),
    }
