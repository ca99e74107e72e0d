"""The endpoints of synchronisation jobs for OCI's keys (CCKM contract, OCI §7)."""

from __future__ import annotations

from claviger.cckm.calls import Route, in_container
from claviger.cckm.oci.synchronization.operations import OWN
from claviger.cckm.oci.synchronization.wire import OciSynchronizationShown, StartOciSynchronization
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.vaults.rules import VIEW
from claviger.cckm.synchronization.operations import Jobs
from claviger.cckm.synchronization.routes import JobRoutes, Named, Places
from claviger.cckm.synchronization.runner import Request


def _asked(body: StartOciSynchronization) -> Named:
    return body.vaults, Request(body.synchronize_all, body.override_brake)


_PLACES = Places(
    path="/cckm/oci/synchronization-jobs",
    tag="OCI synchronization",
    field=OWN.field,
    view=in_container(VIEW, VIEW),
    synchronize=in_container("keysynchronize", VIEW),
    description=(
        "Reads whole vaults in OCI, in every compartment that can be listed, and brings the records of keys and "
        "versions to what is there. Nothing in OCI is changed. A vault that cannot be read wholly leaves its records "
        "as they are."
    ),
    example={"vaults": ["production"]},
    takes=StartOciSynchronization,
    gives=OciSynchronizationShown,
    asked=_asked,
)


class OciSynchronizationRoutes:
    """Routes of jobs."""

    def __init__(self, jobs: Jobs[OciVault, OciSynchronizationShown]) -> None:
        self._routes = JobRoutes(jobs, _PLACES)

    def routes(self) -> list[Route]:
        """All of them."""
        return self._routes.table()
