"""The ways to OCI of all connections, opened when first needed and kept while they are used."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict

import msgspec

from claviger.cckm.connections.operations import SEALED_AS
from claviger.cckm.oci.cloud import Account, OciCloud
from claviger.cckm.oci.connections.rules import Credentials, OciConnection, OciDetails
from claviger.cckm.oci.workers import Workers
from claviger.cckm.pace import Budgets, Limits
from claviger.cckm.sealed import Safe
from claviger.core.errors import Conflict
from claviger.core.sensitive import Sensitive


class OciClouds:
    """One way for each connection and revision of it; the least recently used are closed beyond a limit."""

    def __init__(self, safe: Safe, limits: Limits | None = None, proxy: str | None = None) -> None:
        self._safe = safe
        self._limits = limits or Limits()
        self._proxy = proxy
        self._budgets = Budgets(self._limits.queue_s)
        self._workers = Workers()
        self._open: OrderedDict[tuple[str, int], OciCloud] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    async def reach(self, connection: OciConnection) -> OciCloud:
        """The way of a connection. Raises Conflict("ConnectionGone") or Invalid("CloudInvalid")."""
        key = (connection.id, connection.revision)
        found = self._open.get(key)
        if found is None:
            sealed = await self._safe.open(SEALED_AS, connection.id)
            if sealed is None:
                gone = f"the connection {connection.name} has no credentials any more"
                raise Conflict("ConnectionGone", message=gone)
            found = self._open.get(key)
            if found is None:
                found = self._open[key] = self.try_out(connection.details, credentials_of(sealed))
                self._retire(connection.id)
        self._open.move_to_end(key)
        await found.open()
        return found

    def try_out(self, details: OciDetails, credentials: Credentials) -> OciCloud:
        """A way that is not stored, for a test of parameters. Whoever asks for it closes it."""
        account = Account(
            tenancy_ocid=details.tenancy_ocid,
            user_ocid=details.user_ocid,
            fingerprint=details.fingerprint,
            region=details.region,
            private_key=credentials.private_key,
            pass_phrase=credentials.pass_phrase,
            realm_domain=details.domain,
            authority_pem=details.server_certificate or None,
        )
        return OciCloud(account, self._limits, self._budgets, self._workers, self._proxy)

    def forget(self, connection_id: str) -> None:
        """Closes every way of a connection that was deleted; calls under way go on."""
        for key in [key for key in self._open if key[0] == connection_id]:
            self._close(self._open.pop(key))

    def _retire(self, connection_id: str) -> None:
        """Closes what a change of the connection has made old, and the least recently used beyond the limit."""
        same = [key for key in self._open if key[0] == connection_id]
        for key in same[:-1]:
            self._close(self._open.pop(key))
        while len(self._open) > self._limits.clouds:
            self._close(self._open.popitem(last=False)[1])

    def _close(self, cloud: OciCloud) -> None:
        task = asyncio.get_running_loop().create_task(cloud.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Closes all."""
        clouds = [*self._open.values()]
        self._open.clear()
        for cloud in clouds:
            with contextlib.suppress(Exception):
                await cloud.close()
        self._workers.close()


def sealed_form(credentials: Credentials) -> Sensitive:
    """The credentials as they are sealed: one JSON object."""
    told = {"private_key": credentials.private_key.reveal_text()}
    if credentials.pass_phrase is not None:
        told["pass_phrase"] = credentials.pass_phrase.reveal_text()
    return Sensitive(msgspec.json.encode(told))


def credentials_of(sealed: Sensitive) -> Credentials:
    """The credentials that `sealed_form` was given."""
    told: dict[str, str] = msgspec.json.decode(sealed.reveal(), type=dict[str, str])
    return Credentials(**{name: Sensitive(value) for name, value in told.items()})
