"""Secrets of Azure that are leaving: soft-deleted ones until their vaults purge them, and purged ones with a backup.

Those that synchronisation no longer found count as purged, whatever their status.
"""

from __future__ import annotations

from collections.abc import Sequence

from claviger.cckm.azure.secrets.listing.filters import Vault
from claviger.cckm.azure.secrets.listing.records import FEW_VAULTS, Clause, ListReads
from claviger.cckm.azure.secrets.rows import View, read_details
from claviger.cckm.leaving.asked import AZURE, RESTORABLE, SECRET, SOFT_DELETED, WAYS, Asked, Kind, like_of
from claviger.cckm.leaving.merging import Ranked
from claviger.cckm.leaving.secrets.records import Conditions, LeavingReads
from claviger.cckm.leaving.wire import Leaving, Undo
from claviger.cckm.listing import matches
from claviger.cckm.resource import seconds, timestamp, uri
from claviger.store.contract import Store

PATH = "/api/v1/cckm/azure/secrets"
DAY_S = 86_400


class SecretSource:
    """What a call asks for of one domain's secrets."""

    def __init__(self, reads: LeavingReads, asked: Asked, domain_id: str, conditions: Conditions | None) -> None:
        self._reads = reads
        self._asked = asked
        self._domain_id = domain_id
        self._conditions = conditions

    async def count(self) -> int:
        """See `merging.Listed`."""
        return 0 if self._conditions is None else await self._reads.count(self._asked.kind, self._conditions)

    async def ranked(self, skip: int, count: int) -> list[Ranked]:
        """See `merging.Listed`."""
        if self._conditions is None:
            return []
        return await self._reads.ranked(self._asked.kind, self._conditions, skip, count)

    async def shown(
        self, nums: Sequence[int], seen: frozenset[str] | None, allowed: frozenset[str] | None, now: float
    ) -> dict[int, Leaving]:
        """Rows as they are now, by num; those that are not there any more, or not to be seen, are left out.

        `seen` and `allowed` are the vaults that the caller sees, and in which he may undo it; None: all.
        """
        found = {
            num: each
            for num, each in (await self._reads.views(self._asked.kind, nums)).items()
            if each[0].vault.domain_id == self._domain_id and (seen is None or each[0].vault.id in seen)
        }
        usernames = await self._reads.usernames([by for _, by, _ in found.values() if by])
        return {
            num: _shown(self._asked.kind, view, by, usernames.get(by), taken, allowed, now)
            for num, (view, by, taken) in found.items()
        }


class Secrets:
    """Secrets that are leaving, in one store."""

    def __init__(self, store: Store) -> None:
        self.reads = LeavingReads(store)
        self._vaults = ListReads(store)

    async def source(
        self, asked: Asked, domain_id: str, seen: frozenset[str] | None, by: Sequence[str]
    ) -> SecretSource:
        """What is asked for, in the vaults that are `seen` (None: all); `by` are ids of users."""
        vaults = await self._chosen(asked, domain_id, seen)
        if vaults is not None and not vaults:
            return SecretSource(self.reads, asked, domain_id, None)
        few = vaults is not None and len(vaults) <= FEW_VAULTS
        conditions = Conditions(self._facets(domain_id, vaults, few=few), self._rows(asked, by), few)
        return SecretSource(self.reads, asked, domain_id, conditions)

    async def _chosen(self, asked: Asked, domain_id: str, seen: frozenset[str] | None) -> list[Vault] | None:
        """The vaults to look in; None: all of the domain."""
        words = asked.vaults[AZURE]
        if seen is None and not words:
            return None
        return [
            vault
            for vault in await self._vaults.vaults(domain_id)
            if (seen is None or vault.id in seen)
            and (not words or matches([vault.name, vault.azure_name, vault.id], words))
        ]

    def _facets(self, domain_id: str, vaults: Sequence[Vault] | None, *, few: bool) -> list[Clause]:
        # Of many vaults, the whole table of facets is read faster than its index, which a function keeps out of it.
        found = [Clause("f.domain_id = ?" if few else "coalesce(f.domain_id, '') = ?", (domain_id,))]
        if vaults is not None:
            column = "f.vault_num" if few else "+f.vault_num"
            found.append(self.reads.among(column, [vault.num for vault in vaults], numbers=True))
        return found

    def _rows(self, asked: Asked, by: Sequence[str]) -> list[Clause]:
        found = [Clause(f"s.purge_at {sign} ?", (at,)) for sign, at in asked.dates]
        likes = like_of(asked.names[AZURE])
        if likes:
            either = " OR ".join(["s.name_key LIKE ? ESCAPE '!'"] * len(likes))
            found.append(Clause(f"({either})", likes))
        if asked.by:
            found.append(self.reads.among("s.deleted_by", sorted(by)))
        return found

    async def find(self, domain_id: str, ident: str) -> Kind | None:
        """How a secret of the domain would be leaving, if it is; None where there is no such record."""
        ended = await self.reads.has_ended(domain_id, ident)
        if ended is None:
            return None
        return RESTORABLE if ended else SOFT_DELETED


def _shown(
    kind: Kind, view: View, by: str, username: str | None, taken: bool, allowed: frozenset[str] | None, now: float
) -> Leaving:
    said, vault = read_details(view.details), view.vault
    way = WAYS[SECRET, kind]
    known: dict[str, object] = {}
    if kind == SOFT_DELETED and said.purge_at is not None:
        known["becomes_final_at"] = seconds(said.purge_at)
        known["days_left"] = max(0, int(said.purge_at - now) // DAY_S)
    if said.deleted_at is not None:
        known["deleted_at"] = seconds(said.deleted_at)
    if by:
        known["deleted_by"] = by
    if username is not None:
        known["deleted_by_username"] = username
    if view.backup is not None and view.backup_at is not None:
        known["backup_at"] = timestamp(view.backup_at)
    return Leaving(
        id=view.id,
        uri=uri("cckm", SECRET, view.id, view.name),
        kind=kind,
        object_kind=SECRET,
        cloud=AZURE,
        cloud_name=vault.cloud_name,
        key_vault=vault.name,
        key_vault_id=vault.id,
        region=vault.location,
        secret_name=view.name,
        version=view.version,
        status=view.status,
        gone=view.gone != 0,
        has_backup=view.backup is not None,
        name_taken=taken,
        undo=Undo(
            operation=way.operation,
            method="POST",
            path=f"{PATH}/{view.id}/{way.operation}",
            permission=way.permission,
            allowed=allowed is None or vault.id in allowed,
        ),
        **known,  # type: ignore[arg-type]  # each of its kind
    )
