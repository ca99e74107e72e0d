"""An asynchronous program that runs with a managed identity."""

import asyncio
import os

import whole_life_async
from azure.identity.aio import ManagedIdentityCredential
from azure.keyvault.secrets.aio import SecretClient


async def main() -> None:
    """Signs in and lives."""
    credential = ManagedIdentityCredential()
    async with credential, SecretClient(os.environ["AZURE_KEYVAULT_URL"], credential) as client:
        await whole_life_async.live(client)
    print("lived")


asyncio.run(main())
