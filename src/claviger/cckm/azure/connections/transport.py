"""The HTTP below the SDK: one aiohttp session for a connection, with its own trust and names, and bounded answers.

Imported on first use, like the SDK, since aiohttp alone takes a tenth of a second.
"""

from __future__ import annotations

import ssl

import aiohttp

from claviger.cckm.azure.connections.pace import Limits
from claviger.outgoing.names import Names

KEEP_ALIVE_S = 15.0


def open_session(context: ssl.SSLContext, limits: Limits, proxy: str | None) -> aiohttp.ClientSession:
    """A session that follows no setting of the environment, keeps no cookie and repeats nothing by itself."""
    most = limits.body_bytes

    class Bounded(aiohttp.ClientResponse):
        """An answer that is read up to a size. Packed ones, which were not asked for, are refused."""

        async def read(self) -> bytes:
            if self._body is None:
                try:
                    self._body = await self._bounded()
                except BaseException:
                    self.close()
                    raise
            return self._body

        async def _bounded(self) -> bytes:
            if self.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise aiohttp.ClientPayloadError("the answer is packed, which was not asked for")
            chunks = []
            size = 0
            async for chunk in self.content.iter_any():
                size += len(chunk)
                if size > most:
                    raise aiohttp.ClientPayloadError("the answer is too large")
                chunks.append(chunk)
            return b"".join(chunks)

    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=context,
            resolver=Names(limits.connect_s),
            limit=limits.at_once + 8,  # sign-ins come on top of the calls that wait for them
            keepalive_timeout=KEEP_ALIVE_S,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        response_class=Bounded,
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
        trust_env=False,
        proxy=proxy,
    )
    # Where a connection breaks, aiohttp sends a PUT or DELETE again on its own, which may set a secret twice. There is
    # no public way to forbid that; aiohttp's own test client uses this switch, and a test of ours counts requests.
    session._retry_connection = False
    return session
