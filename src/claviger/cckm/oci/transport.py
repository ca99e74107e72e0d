"""The HTTP below the OCI SDK: trust of the connection's own, names of this machine, no redirects, no environment.

Imported on first use, like the SDK.
"""

from __future__ import annotations

from typing import Any

from oci._vendor.requests.adapters import HTTPAdapter
from urllib3 import HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPSConnection

from claviger.cckm.reaching import LOOPBACK, is_local
from claviger.cckm.trust import trust


class _Connection(HTTPSConnection):
    """Reaches names below `localhost` at the loopback itself, which few machines know (RFC 6761)."""

    def _new_conn(self) -> Any:
        if is_local(self.host):
            self._dns_host = LOOPBACK
        return super()._new_conn()


class _Pool(HTTPSConnectionPool):
    ConnectionCls = _Connection


class _Adapter(HTTPAdapter):  # type: ignore[misc]  # the SDK has no types
    """Sends over connections that trust what they are told to trust, and repeats nothing."""

    def __init__(self, authority_pem: str | None) -> None:
        self._context = trust(authority_pem)
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *_: Any, **__: Any) -> None:
        self.poolmanager = PoolManager(num_pools=1, maxsize=1, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = {"https": _Pool}

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **more)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = "CERT_REQUIRED", None, None


def set_up(session: Any, authority_pem: str | None, proxy: str | None) -> None:
    """Prepares a session of the SDK. Raises ValueError for a PEM that holds no certificate."""
    session.trust_env = False
    session.max_redirects = 0
    session.proxies = {} if proxy is None else {"https": proxy}
    adapter = _Adapter(authority_pem)
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
