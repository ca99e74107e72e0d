"""How names become addresses. Imported on first use: aiohttp alone takes a tenth of a second."""

from __future__ import annotations

import socket
from asyncio import timeout

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from claviger.outgoing.hosts import is_local

_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


class Names(AbstractResolver):
    """Resolves names; those below `localhost` are the loopback itself, which few machines know (RFC 6761)."""

    def __init__(self, limit_s: float) -> None:
        self._machine = ThreadedResolver()
        self._limit_s = limit_s

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises OSError, and so does a resolver that hangs."""
        if is_local(host):
            return [_result(host, port, kind, text) for kind, text in _LOOPBACK if family in (socket.AF_UNSPEC, kind)]
        try:
            async with timeout(self._limit_s):
                return await self._machine.resolve(host, port, family)
        except TimeoutError:
            raise OSError(None, "no answer in time from the resolver of names") from None

    async def close(self) -> None:
        """Nothing is held."""


def _result(host: str, port: int, family: socket.AddressFamily, text: str) -> ResolveResult:
    return ResolveResult(
        hostname=host, host=text, port=port, family=family, proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST
    )
