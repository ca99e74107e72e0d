"""An Azure on the loopback that misbehaves on demand: a login host and vaults that answer what a test has written down.

It keeps to the protocol where nothing is asked for: tokens, the challenge for a request without one, a bundle. It runs
on the test's own event loop and keeps what it was asked, so that a test can count how often a change arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.odd_server import CUT, HANG, Said, Step, standing

HOSTS = ("login.localhost", "management.localhost", "demo.vault.localhost")


class OddCloud:
    """`script` is what authorised requests are answered, one after the other; then a bundle. `login` likewise."""

    def __init__(self) -> None:
        self.port = 0
        self.authority = ""
        self.script: list[Step] = []
        self.login: list[Step] = []
        self.seen: list[tuple[str, str, bytes]] = []
        self.sign_ins = 0
        self.resource: str | None = None
        self.arrived = asyncio.Event()
        self.over = asyncio.Event()

    @property
    def asked(self) -> list[str]:
        """The methods of the authorised requests."""
        return [method for method, _, _ in self.seen]

    def bundle(self) -> dict[str, Any]:
        """A secret as Azure tells it."""
        return {
            "id": f"https://demo.vault.localhost:{self.port}/secrets/s/{'0' * 32}",
            "value": "v",
            "attributes": {"enabled": True, "created": 1, "updated": 1, "recoveryLevel": "Purgeable"},
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for as long as it lasts."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line, *rest = head.strip().split("\r\n")
                headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in rest)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = line.split(" ")
                step = self._step(method, path, headers, body)
                if step == CUT:
                    break
                if step == HANG:
                    await self.over.wait()
                    break
                assert isinstance(step, Said)
                writer.write(step.raw())
                await writer.drain()
        with contextlib.suppress(ConnectionError, asyncio.TimeoutError):
            writer.close()

    def _step(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Step:
        if headers["host"].startswith("login."):
            self.sign_ins += 1
            if self.login:
                return self.login.pop(0)
            return Said(200, {"access_token": "t0ken", "expires_in": 3600, "token_type": "Bearer"})
        if "authorization" not in headers:
            resource = self.resource or f"https://vault.localhost:{self.port}"
            challenge = f'Bearer authorization="https://login.localhost:{self.port}/t1", resource="{resource}"'
            return Said(401, {"error": {"code": "Unauthorized"}}, {"WWW-Authenticate": challenge})
        self.seen.append((method, path, body))
        self.arrived.set()
        return self.script.pop(0) if self.script else Said(200, self.bundle())

    def endpoints(self) -> dict[str, Any]:
        """The fields of a connection that lead here."""
        return {
            "active_directory_endpoint": f"https://login.localhost:{self.port}",
            "management_url": f"https://management.localhost:{self.port}",
            "resource_manager_url": f"https://management.localhost:{self.port}",
            "key_vault_dns_suffix": f"vault.localhost:{self.port}",
            "vault_resource_url": f"https://vault.localhost:{self.port}",
            "azure_stack_server_cert": self.authority,
        }


@asynccontextmanager
async def odd_cloud(folder: Path) -> AsyncIterator[OddCloud]:
    """The cloud on a free port."""
    cloud = OddCloud()
    async with standing(cloud, HOSTS, folder):
        yield cloud
