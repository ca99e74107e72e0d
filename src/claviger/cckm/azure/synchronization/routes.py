"""The endpoints of synchronisation jobs for secrets (CCKM contract, Azure §6)."""

from __future__ import annotations

from claviger.cckm.azure.synchronization.operations import OWN
from claviger.cckm.azure.synchronization.wire import StartSynchronization, SynchronizationShown
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.calls import Route, in_container
from claviger.cckm.synchronization.operations import Jobs
from claviger.cckm.synchronization.routes import JobRoutes, Named, Places
from claviger.cckm.synchronization.runner import Request


def _asked(body: StartSynchronization) -> Named:
    return body.key_vaults, Request(body.synchronize_all, body.override_brake, body.all_versions)


_PLACES = Places(
    path="/cckm/azure/secrets/synchronization-jobs",
    tag="Azure secrets",
    field=OWN.field,
    view=in_container("secretview"),
    synchronize=in_container("secretsynchronize"),
    description=(
        "Reads whole vaults in Azure, never a value, and brings the records to what is there. Nothing in Azure is "
        "changed. A vault that cannot be read wholly leaves its records as they are."
    ),
    example={"key_vaults": ["demo"]},
    takes=StartSynchronization,
    gives=SynchronizationShown,
    asked=_asked,
)


class SynchronizationRoutes:
    """Routes of jobs."""

    def __init__(self, jobs: Jobs[VaultRow, SynchronizationShown]) -> None:
        self._routes = JobRoutes(jobs, _PLACES)

    def routes(self) -> list[Route]:
        """All of them."""
        return self._routes.table()
