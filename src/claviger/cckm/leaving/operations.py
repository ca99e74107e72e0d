"""Lists what is leaving: soft-deleted secrets until their vaults purge them, and purged ones with a backup here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from claviger.cckm.azure.secrets.listing.filters import Vault
from claviger.cckm.azure.secrets.listing.records import Clause, ListReads
from claviger.cckm.azure.secrets.rows import View, read_details
from claviger.cckm.azure.secrets.rules import LATEST_TIME
from claviger.cckm.azure.secrets.showing import KIND
from claviger.cckm.azure.secrets.wire import epoch
from claviger.cckm.calls import Query
from claviger.cckm.errors import validation
from claviger.cckm.leaving.records import Asked, Kind, LeavingReads
from claviger.cckm.leaving.wire import Leaving, Undo
from claviger.cckm.listing import Page, matches, window_of
from claviger.cckm.resource import seconds, timestamp, uri
from claviger.core.clock import Clock
from claviger.store.contract import Store

SECRETS = "/api/v1/cckm/azure/secrets"
DAY_S = 86_400
SOFT_DELETED: Kind = "soft-deleted"
RESTORABLE: Kind = "restorable"
KINDS = (SOFT_DELETED, RESTORABLE)
OPERATIONS: Mapping[Kind, tuple[str, str]] = {
    SOFT_DELETED: ("recover", "secretrecover"),
    RESTORABLE: ("restore", "secretrestore"),
}
"""What undoes a deletion, and the permission for it."""

May = Callable[[str], frozenset[str] | None]


class Leavings:
    """What is leaving in one store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._clock = clock
        self._reads = LeavingReads(store)
        self._vaults = ListReads(store)

    async def page(self, domain_id: str, query: Query, containers: frozenset[str] | None, may: May) -> Page:
        """One page of the domain's, of those in `containers` (ids of vaults; None: all): what becomes final first.

        `may` says in which containers the caller has a permission. Raises Invalid.
        """
        window = window_of(query)
        kind = _kind(query)
        vaults = await self._seen(domain_id, query, containers)
        asked = Asked(self._facets(domain_id, vaults), await self._rows(query))
        nothing = vaults is not None and not vaults
        total = 0 if nothing else await self._reads.count(kind, asked)
        count = window.count_of(total)
        read = await self._reads.page(kind, asked, window.skip, count) if count else []
        found = [each for each in read if _is_in(each[0], domain_id, containers)]
        usernames = await self._reads.usernames(by for _, by, _ in found if by) if found else {}
        allowed = may(OPERATIONS[kind][1])
        return Page(
            window.skip,
            window.limit,
            total,
            [self._shown(kind, view, by, usernames.get(by), taken, allowed) for view, by, taken in found],
        )

    async def kind_of(self, domain_id: str, ident: str) -> Kind:
        """What kind of leaving a record is, if it is one; its status says what undoes its deletion."""
        return RESTORABLE if await self._reads.status_of(domain_id, ident) == "DELETED" else SOFT_DELETED

    async def _seen(self, domain_id: str, query: Query, containers: frozenset[str] | None) -> list[Vault] | None:
        """The vaults to look in; None: all of the domain."""
        words = query.all("key_vault")
        if containers is None and not words:
            return None
        return [
            vault
            for vault in await self._vaults.vaults(domain_id)
            if (containers is None or vault.id in containers)
            and (not words or matches([vault.name, vault.azure_name, vault.id], words))
        ]

    def _facets(self, domain_id: str, vaults: Sequence[Vault] | None) -> list[Clause]:
        found = [Clause("coalesce(f.domain_id, '') = ?", (domain_id,))]
        if vaults is not None:
            found.append(self._reads.among("+f.vault_num", [vault.num for vault in vaults], numbers=True))
        return found

    async def _rows(self, query: Query) -> list[Clause]:
        found: list[Clause] = []
        for name, sign in (("becomes_final_before", "<"), ("becomes_final_after", ">=")):
            word = query.one(name)
            if word is None:
                continue
            at = epoch(word)
            if at is None or not 0 <= at <= LATEST_TIME:
                raise validation({name: "must be a time in RFC 3339, or seconds since 1970"})
            found.append(Clause(f"s.purge_at {sign} ?", (at,)))
        if query.all("secret_name"):
            found.append(_named(query.all("secret_name")))
        who = query.all("by")
        if who:
            ids = {word.lower() for word in who}.union(await self._reads.users_named(who))
            found.append(self._reads.among("s.deleted_by", sorted(ids)))
        return found

    def _shown(
        self, kind: Kind, view: View, by: str, username: str | None, taken: bool, allowed: frozenset[str] | None
    ) -> Leaving:
        said, vault = read_details(view.details), view.vault
        operation, permission = OPERATIONS[kind]
        known: dict[str, object] = {}
        if kind == SOFT_DELETED and said.purge_at is not None:
            known["becomes_final_at"] = seconds(said.purge_at)
            known["days_left"] = max(0, int(said.purge_at - self._clock.now()) // DAY_S)
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
            uri=uri("cckm", KIND, view.id, view.name),
            kind=kind,
            cloud="azure",
            cloud_name=vault.cloud_name,
            key_vault=vault.name,
            key_vault_id=vault.id,
            region=vault.location,
            secret_name=view.name,
            version=view.version,
            status=view.status,
            has_backup=view.backup is not None,
            name_taken=taken,
            undo=Undo(
                operation=operation,
                method="POST",
                path=f"{SECRETS}/{view.id}/{operation}",
                permission=permission,
                allowed=allowed is None or vault.id in allowed,
            ),
            **known,  # type: ignore[arg-type]  # each of its kind
        )


def _is_in(view: View, domain_id: str, containers: frozenset[str] | None) -> bool:
    """Still: a row may have changed since it was chosen."""
    return view.vault.domain_id == domain_id and (containers is None or view.vault.id in containers)


def _kind(query: Query) -> Kind:
    word = query.one("kind") or SOFT_DELETED
    if word not in KINDS:
        raise validation({"kind": f"must be {' or '.join(KINDS)}"})
    return word


def _named(words: Sequence[str]) -> Clause:
    """By name in any case; `*` stands for any characters."""
    escaped = [word.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_") for word in words]
    likes = [word.replace("*", "%") for word in escaped]
    either = " OR ".join(["s.name_key LIKE ? ESCAPE '!'"] * len(likes))
    return Clause(f"({either})", tuple(likes))
