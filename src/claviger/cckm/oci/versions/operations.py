"""What operators do to versions of keys: add one, which rotates the key; have one deleted, or not; show them.

Every changing operation goes through `keys.running.Durable`, as those on keys do, and is about the same subject: one
key has one operation under way at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from claviger.audit.trail import telling
from claviger.cckm.approvals.guarding import Guard
from claviger.cckm.calls import Caller, Query
from claviger.cckm.listing import Page, page_of
from claviger.cckm.local.keys.operations import LocalMaterial
from claviger.cckm.oci.keys import records as keys
from claviger.cckm.oci.keys.looking import Looking
from claviger.cckm.oci.keys.operations import OciKeys
from claviger.cckm.oci.keys.requests import days_of, refuse
from claviger.cckm.oci.keys.rows import KeyRow, KeyView
from claviger.cckm.oci.keys.rules import SETTLED, deletion_at, state_of
from claviger.cckm.oci.keys.rules import Operation as OnKey
from claviger.cckm.oci.keys.rules import decide as decide_on_key
from claviger.cckm.oci.keys.running import Durable
from claviger.cckm.oci.keys.wire import ScheduleDeletion
from claviger.cckm.oci.keys.work import SKEW_S, Material, Work
from claviger.cckm.oci.uploads.sources import Sources
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.versions import effects, guarded, records, rules
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.cckm.oci.versions.rules import ADD, LOCAL, Operation
from claviger.cckm.oci.versions.showing import shown
from claviger.cckm.oci.versions.wire import AddOciVersion, OciVersionRecord
from claviger.cckm.planning.draft import foresee
from claviger.core.errors import NotFound, Refusal
from claviger.core.ids import new_uuid
from claviger.store.contract import Store, Tx

FILTERS: Mapping[str, Callable[[VersionRow], object]] = {
    "id": lambda row: row.id,
    "version_id": lambda row: row.ocid,
    "origin": lambda row: row.origin,
    "is_primary": lambda row: row.said.is_primary,
}
SORTS: Mapping[str, Callable[[VersionRow], Any]] = {
    "time_created": lambda row: (row.oci_created_at, row.num),
    "createdAt": lambda row: (row.created_at, row.num),
    "updatedAt": lambda row: (row.updated_at, row.num),
    "lifecycle_state": lambda row: row.state,
    "version_id": lambda row: row.ocid,
    "origin": lambda row: row.origin,
    "key_id": lambda row: row.key_num,
}
NEWEST_FIRST = "-time_created"
_TRIES = 3
Check = Callable[[Tx, KeyRow], None]


class OciVersions:
    """All that changes versions, and what shows them. `books` is the store for what no record tells of."""

    def __init__(
        self, store: Store, keys: OciKeys, durable: Durable, looking: Looking, sources: Sources, books: Store
    ) -> None:
        self._store = store
        self._keys = keys
        self._durable = durable
        self._looking = looking
        self._sources = sources
        self._books = books

    # ------------------------------------------------------------------ reading

    async def page(self, key: KeyView, query: Query) -> Page:
        """One page of a key's versions. Raises Invalid."""
        return page_of(
            await records.of_key(self._store, key.row.num),
            query,
            filters=FILTERS,
            sorts=SORTS,
            default_sort=NEWEST_FIRST,
            shown=lambda row: shown(key, row),
        )

    async def found(self, key: KeyView, ident: str) -> VersionRow:
        """A version of a key. Raises NotFound."""
        row = await records.by_id(self._store, key.row.num, ident)
        if row is None:
            raise missing()
        return row

    async def shown(self, key: KeyView, ident: str) -> OciVersionRecord:
        """A record as it is answered. Raises NotFound."""
        return shown(key, await self.found(key, ident))

    # ------------------------------------------------------------------ changing

    async def add(
        self, caller: Caller, key: KeyView, vault: OciVault, asked: AddOciVersion, *, handles_all: bool
    ) -> str:
        """Gives a key a new version, of OCI's material or of a local key's; the id of its record.

        `handles_all`: the caller may use local keys that others have made. Raises Invalid, NotFound for a local key,
        Conflict("WrongState") unless the key is ENABLED, and what `Durable.run` does.
        """
        source = None
        if not asked.is_native:
            wanted = "" if asked.source_key_identifier is UNSET else asked.source_key_identifier
            tier = "" if asked.source_key_tier is UNSET else asked.source_key_tier
            needed = None if wanted else "is required unless is_native is true"
            refuse({"source_key_identifier": needed, "source_key_tier": rules.tier_problem(tier)})
            source = await self._sources.usable(caller, wanted, handles_all=handles_all)
        return await self.rotate(key.row, vault, caller.user_id, source, new_uuid())

    async def rotate(
        self,
        key: KeyRow,
        vault: OciVault,
        user_id: str,
        source: LocalMaterial | None,
        version_id: str,
        check: Check | None = None,
    ) -> str:
        """The same for a local key that was found; without one the material is OCI's own.

        `version_id` is what the record is to be called, `check` may refuse within the change that decides. Raises as
        `add` does.
        """
        row = await self._keys.current(key, vault)
        decide_on_key(OnKey.ADD_VERSION, row.state)
        material = Material()
        if source is not None:
            refuse(_mismatch(source, row))
            material = await self._sources.wrapped(vault, source)

        def decided(tx: Tx) -> Work:
            current, place = _loaded(tx, key.id), _vault_now(tx, vault)
            if check is not None:
                check(tx, current)
            decide_on_key(OnKey.ADD_VERSION, current.state)
            known = [each.ocid for each in records.load_of_key(tx, current.num) if self._is_young(each)]
            work = _work_on(ADD, current, place, user_id, version_id, known_ocids=tuple(known))
            if source is not None:
                refuse(_mismatch(source, current))
                work = msgspec.structs.replace(
                    work, source_key_id=source.id, source_key_name=source.name, source_key_tier=LOCAL
                )
                telling(source_key_id=source.id, source_key_name=source.name)
            foresee(lambda: effects.added(current, place, work))
            return work

        return await self._durable.run(vault, key.name, decided, material)

    async def schedule_deletion(
        self,
        caller: Caller,
        key: KeyView,
        vault: OciVault,
        ident: str,
        asked: ScheduleDeletion,
        guard: Guard | None = None,
    ) -> str:
        """Has OCI delete a version in some days, but never the current one (§6.4); the id of its record.

        Raises NotFound, Invalid, Conflict("WrongState"), Wanted where more people have to agree, and what
        `Durable.run` does.
        """
        days = days_of(asked)
        at = deletion_at(days, self._now())
        return await self._change(
            Operation.SCHEDULE_DELETION, caller, key, vault, ident, guard, days=days, deletes_at=at
        )

    async def cancel_deletion(self, caller: Caller, key: KeyView, vault: OciVault, ident: str) -> str:
        """Has OCI keep a version; the id of its record. Raises as `schedule_deletion` does."""
        return await self._change(Operation.CANCEL_DELETION, caller, key, vault, ident, None)

    # ------------------------------------------------------------------ inside

    async def _change(
        self,
        operation: Operation,
        caller: Caller,
        key: KeyView,
        vault: OciVault,
        ident: str,
        guard: Guard | None,
        **more: Any,
    ) -> str:
        row = await self._settled(key.row, await self.found(key, ident), vault)
        of_key = await self._keys.current(key.row, vault)
        _decide(operation, of_key, row)

        def decided(tx: Tx) -> Work:
            current, version, place = _loaded(tx, key.row.id), _version(tx, ident), _vault_now(tx, vault)
            _decide(operation, current, version)
            told = {"deletes_at": version.deletes_at, **more}
            work = _work_on(operation.value, current, place, caller.user_id, ident, version_ocid=version.ocid, **told)
            guarded.require(tx, guard, operation, current, version, place, work)
            foresee(lambda: effects.of(operation, current, version, place, work))
            return work

        return await self._durable.run(vault, key.row.name, decided)

    async def _settled(self, key: KeyRow, row: VersionRow, vault: OciVault) -> VersionRow:
        """The row, looked at in OCI first where it stands in a state that passes."""
        for _ in range(_TRIES):  # who looks in the background may have it in hand, and then nothing is stored here
            state = state_of(row.state)
            if state is None or state in SETTLED:
                return row
            try:
                await self._looking.look_at_version(self._books, vault, key, row)
            except Refusal:  # then what is recorded has to do
                return row
            row = await records.by_id(self._store, key.num, row.id) or row
        return row

    def _is_young(self, row: VersionRow) -> bool:
        """Whether somebody who looks for what this operation has made might take it for that."""
        return row.oci_created_at >= self._now() - 2 * SKEW_S

    def _now(self) -> float:
        return self._durable.ground.clock.now()


