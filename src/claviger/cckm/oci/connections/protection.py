"""What says where a connection to OCI leads; see `connections.protection`."""

from __future__ import annotations

from claviger.cckm.approvals.guarding import Guard
from claviger.cckm.connections import protection
from claviger.cckm.oci.connections.rules import OciConnection, OciDetails
from claviger.store.contract import Tx

KIND = "oci-connection"
_LEADS = ("tenancy_ocid", "realm_domain", "server_certificate")


def require(tx: Tx, guard: Guard | None, before: OciConnection, after: OciDetails) -> None:
    """Within the change of a connection: raises Wanted where it leads elsewhere and more people have to agree."""
    protection.require(tx, guard, KIND, before, after, _LEADS)
