"""The application as which this server's own control plane signs in here, like any other program, over HTTPS.

Made once, in the first tenant, with the rights to look after every secret of the default subscription. Who takes them
away, or deletes the application, does not find them back.
"""

from __future__ import annotations

import msgspec

from claviger.audit.trail import about, withhold
from claviger.core.clock import Clock
from claviger.core.ids import new_token, new_uuid
from claviger.core.sensitive import Sensitive
from claviger.keyvault.directory import records
from claviger.keyvault.directory.operations import add_application, fingerprint
from claviger.keyvault.directory.records import Application
from claviger.keyvault.vaults.operations import DEFAULT_SUBSCRIPTION, Place, add_assignment, scope_at
from claviger.keyvault.vaults.records import RoleAssignment
from claviger.keyvault.vaults.rules import find_role
from claviger.sealing.notes import SealedNotes
from claviger.store.contract import Store, Tx

NAME = "claviger-control-plane"
ROLES = ("Key Vault Secrets Officer", "Reader")
_SEEDED = "control_plane_application"
_SECRET = "control-plane-client-secret"  # noqa: S105 - the name of a note


class ControlPlaneAccess(msgspec.Struct, frozen=True):
    """What the control plane signs in with."""

    tenant_id: str
    client_id: str
    client_secret: Sensitive


async def seed_control_plane(store: Store, notes: SealedNotes, clock: Clock) -> ControlPlaneAccess | None:
    """Makes the application unless it was ever made before or there is no tenant yet; what it signs in with.

    None where there is no tenant, or somebody deleted the application.
    """
    secret = await notes.ensure(_SECRET, lambda: Sensitive(new_token()))
    if await records.read_meta(store, _SEEDED) is None:
        now = int(clock.now())
        ids = (new_uuid(), new_uuid(), *(new_uuid() for _ in ROLES))
        await store.write(lambda tx: _make(tx, ids, secret, now))
    found = await records.application_by_credential(store, fingerprint(secret))
    return None if found is None else ControlPlaneAccess(found.tenant_id, found.app_id, secret)


def _make(tx: Tx, ids: tuple[str, ...], secret: Sensitive, now: int) -> None:
    tenants = records.tenants(tx)
    if not tenants or records.meta(tx, _SEEDED) is not None or records.find_application(tx, NAME) is not None:
        withhold()
        return
    records.set_meta(tx, _SEEDED, str(now))
    program = Application(0, tenants[0].id, ids[0], ids[1], NAME, "application", now)
    add_application(tx, program, secret)
    about("application", program.app_id, NAME, program.tenant_id)
    scope = scope_at(tx, Place(subscription_id=DEFAULT_SUBSCRIPTION))
    for assignment_id, role in zip(ids[2:], ROLES, strict=True):
        add_assignment(
            tx,
            RoleAssignment(
                id=assignment_id,
                scope=scope,
                role_id=find_role(role).id,
                principal_id=program.object_id,
                created_at=now,
            ),
        )
