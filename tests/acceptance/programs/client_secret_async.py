"""An asynchronous program that signs in with a client secret at an authority of its own."""

import asyncio
import os
import sys

import whole_life_async  # type: ignore[import-not-found]  # beside this file
from azure.identity.aio import ClientSecretCredential
from azure.keyvault.secrets.aio import SecretClient


async def main() -> None:
    """Signs in and lives."""
    credential = ClientSecretCredential(
        os.environ["AZURE_TENANT_ID"],
        os.environ["AZURE_CLIENT_ID"],
        os.environ["AZURE_CLIENT_SECRET"],
        authority=os.environ["AZURE_AUTHORITY_HOST"],
        disable_instance_discovery=True,
    )
    async with credential, SecretClient(os.environ["AZURE_KEYVAULT_URL"], credential) as client:
        await whole_life_async.live(client)
    sys.stdout.write("lived\n")


asyncio.run(main())
