"""`python -m bench.fetching PARAMETERS`: fetches pages with the bare official async client; the yardstick for
synchronisation.

PARAMETERS is a file of JSON: where the vaults are, who signs in, which vaults, and whether the versions of every secret
are fetched too. As many vaults and calls at a time as the product has. It prints JSON: pages, the seconds that they
took from the first one on, and the processor's seconds.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Iterable
from pathlib import Path
from typing import Any

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import ClientSecretCredential
from azure.keyvault.secrets.aio import SecretClient


class Fetcher:
    """Fetches, and counts pages."""

    def __init__(self, vaults_at_once: int, calls_at_once: int) -> None:
        self.pages = 0
        self._vaults = asyncio.Semaphore(vaults_at_once)
        self._calls_at_once = calls_at_once

    async def vault(self, client: SecretClient, *, versions: bool) -> None:
        """All pages of one vault."""
        async with self._vaults:
            calls = asyncio.Semaphore(self._calls_at_once)
            async for page in self._pages(client.list_properties_of_secrets()):
                if versions:
                    await asyncio.gather(*(self._versions(client, calls, item.name) for item in page))
            async for page in self._pages(client.list_deleted_secrets()):
                if versions:
                    await asyncio.gather(*(self._deleted(client, calls, item.name) for item in page))

    async def _versions(self, client: SecretClient, calls: asyncio.Semaphore, name: str) -> None:
        async with calls:
            async for _ in self._pages(client.list_properties_of_secret_versions(name)):
                pass

    async def _deleted(self, client: SecretClient, calls: asyncio.Semaphore, name: str) -> None:
        async with calls:
            await client.get_deleted_secret(name)
            self.pages += 1

    async def _pages(self, paged: Any) -> AsyncIterator[list[Any]]:
        async for page in paged.by_page():
            self.pages += 1
            yield [item async for item in page]


async def main(told: Any) -> None:
    """Fetches and prints."""
    context = ssl.create_default_context(cafile=told["authority"])
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=64), auto_decompress=False, trust_env=False
    )

    def transport() -> AioHttpTransport:
        return AioHttpTransport(session=session, session_owner=False)

    credential = ClientSecretCredential(
        told["tenant_id"],
        told["client_id"],
        told["client_secret"],
        authority=told["login"],
        transport=transport(),
    )
    clients = [
        SecretClient(url, credential, transport=transport(), verify_challenge_resource=False) for url in told["vaults"]
    ]
    async with session:
        await credential.get_token(told["scope"])
        fetcher = Fetcher(told["vaults_at_once"], told["calls_at_once"])
        began, used = time.perf_counter(), time.process_time()
        await _all(fetcher.vault(client, versions=told["versions"]) for client in clients)
        taken = {"seconds": time.perf_counter() - began, "processor_s": time.process_time() - used}
        print(json.dumps({"pages": fetcher.pages, **taken}))


async def _all(works: Iterable[Awaitable[None]]) -> None:
    await asyncio.gather(*works)


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
