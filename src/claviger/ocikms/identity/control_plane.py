"""The user as whom this server's own control plane signs requests here, like any other program, over HTTPS.

Made once, in the first tenancy, with the right to manage all of it: whoever is to create, move and delete keys anywhere
needs that. Who takes the right away, or deletes the user or its API key, does not find them back.
"""

from __future__ import annotations

import asyncio

from claviger.audit.trail import about, withhold
from claviger.core.clock import Clock
from claviger.crypto.api_keys import new_api_key, public_half, read_public_key
from claviger.ocikms.identity import records
from claviger.ocikms.identity.demo import Signer, signer_with
from claviger.ocikms.identity.people import add_user, put_api_key, put_grant
from claviger.ocikms.ocids import new_ocid
from claviger.sealing.notes import SealedNotes
from claviger.store.contract import Store, Tx

NAME = "claviger-control-plane"
DESCRIPTION = "The control plane of this server"
_SEEDED = "oci_control_plane_user"
_PRIVATE_KEY = "oci-control-plane-api-key"


async def seed_control_plane(store: Store, notes: SealedNotes, clock: Clock) -> Signer | None:
    """Makes the user unless it was ever made before or there is no tenancy yet; what it signs with.

    None where there is no tenancy, or somebody deleted the user or its key.
    """
    if await records.read_meta(store, _SEEDED) is None:
        made = (await asyncio.to_thread(new_api_key))[0]
        private_key = await notes.ensure(_PRIVATE_KEY, lambda: made)
        fingerprint, public_key = read_public_key(public_half(private_key))
        user_id, now = new_ocid("user"), clock.now()

        def change(tx: Tx) -> None:
            tenancies = records.tenancies(tx)
            if not tenancies or records.meta(tx, _SEEDED) is not None:
                withhold()
                return
            records.set_meta(tx, _SEEDED, str(int(now)))
            person = add_user(tx, tenancies[0], user_id, NAME, DESCRIPTION, now)
            about("user", user_id, NAME, tenancies[0].id)
            put_api_key(tx, person.user, fingerprint, public_key, now)
            put_grant(tx, person, "manage", tenancies[0].id)

        await store.write(change)
    private = await notes.get(_PRIVATE_KEY)
    return None if private is None else await signer_with(store, private)
