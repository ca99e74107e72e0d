"""Keys with their versions, as they are read from OCI."""

from __future__ import annotations

from collections.abc import Collection

from claviger.cckm.oci.keys.cloud import CloudKey, CloudVersion, VaultKeys
from claviger.core.errors import NotFound, Refusal

MOST_VERSIONS_READ = 200
"""So many versions of a key are read one by one, for what a list leaves out."""


async def versions_of(
    cloud: VaultKeys, key: CloudKey, known: Collection[str] = frozenset()
) -> tuple[CloudVersion, ...]:
    """All versions of a key; those that are not known yet with what a list leaves out. Raises what the cloud does."""
    found: list[CloudVersion] = []
    read = 0
    for each in await cloud.versions(key.ocid):
        is_known = each.ocid in known and bool(each.state)
        if not is_known and read < MOST_VERSIONS_READ:
            read += 1
            found.append(await _whole(cloud, each))
        else:
            found.append(each)
    return tuple(found)


async def _whole(cloud: VaultKeys, listed: CloudVersion) -> CloudVersion:
    """A version that a list has shown. For some seconds after it was made OCI may not show it by itself yet."""
    try:
        return await cloud.version(listed.key_ocid, listed.ocid)
    except NotFound:
        return listed


async def current_version(cloud: VaultKeys, key: CloudKey) -> tuple[CloudVersion, ...]:
    """The current version of a key that was just made; none where OCI does not show it yet."""
    if not key.current_version_ocid:
        return ()
    try:
        return (await cloud.version(key.ocid, key.current_version_ocid),)
    except Refusal:  # it is made; the next look finds it
        return ()
