"""What synchronisation asks of OCI about one vault: the vault, compartments, keys, versions. Nothing here can change a
thing.

Every call is sent once; how often it is tried, and when, is for the gate (`cckm/synchronization/gate.py`), which knows
of all calls to the tenancy.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from claviger.cckm.oci.cloud import OciCloud
from claviger.cckm.oci.keys.cloud import CloudKey, CloudVersion, key_of, version_of
from claviger.cckm.oci.pace import Kind
from claviger.cckm.oci.realm import Handle
from claviger.cckm.oci.vaults.cloud import CloudVault, vault_of
from claviger.core.errors import Invalid, Unavailable

T = TypeVar("T")

Ask = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Runs a call until it succeeds, or raises why it did not."""

PAGE = 100
MOST_PAGES = 100_000
MOST_COMPARTMENTS = 20_000
MOST_VERSIONS = 100_000


class Tenancy:
    """Reads the compartments and vaults of a tenancy. Every method raises what `ask` does."""

    def __init__(self, cloud: OciCloud, ask: Ask) -> None:
        self._cloud = cloud
        self._ask = ask

    async def vault(self, region: str, ocid: str) -> CloudVault:
        """A vault as it is now."""
        at = self._cloud.control(region)
        return await self.once(at, lambda client: vault_of(client.get_vault(ocid).data), "provisioning reads")

    async def compartments(self) -> dict[str, str]:
        """The names of the active compartments that the user can look into, by OCID, without the tenancy itself.

        Raises Invalid("TooMany").
        """
        found: dict[str, str] = {}
        root, at = self._cloud.tenancy_ocid, self._cloud.identity()
        whole = {"compartment_id_in_subtree": True, "access_level": "ACCESSIBLE", "lifecycle_state": "ACTIVE"}

        def page(client: Any, more: Mapping[str, Any]) -> tuple[list[tuple[str, str]], str]:
            told = client.list_compartments(root, limit=PAGE, **whole, **more)
            return [(str(each.id), str(each.name or "")) for each in told.data], _next(told)

        async for named in pages(self, at, page, "others"):
            found.update(named)
            if len(found) > MOST_COMPARTMENTS:
                raise Invalid("TooMany", message=f"the tenancy has more than {MOST_COMPARTMENTS} compartments")
        return found

    async def root(self) -> tuple[str, str]:
        """The OCID and the name of the compartment that the tenancy is."""
        ocid = self._cloud.tenancy_ocid
        name = await self.once(
            self._cloud.identity(), lambda client: str(client.get_compartment(ocid).data.name or ""), "others"
        )
        return ocid, name

    def keys(self, management_endpoint: str) -> Keys:
        """The keys of a vault. Raises Invalid("CloudInvalid") for an address that is not the realm's."""
        return Keys(self, self._cloud.management(management_endpoint))

    async def once(self, at: Handle, work: Callable[[Any], T], kind: Kind) -> T:
        """A call through the gate."""
        answer: T = await self._ask(lambda: self._cloud.once(at, work, kind))
        return answer


class Keys:
    """Reads the keys of one vault. Every method raises what the gate does."""

    def __init__(self, tenancy: Tenancy, at: Handle) -> None:
        self._tenancy = tenancy
        self._at = at

    def listed(self, compartment_ocid: str) -> AsyncIterator[list[str]]:
        """Pages of the OCIDs of the keys that lie directly in a compartment."""

        def page(client: Any, more: Mapping[str, Any]) -> tuple[list[str], str]:
            told = client.list_keys(compartment_ocid, limit=PAGE, **more)
            return [str(each.id) for each in told.data], _next(told)

        return pages(self._tenancy, self._at, page, "management reads")

    async def key(self, ocid: str) -> CloudKey:
        """One key."""
        return await self._once(lambda client: key_of(client.get_key(ocid).data))

    async def versions(self, key_ocid: str) -> list[CloudVersion]:
        """All versions of a key, without their public keys. Raises Invalid("TooMany")."""

        def page(client: Any, more: Mapping[str, Any]) -> tuple[list[CloudVersion], str]:
            told = client.list_key_versions(key_ocid, limit=PAGE, **more)
            return [version_of(each) for each in told.data], _next(told)

        found: list[CloudVersion] = []
        async for few in pages(self._tenancy, self._at, page, "management reads"):
            found += few
            if len(found) > MOST_VERSIONS:
                raise Invalid("TooMany", message=f"a key has more than {MOST_VERSIONS} versions")
        return found

    async def version(self, key_ocid: str, ocid: str) -> CloudVersion:
        """One version, with its public key."""
        return await self._once(lambda client: version_of(client.get_key_version(key_ocid, ocid).data))

    async def _once(self, work: Callable[[Any], T]) -> T:
        return await self._tenancy.once(self._at, work, "management reads")


async def pages(
    tenancy: Tenancy, at: Handle, page: Callable[[Any, Mapping[str, Any]], tuple[list[T], str]], kind: Kind
) -> AsyncIterator[list[T]]:
    """All pages of a list. Where one fails, the same page is asked for again."""
    more: dict[str, Any] = {}
    for _ in range(MOST_PAGES):
        found, mark = await tenancy.once(at, _bound(page, dict(more)), kind)
        yield found
        if not mark:
            return
        if more.get("page") == mark:
            break
        more = {"page": mark}
    raise Unavailable("CloudUndecided", message="OCI's list leads back to the same page for ever")


def _bound(page: Callable[[Any, Mapping[str, Any]], T], more: Mapping[str, Any]) -> Callable[[Any], T]:
    return lambda client: page(client, more)


def _next(told: Any) -> str:
    return str(told.headers.get("opc-next-page") or "")
