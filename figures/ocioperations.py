"""The operations of OCI by name: plane, method and path, written down from the contract (§3 to §5, §9 to §11).

`Operation.target` fills in a path; `host` says where a plane is reached under its local name. No code of the product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

REGION = "us-ashburn-1"

_TABLE = """
CreateVault                    control     POST  /20180608/vaults
GetVault                       control     GET   /20180608/vaults/{}
ListVaults                     control     GET   /20180608/vaults
UpdateVault                    control     PUT   /20180608/vaults/{}
ScheduleVaultDeletion          control     POST  /20180608/vaults/{}/actions/scheduleDeletion
CancelVaultDeletion            control     POST  /20180608/vaults/{}/actions/cancelDeletion
ChangeVaultCompartment         control     POST  /20180608/vaults/{}/actions/changeCompartment
BackupVault                    control     POST  /20180608/vaults/{}/actions/backup
RestoreVaultFromFile           control     POST  /20180608/vaults/actions/restoreFromFile
RestoreVaultFromObjectStore    control     POST  /20180608/vaults/actions/restoreFromObjectStore
CreateVaultReplica             control     POST  /20180608/vaults/{}/actions/createReplica
DeleteVaultReplica             control     POST  /20180608/vaults/{}/actions/deleteReplica
ListVaultReplicas              control     GET   /20180608/vaults/{}/actions/listReplicas
GetVaultUsage                  control     GET   /20180608/vaults/{}/usage
UpdateRegisteredVaultForMtls   control     PUT   /20180608/vaults/{}/updateRegisteredVaultForMtls
CreateKey                      management  POST  /20180608/keys
ImportKey                      management  POST  /20180608/keys/import
GetKey                         management  GET   /20180608/keys/{}
ListKeys                       management  GET   /20180608/keys
UpdateKey                      management  PUT   /20180608/keys/{}
EnableKey                      management  POST  /20180608/keys/{}/actions/enable
DisableKey                     management  POST  /20180608/keys/{}/actions/disable
ScheduleKeyDeletion            management  POST  /20180608/keys/{}/actions/scheduleDeletion
CancelKeyDeletion              management  POST  /20180608/keys/{}/actions/cancelDeletion
ChangeKeyCompartment           management  POST  /20180608/keys/{}/actions/changeCompartment
BackupKey                      management  POST  /20180608/keys/{}/actions/backup
RestoreKeyFromFile             management  POST  /20180608/keys/actions/restoreFromFile
RestoreKeyFromObjectStore      management  POST  /20180608/keys/actions/restoreFromObjectStore
GetWrappingKey                 management  GET   /20180608/wrappingKeys
GetReplicationStatus           management  GET   /20180608/replicaOperations/{}/status
CreateKeyVersion               management  POST  /20180608/keys/{}/keyVersions
ImportKeyVersion               management  POST  /20180608/keys/{}/keyVersions/import
GetKeyVersion                  management  GET   /20180608/keys/{}/keyVersions/{}
ListKeyVersions                management  GET   /20180608/keys/{}/keyVersions
ScheduleKeyVersionDeletion     management  POST  /20180608/keys/{}/keyVersions/{}/actions/scheduleDeletion
CancelKeyVersionDeletion       management  POST  /20180608/keys/{}/keyVersions/{}/actions/cancelDeletion
Encrypt                        crypto      POST  /20180608/encrypt
Decrypt                        crypto      POST  /20180608/decrypt
GenerateDataEncryptionKey      crypto      POST  /20180608/generateDataEncryptionKey
Sign                           crypto      POST  /20180608/sign
Verify                         crypto      POST  /20180608/verify
ExportKey                      crypto      POST  /20180608/exportKey
CreateSecret                   secrets     POST  /20180608/secrets
ListSecrets                    secrets     GET   /20180608/secrets
GetSecret                      secrets     GET   /20180608/secrets/{}
UpdateSecret                   secrets     PUT   /20180608/secrets/{}
ScheduleSecretDeletion         secrets     POST  /20180608/secrets/{}/actions/scheduleDeletion
CancelSecretDeletion           secrets     POST  /20180608/secrets/{}/actions/cancelDeletion
ChangeSecretCompartment        secrets     POST  /20180608/secrets/{}/actions/changeCompartment
RotateSecret                   secrets     POST  /20180608/secrets/{}/actions/rotate
CancelSecretRotation           secrets     POST  /20180608/secrets/{}/actions/cancelRotation
ListSecretVersions             secrets     GET   /20180608/secrets/{}/versions
GetSecretVersion               secrets     GET   /20180608/secrets/{}/version/{}
ScheduleSecretVersionDeletion  secrets     POST  /20180608/secrets/{}/version/{}/actions/scheduleDeletion
CancelSecretVersionDeletion    secrets     POST  /20180608/secrets/{}/version/{}/actions/cancelDeletion
GetSecretBundle                bundles     GET   /20190301/secretbundles/{}
GetSecretBundleByName          bundles     POST  /20190301/secretbundles/actions/getByName
ListSecretBundleVersions       bundles     GET   /20190301/secretbundles/{}/versions
ListCompartments               identity    GET   /20160918/compartments
GetCompartment                 identity    GET   /20160918/compartments/{}
GetTenancy                     identity    GET   /20160918/tenancies/{}
ListRegionSubscriptions        identity    GET   /20160918/tenancies/{}/regionSubscriptions
ListRegions                    identity    GET   /20160918/regions
GetUser                        identity    GET   /20160918/users/{}
CreateCompartment              identity    POST  /20160918/compartments
DeleteUser                     identity    DELETE /20160918/users/{}
ListTagNamespaces              identity    GET   /20160918/tagNamespaces
GetNamespace                   storage     GET   /n
ListBuckets                    storage     GET   /n/{}/b
CreateBucket                   storage     POST  /n/{}/b
GetBucket                      storage     GET   /n/{}/b/{}
DeleteBucket                   storage     DELETE /n/{}/b/{}
ListObjects                    storage     GET   /n/{}/b/{}/o
GetObject                      storage     GET   /n/{}/b/{}/o/{}
HeadObject                     storage     HEAD  /n/{}/b/{}/o/{}
PutObject                      storage     PUT   /n/{}/b/{}/o/{}
DeleteObject                   storage     DELETE /n/{}/b/{}/o/{}
CreatePreauthenticatedRequest  storage     POST  /n/{}/b/{}/p
ListPreauthenticatedRequests   storage     GET   /n/{}/b/{}/p
"""

_HOSTS: Mapping[str, str] = {
    "control": "kms.{region}.localhost",
    "management": "{prefix}-management.kms.{region}.localhost",
    "crypto": "{prefix}-crypto.kms.{region}.localhost",
    "secrets": "vaults.{region}.oci.localhost",
    "bundles": "secrets.vaults.{region}.oci.localhost",
    "identity": "identity.{region}.oci.localhost",
    "storage": "objectstorage.{region}.localhost",
}
OF_VAULTS = frozenset({"management", "crypto"})
"""Planes whose host is a vault's own."""


@dataclass(frozen=True)
class Operation:
    """One operation; each `{}` of the path is an identifier."""

    name: str
    plane: str
    method: str
    path: str

    @property
    def changes(self) -> bool:
        """Whether it is there to change something."""
        return self.method not in ("GET", "HEAD") and self.plane not in ("crypto", "bundles")

    def target(self, *idents: str, query: Mapping[str, object] | None = None) -> str:
        """The path with its identifiers, and the query, as clients write them."""
        path = self.path.format(*(quote(ident, safe="") for ident in idents))
        return f"{path}?{urlencode({name: str(value) for name, value in query.items()})}" if query else path


OPERATIONS: Mapping[str, Operation] = {
    line.split()[0]: Operation(*line.split()) for line in _TABLE.strip().splitlines()
}


def host(plane: str, prefix: str = "", region: str = REGION) -> str:
    """The host of a plane without port; `prefix` is the vault's, where the plane is one of its own."""
    return _HOSTS[plane].format(prefix=prefix, region=region)


def prefix_of(ocid: str) -> str:
    """What the OCID of a vault, a key or a version says of the vault's hosts (§12)."""
    return ocid.split(".")[4]
