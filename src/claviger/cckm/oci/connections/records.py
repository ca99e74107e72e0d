"""Connections to OCI: stored form."""

from __future__ import annotations

from claviger.cckm.connections.records import Kind
from claviger.cckm.oci.connections.rules import OCI, OciConnection, OciDetails

KIND = Kind(OCI, OciConnection, OciDetails)
find, load, all_of, of_vault = KIND.find, KIND.load, KIND.all_of, KIND.of_vault
