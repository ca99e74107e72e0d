"""A domain with a protected vault and secrets in every state, in the process, for tests of plans and approvals."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from claviger.cckm.assembly import Choices, Ground, Plane
from claviger.cckm.azure.secrets import records as secrets
from claviger.cckm.azure.secrets.conclusions import BACKUP
from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.azure.vaults import records as vaults
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.calls import CCKM_ADMINS, ROOT_DOMAIN, Route
from claviger.core.sensitive import Sensitive
from claviger.store.contract import Store
from tests.arm import SUBSCRIPTION, TENANT, Arm
from tests.control import Control, ControlClient, open_control, spare
from tests.many_secrets import draw_row

CONNECTIONS = "/connectionmgmt/services/azure/connections"
VAULTS = "/cckm/azure/vaults"
SECRETS = "/cckm/azure/secrets"
APPROVALS = "/claviger/approvals"


@dataclass
class Office:
    """A control plane whose cloud is `arm`, with `ada` and `bob`, CCKM Admins both, and vaults under management."""

    control: Control
    admin: ControlClient
    ada: ControlClient
    bob: ControlClient
    arm: Arm
    chance: random.Random = field(default_factory=lambda: random.Random(5))

    @property
    def store(self) -> Store:
        """The database."""
        return self.control.store

    async def person(self, *groups: str) -> ControlClient:
        """Another user in these groups, signed in."""
        return await self.control.user(self.admin, *groups)

    async def vault(self, **set_on: Any) -> Any:
        """A new vault under management; its record. `set_on` is how it is protected."""
        name = spare("vault")
        entry = {"azure_vault_id": self.arm.add(name), "properties": {"tenantId": TENANT}}
        body = {"connection": "azure", "subscription_id": SUBSCRIPTION, "vaults": [entry]}
        made = (await self.admin.accept("POST", "/cckm/azure/add-vaults", body))["vaults"][0]
        return await self.protect(made, **set_on) if set_on else made

    async def protect(self, vault: Any, who: ControlClient | None = None, **set_on: Any) -> Any:
        """Changes how a vault is protected; its record."""
        body = {"connection": "azure", **set_on}
        return await (who or self.admin).accept("PATCH", f"{VAULTS}/{vault['id']}", body)

    async def row_of(self, vault: Any) -> VaultRow:
        """A vault as it is stored."""
        row = await vaults.by_id(self.store, ROOT_DOMAIN, vault["id"])
        assert row is not None
        return row

    async def secret(self, vault: Any, status: Status = Status.DELETED, *, backup: bool = True) -> SecretRow:
        """A secret in this state, as an operation would have left it."""
        drawn = draw_row(self.chance, [await self.row_of(vault)])
        row = msgspec.structs.replace(
            drawn,
            name=spare("secret"),
            status=status,
            soft_deleted=status is Status.SOFT_DELETED,
            gone=False,
            backup=f"{self.chance.getrandbits(256):064x}" if backup else None,
            backup_at=self.control.clock.now() if backup else None,
        )
        sealed = [] if row.backup is None else [(BACKUP, row.backup, Sensitive("a backup"))]
        return await self.control.safe.write(sealed, lambda tx: secrets.add(tx, ROOT_DOMAIN, row))

    async def touch(self, row: SecretRow) -> None:
        """Changes a secret's record, as an operation or a synchronisation does."""
        changed = msgspec.structs.replace(row, updated_at=row.updated_at + 1)
        await self.store.write(lambda tx: secrets.change(tx, changed))

    async def permit(self, vault: Any, user_id: str, *actions: str, permit: bool = True) -> None:
        """Gives somebody rights in a vault, or takes them."""
        entry = {"user_id": user_id, "actions": list(actions), "permit": permit}
        await self.admin.accept("POST", f"{VAULTS}/{vault['id']}/update-acls", {"acls": [entry]})

    async def is_there(self, row: SecretRow) -> bool:
        """Whether CCKM still has a secret, with its backup."""
        kept = row.backup is None or await self.control.safe.open(BACKUP, row.backup) is not None
        found = await secrets.by_id(self.store, ROOT_DOMAIN, row.id) is not None
        assert kept is found
        return found

    async def requests(self, who: ControlClient | None = None, **query: Any) -> list[Any]:
        """The requests for approval that somebody sees."""
        return list((await (who or self.admin).accept("GET", APPROVALS, limit=-1, **query))["resources"])


async def user_id_of(who: ControlClient) -> str:
    """The id by which ACLs and groups name somebody."""
    return str((await who.accept("GET", "/auth/self/user"))["user_id"])


def as_body(arm: Arm, name: str = "azure") -> dict[str, Any]:
    """What a connection to the cloud is made of."""
    return {
        "name": name,
        "client_id": "8d1a2b3c-0000-4000-8000-000000000001",
        "tenant_id": TENANT,
        "client_secret": "a secret",
        "active_directory_endpoint": arm.url,
        "resource_manager_url": arm.url,
        "management_url": arm.url,
        "azure_stack_server_cert": arm.authority,
    }


@asynccontextmanager
async def open_office(url: str, arm: Arm) -> AsyncIterator[Office]:
    """An office on an empty database."""
    planes: list[Plane] = []

    def others(control: Control) -> list[Route]:
        ground = Ground(control.store, control.keyring, control.notes, control.clock, control.clock)
        plane = Plane(ground, Choices("0"), lambda name, status: None)
        planes.append(plane)
        own = {(route.method, route.path) for route in control.parts.routes}
        return [route for route in plane.routing.routes if (route.method, route.path) not in own]

    async with open_control(url, more=others) as control:
        admin = await control.signed_in()
        await admin.accept("POST", CONNECTIONS, as_body(arm))
        ada = await control.user(admin, CCKM_ADMINS)
        bob = await control.user(admin, CCKM_ADMINS)
        yield Office(control, admin, ada, bob, arm)
        for plane in planes:
            plane.access.passwords.close()
            await plane.stop()


async def dump(store: Store) -> dict[str, list[Any]]:
    """Every row of every table."""
    tables = (
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        if store.kind == "sqlite"
        else "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
    )
    names = sorted(row[0] for row in await store.read(tables))
    return {name: sorted(map(repr, await store.read(f'SELECT * FROM "{name}"'))) for name in names}
