"""How much of anything one connection may take, and the state that all connections of a server share.

`Limits` holds the numbers. `Wire` is handed to every connection: it carries the limits, the shape of refusals, counters
for the metrics, and a coarse time that `tick` moves about twice a second. Deadlines are compared on a tick and not kept
as timers, so a request on a busy connection costs an addition instead of a timer made and cancelled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from claviger.core.clock import Clock
from claviger.server.asgi import FailuresAt, plain_failures

NEVER = math.inf


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds of the HTTP layer. Sizes in bytes, times in seconds; times are kept to within a tick (half a second)."""

    target_bytes: int = 16 * 1024
    """The request target, path and query: beyond it 414."""
    head_bytes: int = 64 * 1024
    """Request line and headers together: beyond it 431. A request's trailers have the same bound."""
    header_count: int = 100
    """Header lines: beyond it 431."""
    head_s: float = 20.0
    """From a request's first byte to the end of its headers, and from connecting to the first byte: beyond it 408."""
    stall_s: float = 20.0
    """A body of which nothing arrives for this long: 408."""
    body_s: float = 60.0
    """A whole body, plus one second for every `body_rate` bytes that did arrive: beyond it 408."""
    body_rate: int = 16 * 1024
    idle_s: float = 75.0
    """A kept connection without a request is closed."""
    write_stall_s: float = 60.0
    """A client that does not take the next 64 KiB of its answer in this time is cut off."""
    connections: int = 1024
    """Open connections: beyond it 503 and closed."""
    pipelined: int = 256
    """Requests that one connection may have waiting behind the one that is being answered."""
    drain_bytes: int = 1024 * 1024
    """The most of an unwanted body that is thrown away to keep a connection; with more to come it is closed."""
    linger_bytes: int = 256 * 1024 * 1024
    """The most that is thrown away before a connection is closed: clients that only look up when all is sent shall see
    the answer, over TLS too, where a reset connection loses it."""
    linger_s: float = 10.0
    linger_quiet_s: float = 0.25
    linger_body_s: float = 1.0
    """Throwing away ends after `linger_s`, or once nothing has come for `linger_quiet_s`, in a body `linger_body_s`."""
    leave_s: float = 5.0
    """For the rest of an unwanted body on a kept connection; for the last bytes and the leave of a closed one."""


class Timed(Protocol):
    """A connection, as far as the tick is concerned."""

    deadline: float
    write_deadline: float

    def overdue(self, now: float) -> None:
        """Called on the first tick after one of the deadlines."""
        ...


class Wire:
    """What the connections of one server share.

    `clock` must be the machine's own where the server is real: moving a product clock must not cut connections.
    """

    __slots__ = ("clock", "connections_refused", "failures_at", "limits", "now", "refused", "requests")

    def __init__(self, limits: Limits, clock: Clock, failures_at: FailuresAt = plain_failures) -> None:
        self.limits = limits
        self.clock = clock
        self.failures_at = failures_at
        self.now = clock.monotonic()
        self.requests = 0
        self.connections_refused = 0
        self.refused: dict[int, int] = {}

    def count_refusal(self, status: int) -> None:
        """One more answer given by the HTTP layer itself."""
        self.refused[status] = self.refused.get(status, 0) + 1

    def tick(self, connections: Iterable[Timed]) -> None:
        """Moves the coarse time and deals with every connection that is past a deadline."""
        now = self.now = self.clock.monotonic()
        for connection in tuple(connections):
            if connection.deadline <= now or connection.write_deadline <= now:
                connection.overdue(now)
