"""The operations on secrets that leave their contents alone (OCI contract §10); those that do not are `uploads.py`."""

from __future__ import annotations

import msgspec

from claviger.audit.trail import telling
from claviger.core.errors import Conflict, NotFound
from claviger.ocikms import states
from claviger.ocikms.calls import Answer, Call, Verb
from claviger.ocikms.listing import listed, page_of
from claviger.ocikms.placing import check_place
from claviger.ocikms.secrets import records, rules, wire
from claviger.ocikms.secrets.changes import Empty, changed, deletion_at, visible
from claviger.ocikms.secrets.records import Secret, Wanted
from claviger.ocikms.secrets.rules import Operation
from claviger.ocikms.secrets.shown import answered, shown_listed
from claviger.ocikms.texts import read_body
from claviger.store.contract import Store, Tx


class Secrets:
    """The operations. `settle_s` is how long a transitional state is shown."""

    def __init__(self, store: Store, *, settle_s: float = 0.0) -> None:
        self._store = store
        self._settle_s = settle_s

    async def get(self, call: Call) -> Answer:
        """GetSecret. Raises NotFound."""
        return answered(call, await visible(self._store, call, Verb.READ))

    async def list(self, call: Call) -> Answer:
        """ListSecrets: what lies directly in the compartment, deleted ones too. Raises NotFound, Invalid."""
        compartment_id = call.required("compartmentId")
        page = page_of(call, rules.LIST_ORDERS)
        state = call.chosen("lifecycleState", rules.LISTED_STATES, "")
        if not call.sight.may(Verb.INSPECT, compartment_id):
            raise NotFound("Absent")
        wanted = Wanted(
            tenancy_num=call.caller.tenancy_num,
            region=call.place.region,
            compartment_id=compartment_id,
            vault_id=call.query.get("vaultId") or None,
            name=call.query.get("name") or None,
            state=state or None,
        )
        found = await records.page(self._store, wanted, page, call.now)
        return listed(
            page,
            found,
            lambda secret: (secret.created_at if page.by == "TIMECREATED" else secret.name, secret.num),
            lambda secret: shown_listed(call, secret),
        )

    async def cancel_rotation(self, call: Call) -> Answer:
        """CancelSecretRotation: none is ever under way. Raises NotFound, Conflict."""
        read_body(call.body, Empty)

        def act(tx: Tx, secret: Secret) -> Secret:
            raise Conflict("WrongState", message=f"Secret {secret.id} has no rotation in progress.")

        return await self._store.write(changed(act, call, Operation.CANCEL_ROTATION, Verb.MANAGE))

    async def move(self, call: Call) -> Answer:
        """ChangeSecretCompartment. Raises NotFound, Conflict, Invalid."""
        body = read_body(call.body, wire.ChangeCompartmentDetails)
        passing, until = rules.passing(rules.UPDATING, call.now, self._settle_s)

        def act(tx: Tx, secret: Secret) -> Secret:
            check_place(tx, call, body.compartment_id)
            telling(from_compartment=secret.compartment_id, to_compartment=body.compartment_id)
            return msgspec.structs.replace(
                secret, compartment_id=body.compartment_id, passing=passing, passing_until=until
            )

        return await self._store.write(changed(act, call, Operation.MOVE, Verb.MANAGE))

    async def schedule_deletion(self, call: Call) -> Answer:
        """ScheduleSecretDeletion, 1 to 30 days from now. Raises NotFound, Conflict, Invalid."""
        body = read_body(call.body, wire.ScheduleDeletionDetails)
        passing, until = rules.passing(rules.SCHEDULING_DELETION, call.now, self._settle_s)

        def act(tx: Tx, secret: Secret) -> Secret:
            deletes_at = deletion_at(body, call.now)
            return msgspec.structs.replace(
                secret, state=states.PENDING_DELETION, deletes_at=deletes_at, passing=passing, passing_until=until
            )

        return await self._store.write(changed(act, call, Operation.SCHEDULE, Verb.MANAGE))

    async def cancel_deletion(self, call: Call) -> Answer:
        """CancelSecretDeletion. Raises NotFound, Conflict."""
        read_body(call.body, Empty)
        passing, until = rules.passing(rules.CANCELLING_DELETION, call.now, self._settle_s)

        def act(tx: Tx, secret: Secret) -> Secret:
            return msgspec.structs.replace(
                secret, state=rules.ACTIVE, deletes_at=None, passing=passing, passing_until=until
            )

        return await self._store.write(changed(act, call, Operation.CANCEL, Verb.MANAGE))
