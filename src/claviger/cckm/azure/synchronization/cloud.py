"""What synchronisation asks of one vault: pages of its lists, versions of a name. It reads, and never a value.

Every call is sent once; how often it is tried, and when, is for the gate (`cckm/synchronization/gate.py`), which knows
of all calls to the vault.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from claviger.cckm.azure.connections.cloud import ONCE, AzureCloud, AzureClouds
from claviger.cckm.azure.connections.rules import Connection
from claviger.cckm.azure.secrets.cloud import CloudSecret, parsed_page, told_deleted
from claviger.core.errors import Invalid, NotFound, Unavailable

T = TypeVar("T")

Ask = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Runs a call until it succeeds, or raises why it did not."""

MOST_VERSIONS = 100_000


async def source(clouds: AzureClouds, connection: Connection, azure_name: str, vault_uri: str, ask: Ask) -> Source:
    """The reader of a vault. Raises Invalid("VaultAddress") and what `AzureClouds.reach` does."""
    cloud = await clouds.reach(connection)
    return Source(cloud, cloud.vault_url(azure_name, vault_uri), ask)


class Source:
    """Reads one vault. Every method raises what `ask` does."""

    def __init__(self, cloud: AzureCloud, vault_url: str, ask: Ask) -> None:
        self.vault_url = vault_url
        self._cloud = cloud
        self._client = cloud.secret_client(vault_url)
        self._budget = cloud.budget(vault_url)
        self._ask = ask

    def live(self) -> AsyncIterator[list[CloudSecret]]:
        """Pages of the live secrets, each by its newest version, which is not named."""
        return self._pages(self._client.list_properties_of_secrets)

    def deleted(self) -> AsyncIterator[list[CloudSecret]]:
        """Pages of the deleted secrets."""
        return self._pages(self._client.list_deleted_secrets)

    async def versions(self, name: str) -> list[CloudSecret]:
        """All versions of a live secret; none where it is not there. Raises Invalid("TooMany")."""
        found: list[CloudSecret] = []
        try:
            async for page in self._pages(self._client.list_properties_of_secret_versions, name):
                found += page
                if len(found) > MOST_VERSIONS:
                    raise Invalid("TooMany", message=f"a secret has more than {MOST_VERSIONS} versions")
        except NotFound:
            return []
        return found

    async def one_deleted(self, name: str) -> CloudSecret | None:
        """A deleted secret with its version; None where there is none. Raises Forbidden for a disabled one."""

        async def work() -> CloudSecret:
            return told_deleted(await self._client.get_deleted_secret(name, **ONCE))

        try:
            found: CloudSecret = await self._ask(lambda: self._cloud.ask(work, self._budget))
        except NotFound:
            return None
        return found

    async def is_there(self, name: str) -> bool:
        """Whether there is a secret of that name, live or deleted."""
        return await self.one_deleted(name) is not None or bool(await self.versions(name))

    async def _pages(self, paged: Callable[..., Any], *names: str) -> AsyncIterator[list[CloudSecret]]:
        answers: list[Any] = []
        pages = paged(*names, raw_response_hook=answers.append, **ONCE).by_page()

        async def work() -> list[CloudSecret] | None:
            """One page. Where it fails, the iterator stays where it was, and the same page is asked for again."""
            answers.clear()
            try:
                await anext(pages)
            except StopAsyncIteration:
                return None
            # The SDK's own objects look their fields up anew at each access; the answer itself is read in one go.
            return parsed_page(answers[-1].http_response.content)

        before = None
        while (page := await self._ask(lambda: self._cloud.ask(work, self._budget))) is not None:
            yield page
            if pages.continuation_token is None:
                return
            if pages.continuation_token == before:
                raise Unavailable("CloudUndecided", message="Azure's list leads back to the same page for ever")
            before = pages.continuation_token


def with_version(item: CloudSecret, version: str) -> CloudSecret:
    """What a list says of a secret, as said of the version that is its newest one; "" where nobody knows that."""
    if not version:
        return msgspec.structs.replace(item, version="")
    return msgspec.structs.replace(item, version=version, id=f"{item.id.rstrip('/')}/{version}")
