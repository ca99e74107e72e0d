"""Connections to OCI over HTTP (CCKM contract, common §7.1, §7.4)."""

from __future__ import annotations

from claviger.cckm.approvals.guarding import Guards
from claviger.cckm.calls import Route
from claviger.cckm.connections.operations import AllConnections
from claviger.cckm.connections.routes import Service, ServiceRoutes
from claviger.cckm.oci.connections.operations import OciConnections
from claviger.cckm.oci.connections.rules import OCI
from claviger.cckm.oci.connections.wire import OciConnectionIn, OciConnectionOut

_SERVICE = Service(
    service=OCI,
    cloud="OCI",
    takes=OciConnectionIn,
    gives=OciConnectionOut,
    example={
        "name": "production",
        "user_ocid": "ocid1.user.oc1..aaaa",
        "tenancy_ocid": "ocid1.tenancy.oc1..aaaa",
        "fingerprint": "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff",
        "region": "us-ashburn-1",
        "credentials": {"key_file": "$KEY_FILE"},
    },
    making="With an API key of a user. `realm_domain` and `server_certificate` lead to an OCI that is not Oracle's "
    "own, such as the one in this server.",
    leading="Where protected vaults are reached by it, another tenancy or realm needs the approval of others.",
    users="vaults, tenancies or compartments",
    testing="Asks OCI for the user of the connection.",
)


class OciConnectionRoutes:
    """Routes of connections to OCI."""

    def __init__(
        self, connections: OciConnections, all_connections: AllConnections, guards: Guards | None = None
    ) -> None:
        self._shared = ServiceRoutes(_SERVICE, connections, all_connections, guards)

    def routes(self) -> list[Route]:
        """All of them."""
        return self._shared.table()
