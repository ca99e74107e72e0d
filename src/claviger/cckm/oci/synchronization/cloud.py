"""What synchronisation asks of OCI about one vault: the vault, compartments, keys, versions. Nothing here can change a
thing.

Every call is sent once; how often it is tried, and when, is for the gate (`cckm/synchronization/gate.py`), which knows
of all calls to the tenancy.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, TypeVar

from claviger.cckm.oci.cloud import OciCloud
from claviger.cckm.oci.keys.cloud import CloudKey, CloudVersion, key_of, version_of
from claviger.cckm.oci.pace import Kind
from claviger.cckm.oci.realm import Handle
from claviger.cckm.oci.vaults.cloud import CloudVault, vault_of
from claviger.cckm.synchronization.visiting import Ask
from claviger.core.errors import Invalid, NotFound, Unavailable

T = TypeVar("T")

PAGE = 100
MOST_PAGES = 100_000
MOST_COMPARTMENTS = 20_000
MOST_VERSIONS = 100_000
KEYS_A_TURN = 8
_DELETED = "DELETED"
_READS: Kind = "management reads"

Whole = tuple[CloudKey, list[CloudVersion], str]
"""A key, its versions, and the mark of those that are still to come."""


class Tenancy:
    """Reads the compartments and vaults of a tenancy. Every method raises what `ask` does."""

    def __init__(self, cloud: OciCloud, ask: Ask) -> None:
        self.cloud = cloud
        self.ask = ask

    async def vault(self, region: str, ocid: str) -> CloudVault:
        """A vault as it is now."""
        at = self.cloud.control(region)
        return await self.once(at, lambda client: vault_of(client.get_vault(ocid).data), "provisioning reads")

    async def compartments(self) -> dict[str, str]:
        """The names of the active compartments that the user can look into, by OCID, without the tenancy itself.

        Raises Invalid("TooMany").
        """
        found: dict[str, str] = {}
        root, at = self.cloud.tenancy_ocid, self.cloud.identity()
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
        ocid = self.cloud.tenancy_ocid
        name = await self.once(
            self.cloud.identity(), lambda client: str(client.get_compartment(ocid).data.name or ""), "others"
        )
        return ocid, name

    def keys(self, management_endpoint: str) -> Keys:
        """The keys of a vault. Raises Invalid("CloudInvalid") for an address that is not the realm's."""
        return Keys(self, self.cloud.management(management_endpoint))

    async def once(self, at: Handle, work: Callable[[Any], T], kind: Kind, calls: int = 1) -> T:
        """A call through the gate, or a few as one."""
        answer: T = await self.ask(lambda: self.cloud.once(at, work, kind, calls), calls)
        return answer


class Keys:
    """Reads the keys of one vault. Every method raises what the gate does. `a_turn` keys are best asked for at once."""

    def __init__(self, tenancy: Tenancy, at: Handle) -> None:
        self._tenancy = tenancy
        self._at = at
        self.a_turn = 1 if tenancy.cloud.paces(at) else KEYS_A_TURN

    def listed(self, compartment_ocid: str) -> AsyncIterator[list[str]]:
        """Pages of the OCIDs of the keys that lie directly in a compartment."""

        def page(client: Any, more: Mapping[str, Any]) -> tuple[list[str], str]:
            told = client.list_keys(compartment_ocid, limit=PAGE, **more)
            return [str(each.id) for each in told.data], _next(told)

        return pages(self._tenancy, self._at, page, _READS)

    async def key(self, ocid: str) -> CloudKey:
        """One key."""
        return await self._once(lambda client: key_of(client.get_key(ocid).data))

    async def several(self, ocids: Sequence[str]) -> list[Whole | None]:
        """Keys with all their versions, without public keys; None for one that OCI does not show.

        Raises Invalid("TooMany").
        """
        found: list[Whole | None] = []
        while len(found) < len(ocids):
            try:
                await self._go_on(ocids, found)
            except NotFound:
                found.append(await self._partly(ocids[len(found)]))
        return [await self._to_the_end(*whole) if whole is not None and whole[2] else whole for whole in found]

    async def _go_on(self, ocids: Sequence[str], found: list[Whole | None]) -> None:
        """Adds those that come next. What was found stays where a call fails, and it goes on from there."""

        async def call() -> None:
            left = ocids[len(found) :]
            here: list[tuple[CloudKey, list[CloudVersion], str]] = []

            def work(client: Any) -> None:
                """Several calls in one turn: to hand one to a thread and back takes about as long as the call."""
                for ocid in left:
                    key = key_of(client.get_key(ocid).data)
                    here.append((key, *_versions(client, ocid, {})))

            try:
                await self._tenancy.cloud.once(self._at, work, _READS, 2 * len(left))
            finally:
                found.extend(list(here))  # a thread that was given up may add to its own list, and nobody looks

        await self._tenancy.ask(call, 2 * (len(ocids) - len(found)))

    async def _to_the_end(self, key: CloudKey, versions: list[CloudVersion], mark: str) -> Whole:
        rest = pages(self._tenancy, self._at, lambda client, more: _versions(client, key.ocid, more), _READS, mark)
        async for few in rest:
            versions += few
            if len(versions) > MOST_VERSIONS:
                raise Invalid("TooMany", message=f"a key has more than {MOST_VERSIONS} versions")
        return key, versions, ""

    async def _partly(self, ocid: str) -> Whole | None:
        """A deleted key, of which OCI forgets one part after the other; None for any other."""
        try:
            key = await self.key(ocid)
        except NotFound:
            return None
        return (key, [], "") if key.state == _DELETED else None

    async def version(self, key_ocid: str, ocid: str) -> CloudVersion:
        """One version, with its public key."""
        return await self._once(lambda client: version_of(client.get_key_version(key_ocid, ocid).data))

    async def _once(self, work: Callable[[Any], T]) -> T:
        return await self._tenancy.once(self._at, work, _READS)


async def pages(
    tenancy: Tenancy,
    at: Handle,
    page: Callable[[Any, Mapping[str, Any]], tuple[list[T], str]],
    kind: Kind,
    first: str = "",
) -> AsyncIterator[list[T]]:
    """All pages of a list, from a mark on. Where one fails, the same page is asked for again."""
    more: dict[str, Any] = {"page": first} if first else {}
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


def _versions(client: Any, key_ocid: str, more: Mapping[str, Any]) -> tuple[list[CloudVersion], str]:
    told = client.list_key_versions(key_ocid, limit=PAGE, **more)
    return [version_of(each) for each in told.data], _next(told)


def _next(told: Any) -> str:
    return str(told.headers.get("opc-next-page") or "")
