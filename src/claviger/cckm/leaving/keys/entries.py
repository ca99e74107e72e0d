"""Keys of OCI, and versions of them, that are leaving: until OCI deletes them, and deleted ones with a backup."""

from __future__ import annotations

from collections.abc import Sequence

from claviger.cckm.azure.secrets.listing.records import Clause
from claviger.cckm.leaving.asked import KEY, OCI, RESTORABLE, SOFT_DELETED, VERSION, WAYS, Asked, Kind
from claviger.cckm.leaving.keys.records import KeyReads, LeavingKey, is_deleted
from claviger.cckm.leaving.merging import Ranked
from claviger.cckm.leaving.secrets.records import LeavingReads
from claviger.cckm.leaving.wire import Leaving, Undo
from claviger.cckm.listing import matches
from claviger.cckm.resource import seconds, timestamp, uri
from claviger.store.contract import Store

PATH = "/api/v1/cckm/oci/keys"
DAY_S = 86_400


class KeySource:
    """What a call asks for of one domain's keys, or their versions."""

    def __init__(
        self, reads: KeyReads, people: LeavingReads, object_kind: str, kind: Kind, where: Sequence[Clause] | None
    ) -> None:
        self._reads = reads
        self._people = people
        self._object_kind = object_kind
        self._kind = kind
        self._where = where

    async def count(self) -> int:
        """See `merging.Listed`."""
        return 0 if self._where is None else len(await self._reads.whole(self._object_kind, self._kind, self._where))

    async def ranked(self, skip: int, count: int) -> list[Ranked]:
        """See `merging.Listed`."""
        if self._where is None:
            return []
        return (await self._reads.whole(self._object_kind, self._kind, self._where)).page(skip, count)

    async def shown(
        self, nums: Sequence[int], seen: frozenset[str] | None, allowed: frozenset[str] | None, now: float
    ) -> dict[int, Leaving]:
        """Rows as they are now, by num. `seen` and `allowed` as in `secrets.SecretSource`."""
        found = {
            num: each
            for num, each in (await self._reads.views(self._object_kind, nums)).items()
            if seen is None or each.vault_id in seen
        }
        usernames = await self._people.usernames([each.deleted_by for each in found.values() if each.deleted_by])
        return {
            num: _shown(self._object_kind, self._kind, each, usernames.get(each.deleted_by), allowed, now)
            for num, each in found.items()
        }


class Keys:
    """Keys and versions that are leaving, in one store."""

    def __init__(self, store: Store, people: LeavingReads) -> None:
        self._reads = KeyReads(store)
        self._people = people

    async def source(
        self, object_kind: str, asked: Asked, domain_id: str, seen: frozenset[str] | None, by: Sequence[str]
    ) -> KeySource:
        """What is asked for, in the vaults that are `seen` (None: all); `by` are ids of users."""
        vaults = await self._chosen(asked, domain_id, seen)
        where = None
        if vaults is None or vaults:
            where = self._reads.conditions(object_kind, asked, domain_id, vaults, by)
        return KeySource(self._reads, self._people, object_kind, asked.kind, where)

    async def _chosen(self, asked: Asked, domain_id: str, seen: frozenset[str] | None) -> frozenset[str] | None:
        """The vaults to look in; None: all of the domain."""
        words = asked.vaults[OCI]
        if not words:
            return seen
        named = [vault for vault in await self._reads.vault_ids(domain_id) if matches(list(vault), words)]
        return frozenset(ident for ident, _, _ in named if seen is None or ident in seen)

    async def find(self, domain_id: str, ident: str) -> tuple[str, Kind, str] | None:
        """Whether a record of the domain is a key or a version, how it would be leaving, and the id of its key."""
        found = await self._reads.find(domain_id, ident)
        if found is None:
            return None
        object_kind, key_id, state, is_gone = found
        is_final = object_kind == KEY and (is_gone or is_deleted(state))
        return object_kind, RESTORABLE if is_final else SOFT_DELETED, key_id


def _shown(
    object_kind: str, kind: Kind, row: LeavingKey, username: str | None, allowed: frozenset[str] | None, now: float
) -> Leaving:
    way = WAYS[object_kind, kind]
    known: dict[str, object] = {}
    if kind == SOFT_DELETED and row.deletes_at is not None:
        known["becomes_final_at"] = seconds(row.deletes_at)
        known["days_left"] = max(0, int(row.deletes_at - now) // DAY_S)
    if kind == RESTORABLE and row.deletes_at is not None:
        known["deleted_at"] = seconds(row.deletes_at)
    if row.deleted_by:
        known["deleted_by"] = row.deleted_by
    if username is not None:
        known["deleted_by_username"] = username
    if object_kind == VERSION:
        known["version"] = row.ocid
    elif row.backup_at is not None:
        known["backup_at"] = timestamp(row.backup_at)
    path = f"{PATH}/{row.key_id}" + (f"/versions/{row.id}" if object_kind == VERSION else "")
    return Leaving(
        id=row.id,
        uri=uri("cckm", object_kind, row.id, ""),
        kind=kind,
        object_kind=object_kind,
        cloud=OCI,
        cloud_name=OCI,
        vault_name=row.vault_name,
        cckm_vault_id=row.vault_id,
        key_name=row.key_name,
        cckm_key_id=row.key_id,
        region=row.region,
        status=row.state,
        gone=row.gone != 0,
        has_backup=row.backup_at is not None,
        name_taken=False,
        undo=Undo(
            operation=way.operation,
            method="POST",
            path=f"{path}/{way.operation}",
            permission=way.permission,
            allowed=allowed is None or row.vault_id in allowed,
        ),
        **known,  # type: ignore[arg-type]  # each of its kind
    )
