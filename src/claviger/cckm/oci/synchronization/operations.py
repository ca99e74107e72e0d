"""What synchronisation jobs of OCI's keys have of their own: vaults whose names do not tell them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from claviger.cckm.oci.synchronization.records import VAULTS
from claviger.cckm.oci.synchronization.showing import shown
from claviger.cckm.oci.synchronization.visiting import KIND
from claviger.cckm.oci.synchronization.wire import OciSynchronizationShown
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.synchronization.operations import Own


def _told(chosen: Sequence[OciVault]) -> list[tuple[str, str]]:
    """Several vaults may have the same name, and then the id is added."""
    count = Counter(row.name for row in chosen)
    return [(row.id, row.name if count[row.name] == 1 else f"{row.name} ({row.id})") for row in chosen]


OWN: Own[OciVault, OciSynchronizationShown] = Own(
    kind=KIND,
    vaults=VAULTS,
    field="vaults",
    noun="vault",
    all_of=vaults.all_of,
    find=vaults.find,
    told=_told,
    shows=shown,
)
