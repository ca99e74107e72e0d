"""The demo that a new installation starts with: a tenant, a vault, an application and a managed identity.

The application also has Contributor on the default subscription, so that management clients work at once. Made once, in
one change; whoever deletes a part of it does not find it back. Its credentials are sealed notes, because
`claviger env` shows them more than once.
"""

from __future__ import annotations

import msgspec

from claviger.audit.trail import withhold
from claviger.core.clock import Clock
from claviger.core.ids import new_token, new_uuid
from claviger.core.sensitive import Sensitive
from claviger.keyvault.directory import records
from claviger.keyvault.directory.issuer import DEFAULT_IDENTITY
from claviger.keyvault.directory.operations import add_application, fingerprint, put_tenant
from claviger.keyvault.directory.records import Application, Kind, Tenant
from claviger.keyvault.vaults.operations import (
    NewVault,
    Place,
    add_assignment,
    add_vault,
    checked_vault,
    scope_at,
    scope_of,
)
from claviger.keyvault.vaults.records import RoleAssignment
from claviger.keyvault.vaults.rules import find_role
from claviger.sealing.notes import SealedNotes
from claviger.store.contract import Store, Tx

VAULT = "demo"
APPLICATION = "demo"
IDENTITY = DEFAULT_IDENTITY
TENANT_NAME = "Demo"
TENANT_DOMAIN = "demo.localhost"
ROLE = "Key Vault Administrator"
MANAGING_ROLE = "Contributor"

_SEEDED = "demo_seeded"
_CLIENT_SECRET = "demo-client-secret"  # noqa: S105 - the name of a note
_IDENTITY_HEADER = "demo-identity-header"


class DemoAccess(msgspec.Struct, frozen=True):
    """What a program needs to use the demo vault as the demo application, or as the demo managed identity."""

    vault: str
    tenant_id: str
    client_id: str
    client_secret: Sensitive
    identity_client_id: str | None
    identity_header: Sensitive | None


async def seed_demo(store: Store, notes: SealedNotes, clock: Clock) -> bool:
    """Makes the demo, unless it has ever been made before or there is a directory already; whether it did."""
    if await records.read_meta(store, _SEEDED) is not None:
        return False
    client_secret = await notes.ensure(_CLIENT_SECRET, lambda: Sensitive(new_token()))
    identity_header = await notes.ensure(_IDENTITY_HEADER, lambda: Sensitive(new_token()))
    now = int(clock.now())
    tenant = Tenant(new_uuid(), TENANT_NAME, TENANT_DOMAIN, now)
    draft = checked_vault(NewVault(name=VAULT), now)
    program = _application(tenant, APPLICATION, "application", now)
    identity = _application(tenant, IDENTITY, "managed-identity", now)
    assignment_ids = (new_uuid(), new_uuid(), new_uuid())

    def change(tx: Tx) -> bool:
        withhold()  # unless there is something to make
        if records.meta(tx, _SEEDED) is not None:
            return False
        records.set_meta(tx, _SEEDED, str(now))
        if records.tenants(tx):
            return False
        withhold(False)
        put_tenant(tx, tenant)
        vault = add_vault(tx, draft, tenant.id)
        add_application(tx, program, client_secret)
        add_application(tx, identity, identity_header)
        here, everywhere = scope_of(vault, None), scope_at(tx, Place(subscription_id=vault.subscription_id))
        for assignment_id, scope, role, who in zip(
            assignment_ids,
            (here, here, everywhere),
            (ROLE, ROLE, MANAGING_ROLE),
            (program, identity, program),
            strict=True,
        ):
            add_assignment(tx, _assignment(assignment_id, scope, role, who, now))
        return True

    return await store.write(change)


async def load_demo(store: Store, notes: SealedNotes) -> DemoAccess | None:
    """The demo's credentials, as far as they are still good; None where the demo application is gone.

    Raises Damaged where a note does not open.
    """
    client_secret = await notes.get(_CLIENT_SECRET)
    program = None if client_secret is None else await _owner(store, client_secret)
    if client_secret is None or program is None:
        return None
    header = await notes.get(_IDENTITY_HEADER)
    identity = None if header is None else await _owner(store, header)
    return DemoAccess(
        vault=VAULT,
        tenant_id=program.tenant_id,
        client_id=program.app_id,
        client_secret=client_secret,
        identity_client_id=identity.app_id if identity else None,
        identity_header=header if identity else None,
    )


async def _owner(store: Store, credential: Sensitive) -> Application | None:
    return await records.application_by_credential(store, fingerprint(credential))


def _application(tenant: Tenant, name: str, kind: Kind, now: int) -> Application:
    return Application(0, tenant.id, new_uuid(), new_uuid(), name, kind, now)


def _assignment(assignment_id: str, scope: str, role: str, who: Application, now: int) -> RoleAssignment:
    return RoleAssignment(
        id=assignment_id, scope=scope, role_id=find_role(role).id, principal_id=who.object_id, created_at=now
    )
