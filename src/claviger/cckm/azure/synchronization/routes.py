"""Where the synchronisation jobs of secrets are, and what is asked of them (CCKM contract, Azure §6)."""

from __future__ import annotations

from claviger.cckm.azure.synchronization.wire import StartSynchronization, SynchronizationShown
from claviger.cckm.calls import in_container
from claviger.cckm.synchronization.routes import Named, Places
from claviger.cckm.synchronization.runner import Request


def _asked(body: StartSynchronization) -> Named:
    return body.key_vaults, Request(body.synchronize_all, body.override_brake, body.all_versions)


PLACES = Places(
    path="/cckm/azure/secrets/synchronization-jobs",
    tag="Azure secrets",
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
