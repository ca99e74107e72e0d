"""The bare official SDK that creations are compared with: sets secrets and backs each up, one after the other.

Run as a program of its own, `python -m bench.bare_sdk`, with what `claviger env` says in its environment. Each line on
its standard input is a count; it answers with the seconds that so many took. Nothing is set about the SDK but where
`*.localhost` lies, which few machines know.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import time

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import ClientSecretCredential
from azure.keyvault.secrets.aio import SecretClient

from claviger.outgoing.names import Names

CONNECT_S = 5.0


def _transport() -> AioHttpTransport:
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    connector = aiohttp.TCPConnector(ssl=context, resolver=Names(CONNECT_S))
    return AioHttpTransport(session=aiohttp.ClientSession(connector=connector), session_owner=True)


async def _main() -> None:
    credential = ClientSecretCredential(
        os.environ["AZURE_TENANT_ID"],
        os.environ["AZURE_CLIENT_ID"],
        os.environ["AZURE_CLIENT_SECRET"],
        authority=os.environ["AZURE_AUTHORITY_HOST"],
        disable_instance_discovery=True,
        transport=_transport(),
    )
    client = SecretClient(
        os.environ["AZURE_KEYVAULT_URL"], credential, verify_challenge_resource=False, transport=_transport()
    )
    made = 0
    async with credential, client:
        while line := await asyncio.to_thread(sys.stdin.readline):
            began = time.perf_counter()
            for _ in range(int(line)):
                made += 1
                await client.set_secret(f"bare-{made}", "x" * 100, tags={"team": "billing"})
                await client.backup_secret(f"bare-{made}")
            print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    asyncio.run(_main())
