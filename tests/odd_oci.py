"""An OCI on the loopback that misbehaves on demand: identity, vaults and keys that answer what a test has written down.

Where nothing is asked for it answers as OCI does, about whatever it is asked. It runs on the test's own event loop,
which the control plane's threads leave free, and keeps what it was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from claviger.core.sensitive import Sensitive
from claviger.crypto.api_keys import fingerprint_of, new_api_key
from tests.odd_server import CUT, HANG, Said, Step, standing

REGION = "us-ashburn-1"
OTHER_REGION = "eu-frankfurt-1"
TENANCY = "ocid1.tenancy.oc1..odd"
USER = "ocid1.user.oc1..odd"
COMPARTMENT = "ocid1.compartment.oc1..odd"
VAULT = "ocid1.vault.oc1.iad.odd.one"
AT = "2026-11-22T10:11:12.345Z"
DRIP = "drip"
DRIP_HEAD = "drip head"
ENDLESS = "endless"
HOSTS = [
    f"{service}.{region}.{more}localhost"
    for region in (REGION, OTHER_REGION)
    for service, more in (("kms", ""), ("identity", "oci."), ("objectstorage", ""), ("abc-management.kms", ""))
]

Answer = Callable[[str], Step]


class OddOci:
    """`script` is what requests are answered, one after the other; then what OCI would. `seen` is what was asked."""

    def __init__(self) -> None:
        self.port = 0
        self.authority = ""
        self.script: list[Step] = []
        self.always: Answer | None = None
        self.seen: list[str] = []
        self.hosts: set[str] = set()
        self.endpoint: str | None = None
        self.arrived = asyncio.Event()
        self.gone = asyncio.Event()
        self.over = asyncio.Event()
        self.open: set[asyncio.StreamWriter] = set()

    @property
    def domain(self) -> str:
        """The domain of its realm."""
        return f"localhost:{self.port}"

    def connection(self, name: str = "odd", **more: Any) -> dict[str, Any]:
        """The body that makes a connection to it."""
        private, fingerprint = api_key()
        return {
            "name": name,
            "user_ocid": USER,
            "tenancy_ocid": TENANCY,
            "fingerprint": fingerprint,
            "region": REGION,
            "credentials": {"key_file": private.reveal_text()},
            "realm_domain": self.domain,
            "server_certificate": self.authority,
            **more,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for as long as it lasts."""
        self.open.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while not self.over.is_set():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line, *rest = head.strip().split("\r\n")
                headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in rest)}
                await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = line.split(" ")
                self.seen.append(f"{method} {path}")
                self.hosts.add(headers["host"])
                self.arrived.set()
                if not await self._answer(self._step(path), reader, writer):
                    break
        self.gone.set()
        with contextlib.suppress(ConnectionError, asyncio.TimeoutError, ssl.SSLError):
            writer.close()

    async def _answer(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection lasts."""
        if isinstance(step, Said):
            writer.write(step.raw())
            await writer.drain()
            return True
        if step == HANG:
            over = asyncio.ensure_future(self.over.wait())
            await asyncio.wait({over, asyncio.ensure_future(reader.read(1))}, return_when=asyncio.FIRST_COMPLETED)
        if step == ENDLESS:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        if step == DRIP:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n")
        while step in (DRIP, DRIP_HEAD, ENDLESS) and not (self.over.is_set() or writer.is_closing()):
            writer.write(b"8000\r\n" + b" " * 0x8000 + b"\r\n" if step == ENDLESS else b" ")
            await writer.drain()
            await asyncio.sleep(0 if step == ENDLESS else 0.02)
        return False

    def _step(self, path: str) -> Step:
        if self.script:
            return self.script.pop(0)
        return Said(200, self.told(path)) if self.always is None else self.always(path)

    def told(self, path: str) -> Any:
        """What OCI says about anything."""
        place = path.partition("?")[0].strip("/").split("/")[1:]
        if place[-1] == "regionSubscriptions":
            region = {"regionKey": "IAD", "regionName": REGION, "status": "READY", "isHomeRegion": True}
            return [region]
        if place[0] == "vaults":
            return self.vault(place[1]) if len(place) > 1 else []
        if len(place) > 1:
            return {
                "id": place[1],
                "name": f"name of {place[1]}",
                "description": "",
                "compartmentId": TENANCY,
                "lifecycleState": "ACTIVE",
                "timeCreated": AT,
            }
        return []

    def vault(self, ocid: str = VAULT, **more: Any) -> Any:
        """A vault as OCI tells it."""
        return {
            "id": ocid,
            "compartmentId": COMPARTMENT,
            "displayName": f"name of {ocid}",
            "lifecycleState": "ACTIVE",
            "managementEndpoint": self.endpoint or f"https://abc-management.kms.{REGION}.{self.domain}",
            "cryptoEndpoint": f"https://abc-crypto.kms.{REGION}.{self.domain}",
            "timeCreated": AT,
            "vaultType": "DEFAULT",
            "wrappingkeyId": "ocid1.key.oc1.iad.odd.wrapping",
            **more,
        }


def refused(status: int, code: str, message: str = "words of OCI", **headers: str) -> Said:
    """A refusal as OCI says it."""
    return Said(status, {"code": code, "message": message}, {name.replace("_", "-"): v for name, v in headers.items()})


@lru_cache(maxsize=1)
def api_key() -> tuple[Sensitive, str]:
    """A private key for all tests, and its fingerprint. The odd OCI looks at no signature."""
    private, public = new_api_key()
    return private, fingerprint_of(public)


@asynccontextmanager
async def odd_oci(folder: Path) -> AsyncIterator[OddOci]:
    """The cloud on a free port."""
    cloud = OddOci()
    async with standing(cloud, HOSTS, folder):
        try:
            yield cloud
        finally:
            cloud.over.set()
            for writer in cloud.open:
                writer.close()


__all__ = ["CUT", "DRIP", "DRIP_HEAD", "ENDLESS", "HANG", "OddOci", "Said", "odd_oci", "refused"]
