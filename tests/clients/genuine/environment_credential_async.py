"""A program as it runs in a pipeline, asynchronous."""

import asyncio
import sys

from azure.identity.aio import EnvironmentCredential
from azure.keyvault.secrets.aio import SecretClient


async def main() -> None:
    """Sets and gets."""
    vault = "https://demo.vault.azure.net"
    async with EnvironmentCredential() as credential, SecretClient(vault, credential) as client:
        await client.set_secret("from-async-pipeline", "one")
        assert (await client.get_secret("from-async-pipeline")).value == "one"
        sys.stdout.write("lived\n")


asyncio.run(main())
