"""Ports of the loopback that are kept for one server, also while it is down: nobody else gets them meanwhile.

A socket that is bound and never listens keeps a port from all who ask the system for a free one, and leaves it to a
server that binds this very port with SO_REUSEADDR, as ours does; who connects before is refused. Linux only: other
systems let no second socket in, so there the port is free once it is chosen.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import weakref
from collections.abc import Iterator


class KeptPort:
    """A port of 127.0.0.1, kept for as long as this object lives."""

    def __init__(self) -> None:
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        self.number: int = held.getsockname()[1]
        self.free = weakref.finalize(self, held.close)
        if sys.platform != "linux":
            self.free()


@contextlib.contextmanager
def kept_ports(count: int = 1) -> Iterator[list[int]]:
    """So many ports on which nobody listens, unless the caller has somebody do it."""
    kept = [KeptPort() for _ in range(count)]
    try:
        yield [each.number for each in kept]
    finally:
        for each in kept:
            each.free()
