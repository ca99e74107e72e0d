"""A program as it runs in Azure, asynchronous: the vault by its address there, credentials left to the SDK."""

import asyncio
import sys

from azure.identity.aio import DefaultAzureCredential
from azure.keyvault.secrets.aio import SecretClient


async def main() -> None:
    """Sets, gets, lists."""
    vault = "https://demo.vault.azure.net"
    async with DefaultAzureCredential() as credential, SecretClient(vault, credential) as client:
        made = await client.set_secret("from-async", "one")
        assert (made.id or "").startswith("https://demo.vault.azure.net/secrets/from-async/"), made.id
        assert (await client.get_secret("from-async")).value == "one"
        assert "from-async" in [each.name async for each in client.list_properties_of_secrets()]
        sys.stdout.write("lived\n")


asyncio.run(main())
