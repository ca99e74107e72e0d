"""An asynchronous program that leaves it to the SDK how to sign in."""

import asyncio
import os
import sys

import whole_life_async  # type: ignore[import-not-found]  # beside this file
from azure.identity.aio import DefaultAzureCredential
from azure.keyvault.secrets.aio import SecretClient


async def main() -> None:
    """Signs in and lives."""
    credential = DefaultAzureCredential()
    async with credential, SecretClient(os.environ["AZURE_KEYVAULT_URL"], credential) as client:
        await whole_life_async.live(client)
    sys.stdout.write("lived\n")


asyncio.run(main())