def _decide(operation: Operation, key: KeyRow, row: VersionRow) -> None:
    if operation is Operation.SCHEDULE_DELETION:
        rules.check_not_current(row.ocid, key.current_version_ocid)
    rules.decide(operation, row.state, key.state)


def _mismatch(source: LocalMaterial, key: KeyRow) -> dict[str, str | None]:
    problem = rules.match_problem(source.algorithm, source.length, key.algorithm, key.length)
    return {"source_key_identifier": problem}


def _loaded(tx: Tx, ident: str) -> KeyRow:
    row = keys.load(tx, ident)
    if row is None:
        raise NotFound("NotFound", message="there is no such key")
    return row


def _version(tx: Tx, ident: str) -> VersionRow:
    row = records.load(tx, ident)
    if row is None:
        raise missing()
    return row


def _vault_now(tx: Tx, vault: OciVault) -> OciVault:
    return vaults.load(tx, vault.domain_id, vault.id) or vault


def _work_on(operation: str, row: KeyRow, vault: OciVault, user_id: str, version_id: str, **more: Any) -> Work:
    return Work(
        operation=operation,
        vault_id=vault.id,
        domain_id=vault.domain_id,
        user_id=user_id,
        name=row.name,
        key_id=row.id,
        ocid=row.ocid,
        version_id=version_id,
        **more,
    )


def missing() -> NotFound:
    """The refusal for a version that is not there."""
    return NotFound("NotFound", message="there is no such key version")
