"""The HTTP below a webhook: one POST, of which nothing but the status and `Retry-After` is looked at.

No redirect is followed, no proxy or other setting of the environment used, no cookie kept, no name trusted: every
address that a name resolves to is looked at before anything is sent there, on every attempt. The body of an answer is
never read, so a receiver cannot fill this server's memory, nor show its inside to who named it.
Imported on first use, like the SDKs.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections import OrderedDict

import aiohttp
from aiohttp.abc import ResolveResult
from yarl import URL

from claviger.outgoing.names import Names
from claviger.outgoing.rules import MOST_ERROR, Outcome, is_odd_address, why_refused
from claviger.outgoing.trust import trust

CONNECT_S = 5.0
ATTEMPT_S = 15.0
KEEP_ALIVE_S = 10.0
MOST_HEADERS = 8190
_REMEMBERED = 64


class _Refused(OSError):
    """An address that nothing is sent to."""


class _Checked(Names):
    """Resolves names, and refuses those that lead to an address that is never sent to, even as one of several."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises OSError."""
        found = await super().resolve(host, port, family)
        for each in found:
            _check(each["host"])
        return found


def _check(address: str) -> None:
    why = why_refused(address)
    if why is not None:
        raise _Refused(None, f"its address is {address}, which is {why}: nothing is sent there")


class Transport:
    """Sends webhooks. Belongs to one event loop."""

    def __init__(self, *, connect_s: float = CONNECT_S, attempt_s: float = ATTEMPT_S) -> None:
        self._attempt_s = attempt_s
        self._contexts: OrderedDict[str, ssl.SSLContext] = OrderedDict()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_Checked(connect_s), use_dns_cache=False, limit=0, keepalive_timeout=KEEP_ALIVE_S
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=attempt_s, sock_connect=connect_s),
            headers={"Accept-Encoding": "identity", "User-Agent": "Claviger"},
            auto_decompress=False,
            trust_env=False,
            max_line_size=MOST_HEADERS,
            max_field_size=MOST_HEADERS,
        )

    async def close(self) -> None:
        """Ends all connections."""
        await self._session.close()

    async def post(self, url: str, authority: str, headers: dict[str, str], body: bytes) -> Outcome:
        """One attempt, in at most `attempt_s`. Raises nothing but what cancels it."""
        try:
            async with asyncio.timeout(self._attempt_s):
                return await self._post(url, authority, headers, body)
        except TimeoutError:
            return Outcome(None, f"no answer within {self._attempt_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            return Outcome(None, _told(problem)[:MOST_ERROR])

    async def _post(self, url: str, authority: str, headers: dict[str, str], body: bytes) -> Outcome:
        target = URL(url, encoded=True)
        _check_host(target.host or "")
        context = await self._context(authority) if target.scheme == "https" else True
        sending = self._session.post(target, data=body, headers=headers, ssl=context, allow_redirects=False)
        async with sending as answer:
            status = answer.status
            if 200 <= status < 300:
                return Outcome(status, "")
            told = "; redirects are not followed" if 300 <= status < 400 else ""
            return Outcome(status, f"answered {status}{told}", answer.headers.get("Retry-After", ""))

    async def _context(self, authority: str) -> ssl.SSLContext:
        found = self._contexts.get(authority)
        if found is None:
            found = self._contexts[authority] = await asyncio.to_thread(trust, authority or None)
            while len(self._contexts) > _REMEMBERED:
                self._contexts.popitem(last=False)
        self._contexts.move_to_end(authority)
        return found


def check_authority(pem: str) -> None:
    """Raises ValueError for a text that holds no certificate in PEM."""
    trust(pem)


def _check_host(host: str) -> None:
    """Looks at a host that is an address itself: aiohttp asks no resolver for what is all digits, or has a colon."""
    if is_odd_address(host):
        raise _Refused(None, "its address is written in an unusual form: nothing is sent there")
    try:
        _check(host)
    except ValueError:  # a name
        return


def _told(problem: Exception) -> str:
    """What an admin needs to know of a failure."""
    if isinstance(problem, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {_reason(problem.certificate_error)}"
    if isinstance(problem, aiohttp.ClientConnectorError):
        inner = problem.os_error
        if isinstance(inner, _Refused):
            return str(inner.strerror)
        if isinstance(problem, aiohttp.ClientConnectorDNSError):
            return "its name cannot be resolved"
        return f"cannot connect: {_reason(inner)}"
    if isinstance(problem, _Refused):
        return str(problem.strerror)
    if isinstance(problem, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | ConnectionError):
        return "the connection was cut before the answer"
    if isinstance(problem, aiohttp.ClientResponseError):
        return "answered with something that is not HTTP"
    return f"cannot be sent to ({type(problem).__name__})"


def _reason(problem: object) -> str:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return problem.verify_message
    if isinstance(problem, ssl.SSLError):
        return problem.reason or "TLS failed"
    if isinstance(problem, OSError) and problem.errno is not None and problem.errno in errno.errorcode:
        return os.strerror(problem.errno)
    return type(problem).__name__
