"""Names of this machine, which no resolver of names need know."""

from __future__ import annotations

LOOPBACK = "127.0.0.1"


def is_local(host: str) -> bool:
    """Whether a name means this machine itself (RFC 6761): `localhost` and all names below it."""
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")
