"""The tenancy that a new installation starts with: compartments, a user with an API key, and a grant on all of it.

Made once, in one change; whoever deletes a part of it does not find it back. The private half of the API key is a
sealed note, because `claviger env` shows it more than once. Its vaults and keys are made elsewhere (`ocikms.demo`).
"""

from __future__ import annotations

import asyncio

import msgspec

from claviger.audit.trail import also_about, withhold
from claviger.core.clock import Clock
from claviger.core.sensitive import Sensitive
from claviger.crypto.api_keys import new_api_key, public_half, read_public_key
from claviger.ocikms.identity import records
from claviger.ocikms.identity.administration import add_compartment, add_tenancy, checked_tenancy
from claviger.ocikms.identity.people import add_user, put_api_key, put_grant
from claviger.ocikms.ocids import new_ocid
from claviger.sealing.notes import SealedNotes
from claviger.store.contract import Store, Tx

TENANCY = "demo"
USER = "demo"
HOME_REGION = "us-ashburn-1"
OTHER_REGIONS = ("eu-frankfurt-1",)
COMPARTMENTS = ("production", "staging", "staging/team-a")
DESCRIPTION = "The demo of Claviger"

_SEEDED = "oci_demo_seeded"
_PRIVATE_KEY = "oci-demo-api-key"


class Signer(msgspec.Struct, frozen=True):
    """What a program needs to sign requests as a user. `private_key` is PEM."""

    tenancy_id: str
    user_id: str
    fingerprint: str
    region: str
    private_key: Sensitive


async def seed_demo(store: Store, notes: SealedNotes, clock: Clock) -> bool:
    """Makes the demo, unless it has ever been made before or there is a tenancy already; whether it did."""
    if await records.read_meta(store, _SEEDED) is not None:
        return False
    made_key = await asyncio.to_thread(new_api_key)
    private_key = await notes.ensure(_PRIVATE_KEY, lambda: made_key[0])
    fingerprint, public_key = read_public_key(public_half(private_key))
    now = clock.now()
    tenancy = checked_tenancy(TENANCY, HOME_REGION, now, DESCRIPTION)
    user_id = new_ocid("user")
    ocids = {path: new_ocid("compartment") for path in COMPARTMENTS}

    def change(tx: Tx) -> bool:
        withhold()  # unless there is something to make
        if records.meta(tx, _SEEDED) is not None:
            return False
        records.set_meta(tx, _SEEDED, str(int(now)))
        if records.tenancies(tx):
            return False
        withhold(False)
        stored = add_tenancy(tx, tenancy, list(OTHER_REGIONS)).tenancy
        also_about("tenancy", tenancy.id, TENANCY)
        for path, ocid in ocids.items():
            above, _, name = path.rpartition("/")
            add_compartment(tx, stored, ocids.get(above, tenancy.id), ocid, name, DESCRIPTION, now)
        person = add_user(tx, stored, user_id, USER, DESCRIPTION, now)
        also_about("user", user_id, USER, tenancy.id)
        put_api_key(tx, person.user, fingerprint, public_key, now)
        put_grant(tx, person, "manage", tenancy.id)
        return True

    return await store.write(change)


async def load_demo(store: Store, notes: SealedNotes) -> Signer | None:
    """How to sign as the demo user, as far as his key is still good; None where it is not, or was never made.

    Raises Damaged where the note does not open.
    """
    private_key = await notes.get(_PRIVATE_KEY)
    return None if private_key is None else await signer_with(store, private_key)


async def signer_with(store: Store, private_key: Sensitive) -> Signer | None:
    """The user whose API key this is; None where there is none any more."""
    fingerprint = read_public_key(public_half(private_key))[0]
    owners = {each.user_num for each in await records.all_api_keys(store) if each.fingerprint == fingerprint}
    user = next((each for each in await records.all_users(store) if each.num in owners), None)
    if user is None:
        return None
    tenancies = await records.all_tenancies(store)
    tenancy = next((each for each in tenancies if each.num == user.tenancy_num), None)
    if tenancy is None:
        return None
    return Signer(tenancy.id, user.id, fingerprint, tenancy.home_region, private_key)
