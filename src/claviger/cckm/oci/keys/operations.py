"""What operators do to keys: decide on the record, commit the intent, have it done, show the record.

Every changing operation goes through `running.Durable`. A record in a state that passes is looked at first, so that
what follows upon something else need not wait for the background.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from claviger.audit.trail import about
from claviger.cckm.approvals.guarding import Guard
from claviger.cckm.calls import Caller, Query
from claviger.cckm.listing import Page
from claviger.cckm.oci.compartments.naming import names_of
from claviger.cckm.oci.keys import effects, guarded, records, requests
from claviger.cckm.oci.keys.listing import KeyLists
from claviger.cckm.oci.keys.looking import Looking
from claviger.cckm.oci.keys.rows import KeyRow, KeyView
from claviger.cckm.oci.keys.rules import SETTLED, Operation, State, decide, deletion_at, state_of
from claviger.cckm.oci.keys.running import Durable, keys_of, subject_of
from claviger.cckm.oci.keys.showing import KIND, shown
from claviger.cckm.oci.keys.wire import ChangeCompartment, CreateOciKey, OciKeyRecord, ScheduleDeletion, UpdateOciKey
from claviger.cckm.oci.keys.work import KIND as KINDS
from claviger.cckm.oci.keys.work import Work
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.planning.draft import Effect, foresee
from claviger.core.errors import Conflict, Invalid, NotFound, Refusal
from claviger.core.ids import new_uuid
from claviger.jobs.intents import Intents
from claviger.store.contract import Store, Tx

_TRIES = 3
Asked = Callable[[KeyRow, OciVault], Work]


class OciKeys:
    """All that changes keys, and what shows them. `books` is the store for what no record tells of."""

    def __init__(self, store: Store, durable: Durable, looking: Looking, books: Store) -> None:
        self._store = store
        self._lists = KeyLists(store)
        self._durable = durable
        self._looking = looking
        self._books = books

    # ------------------------------------------------------------------ reading

    async def found(self, domain_id: str, ident: str) -> tuple[KeyView, OciVault]:
        """A key of the domain, with its vault. Raises NotFound."""
        view = await records.view(self._store, domain_id, ident)
        vault = None if view is None else await vaults.by_num(self._store, domain_id, view.row.vault_num)
        if view is None or vault is None:
            raise missing()
        return view, vault

    async def vault(self, domain_id: str, word: str) -> OciVault:
        """A vault of the domain, by id, OCID or name. Raises NotFound; Invalid where a name stands for several."""
        found = await vaults.find(self._store, domain_id, word)
        if found is None:
            raise NotFound("NotFound", message="there is no such vault under management")
        return found

    async def page(self, domain_id: str, query: Query, containers: frozenset[str] | None) -> Page:
        """One page of the domain's keys. Raises Invalid."""
        return await self._lists.page(domain_id, query, containers)

    async def shown(self, domain_id: str, ident: str) -> OciKeyRecord:
        """A record as it is answered. Raises NotFound."""
        view = await records.view(self._store, domain_id, ident)
        if view is None:
            raise missing()
        return shown(view)

    async def refresh(self, domain_id: str, ident: str) -> None:
        """Reads a key and all its versions from OCI into the records.

        Raises NotFound, Conflict("RecordChanged") where operations change it all the while, the cloud's refusals.
        """
        for _ in range(_TRIES):
            view, vault = await self.found(domain_id, ident)
            row = await self._looking.look(
                self._store, vault, view.row, everything=True, effect=_refreshed(view.row, vault)
            )
            if row is not None:
                return
        raise Conflict("RecordChanged", message="the key is being changed; try again")

    # ------------------------------------------------------------------ changing

    async def create(self, caller: Caller, vault: OciVault, asked: CreateOciKey) -> str:
        """Makes a key in OCI; the record's id. Raises Invalid, and what `Durable.run` does."""
        requests.check_new(asked)
        work = requests.new(asked, vault, caller.user_id, new_uuid())
        named = await self.compartment_name(vault, asked.compartment_id)

        def decided(tx: Tx) -> Work:
            known = records.ocids_of_name(tx, vault.num, work.name)
            final = msgspec.structs.replace(work, known_ocids=known, compartment_name=named)
            foresee(lambda: effects.created(vault, final))
            return final

        return await self._durable.run(vault, work.name, decided)

    async def update(self, caller: Caller, view: KeyView, vault: OciVault, asked: UpdateOciKey) -> str:
        """Changes name or tags; a call that gives nothing changes nothing. Raises as `act`, and Invalid."""
        requests.check_update(asked)
        if asked == UpdateOciKey():
            return view.row.id
        return await self._run(
            Operation.UPDATE, view, vault, lambda row, vault: requests.update(row, vault, caller.user_id, asked)
        )

    async def act(
        self, operation: Operation, caller: Caller, view: KeyView, vault: OciVault, guard: Guard | None = None
    ) -> str:
        """enable, disable, cancel-deletion, restore, delete-backup; the record's id.

        Raises Conflict("WrongState") or Invalid("StateForbids") by the state at the moment of the intent,
        Invalid("NoBackup"), Wanted where more people have to agree, and what `Durable.run` does.
        """

        def work(row: KeyRow, vault: OciVault) -> Work:
            backup = ""
            if operation in (Operation.RESTORE, Operation.DELETE_BACKUP):
                if row.backup is None:
                    raise Invalid("NoBackup", message="CCKM holds no backup of this key")
                backup = row.backup
            return requests.work_on(operation, row, vault, caller.user_id, backup=backup, deletes_at=row.deletes_at)

        return await self._run(operation, view, vault, work, guard)

    async def schedule_deletion(
        self, caller: Caller, view: KeyView, vault: OciVault, asked: ScheduleDeletion, guard: Guard | None = None
    ) -> str:
        """Has OCI delete a key in some days, after a backup where one can be taken (§5.8). Raises as `act`."""
        days = requests.days_of(asked)
        at = deletion_at(days, self._durable.ground.clock.now())

        def work(row: KeyRow, vault: OciVault) -> Work:
            place = requests.backup_place(row, vault)
            return requests.work_on(
                Operation.SCHEDULE_DELETION, row, vault, caller.user_id, days=days, deletes_at=at, backup=place
            )

        return await self._run(Operation.SCHEDULE_DELETION, view, vault, work, guard)

    async def change_compartment(self, caller: Caller, view: KeyView, vault: OciVault, asked: ChangeCompartment) -> str:
        """Moves a key to another compartment (§5.9). Raises as `act`, and Invalid."""
        ocid = asked.compartment_id
        requests.check_target(ocid, view.row)
        named = await self.compartment_name(vault, ocid)

        def work(row: KeyRow, vault: OciVault) -> Work:
            return requests.work_on(
                Operation.CHANGE_COMPARTMENT,
                row,
                vault,
                caller.user_id,
                compartment_ocid=ocid,
                compartment_name=named,
                before={"compartment_id": row.compartment_ocid},
            )

        return await self._run(Operation.CHANGE_COMPARTMENT, view, vault, work)

    async def remove(self, caller: Caller, view: KeyView, vault: OciVault, guard: Guard | None = None) -> None:
        """Takes a key that is DELETED or gone out of CCKM, with its versions and its backup (§5.11).

        Raises Invalid("StateForbids"), Wanted where more people have to agree, and what `Durable.run` does.
        """
        if view.row.backup is None:
            await self._remove(caller, view, vault, guard)
            return

        def work(row: KeyRow, vault: OciVault) -> Work:
            if row.backup is None:
                raise Conflict("RecordChanged", message="the key was changed meanwhile; try again")
            return requests.work_on(Operation.REMOVE, row, vault, caller.user_id, backup=row.backup)

        await self._run(Operation.REMOVE, view, vault, work, guard)

    async def _remove(self, caller: Caller, view: KeyView, vault: OciVault, guard: Guard | None) -> None:
        ground = self._durable.ground
        row = await self.current(view.row, vault)
        decide(Operation.REMOVE, row.state, is_gone=bool(row.gone))

        def change(tx: Tx) -> None:
            current = _loaded(tx, view.row.id)
            if current.backup is not None:
                raise Conflict("RecordChanged", message="the key was changed meanwhile; try again")
            decide(Operation.REMOVE, current.state, is_gone=bool(current.gone))
            work = requests.work_on(Operation.REMOVE, current, vault, caller.user_id)
            guarded.require(tx, guard, Operation.REMOVE, current, vault, work)
            foresee(lambda: effects.of(Operation.REMOVE, current, vault, work))
            about(KIND, current.id, current.name, vault.name)
            kind, subject = KINDS + Operation.REMOVE.value, subject_of(vault.id, current.ocid)
            intent = ground.intents.begin(tx, Intents.new_id(), kind, subject, None)
            records.remove(tx, current.num)
            ground.intents.end(tx, intent)

        await ground.reach(Operation.REMOVE.value, "intended", row.name)
        await self._store.write(change)
        await ground.reach(Operation.REMOVE.value, "concluded", row.name)

    # ------------------------------------------------------------------ inside

    async def _run(
        self, operation: Operation, view: KeyView, vault: OciVault, asked: Asked, guard: Guard | None = None
    ) -> str:
        row = await self.current(view.row, vault)
        decide(operation, row.state, is_gone=bool(row.gone))

        def decided(tx: Tx) -> Work:
            current = _loaded(tx, row.id)
            decide(operation, current.state, is_gone=bool(current.gone))
            place = vaults.load(tx, vault.domain_id, vault.id) or vault
            work = asked(current, place)
            guarded.require(tx, guard, operation, current, place, work)
            foresee(lambda: effects.of(operation, current, place, work))
            return work

        return await self._durable.run(vault, row.name, decided)

    async def current(self, row: KeyRow, vault: OciVault) -> KeyRow:
        """The row, looked at in OCI first where it stands in a state that passes, or its date has come."""
        for _ in range(_TRIES):
            state = state_of(row.state)
            is_due = state is State.PENDING_DELETION and row.deletes_at is not None and row.deletes_at <= self._now()
            if not is_due and (state is None or state in SETTLED):
                return row
            try:
                seen = await self._looking.look(self._books, vault, row, tries=row.tries)
            except Refusal:  # then what is recorded has to do
                return row
            if seen is not None:
                return seen
            view = await records.view(self._books, vault.domain_id, row.id)
            if view is None:
                return row
            row = view.row  # who looks in the background has taken it up meanwhile, or stored what there is
        return row

    def _now(self) -> float:
        return self._durable.ground.clock.now()

    async def compartment_name(self, vault: OciVault, ocid: str) -> str:
        cloud = await keys_of(self._store, self._durable.ground.clouds, vault)
        return (await names_of(self._store, vault.domain_id, cloud.cloud, [ocid])).get(ocid, "")


def _loaded(tx: Tx, ident: str) -> KeyRow:
    row = records.load(tx, ident)
    if row is None:
        raise missing()
    return row


def missing() -> NotFound:
    """The refusal for a key that is not there, or not the caller's to see."""
    return NotFound("NotFound", message="there is no such key")


def _refreshed(row: KeyRow, vault: OciVault) -> Callable[[], Effect]:
    return lambda: effects.refreshed(row, vault)
