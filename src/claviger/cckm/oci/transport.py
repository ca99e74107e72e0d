"""The HTTP below the OCI SDK: trust of the connection's own, names of this machine, no redirects, no environment.

A server on the other side may be anybody's. So an answer is read to a limit of its own, and a call that was given up
can be cut off (`cut`), whatever that server drips into it. Imported on first use, like the SDK.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any

import msgspec
from oci._vendor.requests.adapters import HTTPAdapter
from oci._vendor.requests.exceptions import ConnectionError as Broken
from urllib3 import HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPSConnection

from claviger.outgoing.hosts import LOOPBACK, is_local

_SCHEME = "https://"
_PORTION = 64 * 1024


class NotUnderstood(Exception):
    """An answer that says it went well, and is not JSON: the SDK would take it for one that has nothing in it."""


class _Connection(HTTPSConnection):
    """Reaches names below `localhost` at the loopback itself, which few machines know (RFC 6761).

    `line` is the same socket below TLS, so that it can be cut in a handshake too.
    """

    line: socket.socket | None = None

    def _new_conn(self) -> Any:
        name = self._dns_host
        try:
            if is_local(self.host):
                self._dns_host = LOOPBACK
            made = super()._new_conn()
        finally:
            self._dns_host = name  # what the certificate has to be for
        self._hang_up()
        self.line = made.dup()
        return made

    def _hang_up(self) -> None:
        line, self.line = self.line, None
        if line is not None:
            line.close()

    def close(self) -> None:
        super().close()
        self._hang_up()


class _Pool(HTTPSConnectionPool):
    ConnectionCls = _Connection
    newest: Any = None

    def _new_conn(self) -> Any:
        self.newest = super()._new_conn()
        return self.newest


class _Adapter(HTTPAdapter):  # type: ignore[misc]  # the SDK has no types
    """Sends over connections that trust what they are told to trust, and repeats nothing."""

    def __init__(self, context: ssl.SSLContext, most_bytes: int) -> None:
        self._context = context
        self._most_bytes = most_bytes
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *_: Any, **__: Any) -> None:
        self.poolmanager = PoolManager(num_pools=1, maxsize=1, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = {"https": _Pool}

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **more)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = "CERT_REQUIRED", None, None

    def get_connection(self, url: str, proxies: Any = None) -> Any:
        self.pool = super().get_connection(url, proxies)
        return self.pool

    def send(self, request: Any, stream: bool = False, **more: Any) -> Any:
        """Reads the whole answer, to the limit: those that we ask for are JSON, and none is a stream.

        Raises NotUnderstood for what goes well and is none; a change may be answered with nothing at all.
        """
        answer = super().send(request, stream=True, **more)
        content = bytearray()
        for portion in answer.iter_content(_PORTION):
            content += portion
            if len(content) > self._most_bytes:
                answer.close()
                raise Broken("the answer is too long", request=request)
        answer._content, answer._content_consumed = bytes(content), True
        if 200 <= answer.status_code < 300 and (content or request.method == "GET"):
            _must_be_json(content)
        return answer

    def cut(self) -> None:
        """Ends the connection below whoever waits on it."""
        line = getattr(getattr(getattr(self, "pool", None), "newest", None), "line", None)
        if line is not None:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


def _must_be_json(content: bytearray) -> None:
    try:
        msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise NotUnderstood("the answer is not JSON") from None


def set_up(session: Any, context: ssl.SSLContext, proxy: str | None, most_bytes: int) -> None:
    """Prepares a session of the SDK, which trusts what the context trusts."""
    session.trust_env = False
    session.max_redirects = 0
    session.get_redirect_target = _nowhere
    session.proxies = {} if proxy is None else {"https": proxy}
    adapter = _Adapter(context, most_bytes)
    for scheme in (_SCHEME, "http://"):
        session.mount(scheme, adapter)


def cut(session: Any) -> None:
    """Ends what a session that was set up waits for; whoever waits is told that the connection broke."""
    session.get_adapter(_SCHEME).cut()


def _nowhere(_: Any) -> None:
    """A redirection is an answer like any other, which nobody expects."""
