"""Whom a program signs in as where it has no credentials: the demo's application in Azure, its user in OCI."""

from __future__ import annotations

import msgspec

from claviger.audit.trail import about, also_about, withhold
from claviger.bootstrap import House
from claviger.keyvault.directory import demo as azure
from claviger.keyvault.directory.demo import DemoAccess
from claviger.ocikms.identity import demo as oci
from claviger.ocikms.identity.demo import Signer


class Demos(msgspec.Struct, frozen=True):
    """Each is None where the demo was never made, or is gone."""

    azure: DemoAccess | None = None
    oci: Signer | None = None

    def __bool__(self) -> bool:
        return self.azure is not None or self.oci is not None


async def load_demos(house: House, *, wants_azure: bool = True, wants_oci: bool = True) -> Demos:
    """Those that are wanted and there, told to the audit log. Raises Damaged where what is kept does not open."""
    found = Demos(
        await azure.load_demo(house.store, house.notes) if wants_azure else None,
        await oci.load_demo(house.store, house.notes) if wants_oci else None,
    )
    if not found:
        withhold()
    if found.azure is not None:
        about("application", found.azure.client_id)
    if found.oci is not None:
        tell = also_about if found.azure is not None else about
        tell("user", found.oci.user_id, container=found.oci.tenancy_id)
    return found
