"""The words of the OCI half; a part of the glossary."""

from __future__ import annotations

from collections.abc import Mapping

from claviger.cckm.describing.word import ID, NOT_YET, Word

_OCID = "ocid1.compartment.oc1..aaaa"

OCI: Mapping[str, Word] = {
    # connections
    "user_ocid": Word("OCID of the user whose API key signs.", "ocid1.user.oc1..aaaa"),
    "tenancy_ocid": Word("OCID of the tenancy.", "ocid1.tenancy.oc1..aaaa"),
    "fingerprint": Word("Fingerprint of the API key's public half.", "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"),
    "region": Word("Name of a region.", "us-ashburn-1"),
    "credentials": Word("The API key's private half."),
    "key_file": Word("The private key itself, in PEM; sealed, and never returned."),
    "pass_phrase": Word("What the private key is encrypted with, if it is."),
    "realm_domain": Word(
        "Domain that OCI's hosts lie in, perhaps with a port; without one it is Oracle's own.", "oraclecloud.com"
    ),
    "server_certificate": Word("The authority to trust at those hosts, PEM; without one what the machine trusts."),
    # tenancies and compartments
    "regions": Word("Names of the regions that the tenancy has subscribed to.", ["us-ashburn-1"]),
    "tenancy": Word("Name of the tenancy.", "acme"),
    "data": Word("What OCI shows, by OCI's own names.", []),
    "ociNextPage": Word("OCI's mark of the next page; empty or absent at the end."),
    "compartments": Word("The compartments that were recorded."),
    "compartment_id": Word("OCID of a compartment.", _OCID),
    "CompartmentRecord.compartment_id": Word("The compartment's own OCID.", _OCID),
    "AddCompartments.compartment_id": Word("OCIDs of the compartments to record.", [_OCID]),
    "parent_compartment_id": Word("OCID of the compartment that it is in.", _OCID),
    # vaults
    "AddOciVaults.vault_id": Word("OCIDs of the vaults to bring under management.", ["ocid1.vault.oc1.iad.aaaa"]),
    "vault_id": Word("OCID of a vault.", "ocid1.vault.oc1.iad.aaaa"),
    "bucket_name": Word("The bucket that takes backups of the vault's keys.", "key-backups"),
    "bucket_namespace": Word("The bucket's Object Storage namespace.", "axaxnpcrorw5"),
    "PatchOciVault.connection": Word("Name or id of another connection, which has to reach the same vault."),
    "compartment_name": Word("Name of the compartment that it is in."),
    "display_name": Word("Its name in OCI."),
    "management_endpoint": Word("Where OCI manages the vault's keys."),
    "time_of_deletion": Word("When OCI deletes it; absent unless that is scheduled."),
    "vault_type": Word("`DEFAULT` or `VIRTUAL_PRIVATE`.", "DEFAULT"),
    "wrappingkey_id": Word("OCID of the key that uploads are wrapped to."),
    "restored_from_vault_id": Word("OCID of the vault that it was restored from, if it was."),
    "replication_id": Word("OCI's id of its last replication, if there was one."),
    "is_primary": Word("Whether it is no replica."),
    "refreshed_at": Word("When OCI was last asked about it."),
    "OciVaultRecord.hard_delete_quorum": Word(
        "How many people must agree before a key's deletion is scheduled, who asks included; null: one is enough."
    ),
    # what is leaving
    "Leaving.object_kind": Word("What it is: `azure-secret`, `oci-key` or `oci-key-version`.", "oci-key"),
    "Leaving.gone": Word("Whether its cloud no longer had it when it was last asked."),
    "Leaving.version": Word("Azure's version of the secret, or OCID of the version of a key."),
    # local keys
    "curveid": Word("Curve of an EC key: secp256r1, secp384r1 or secp521r1.", "secp256r1"),
    "usageMask": Word("What the key is for, as a sum of KMIP's bits; kept and shown.", 12),
    "unexportable": Word("Whether the key's material is never shown."),
    "undeletable": Word("Whether the key is never deleted."),
    "CreateLocalKey.material": Word("Material to import: hex or base64 of an AES key, PEM of an RSA key."),
    "ExportedLocalKey.material": Word("Hex of an AES key, PEM (PKCS #8) of a private one."),
    "encoding": Word("How `material` of an AES key is written: hex or base64.", "hex"),
    "algorithm": Word("AES, RSA or EC; of keys in OCI AES, RSA or ECDSA.", "AES"),
    "size": Word("Size in bits.", 256),
    "LocalKeyRecord.state": Word("Always Active."),
    "ExportedLocalKey.state": Word("Always Active."),
    "objectType": Word("What it is, in KMIP's words.", "Symmetric Key"),
    "LocalKeyRecord.version": Word("Always 0: a local key has one version."),
    "ExportedLocalKey.version": Word("Always 0: a local key has one version."),
    "publickey": Word("Public half, in PEM."),
    "sha256Fingerprint": Word("SHA-256 of the public half."),
    # synchronization
    "vaults": Word("Ids of the records of vaults."),
    "StartOciSynchronization.vaults": Word("The vaults, by the ids of their records, or by name.", [ID]),
    "keys_done": Word("How many keys were read."),
    "keys_total": Word("How many keys there are to read, as far as is known."),
    "OciVaultOutcome.keys": Word("How many keys were read."),
    "BrakedOciVault.known": Word("How many of its keys were known."),
    "OciProgressShown.gone": Word("How many keys were not there any more."),
    "OciProgressShown.rate": Word("Keys a second.", 8.5),
    "OciVaultOutcome.gone": Word("How many keys were not there any more."),
    "OciVaultOutcome.message": Word("Why it could not be synchronized, or what could not be seen; else empty."),
    "OciVaultOutcome.status": Word("`in_progress`, `completed` or `failed`.", "completed"),
    "FailedOciVault.message": Word("Why it could not be synchronized."),
    "outcomes": Word("What came of each vault."),
    "OciSynchronizationShown.message": Word("What is to be said of how it ended."),
    "OciSynchronizationShown.started_at": Word("When a server took it up."),
    "OciSynchronizationShown.cloud": Word("The cloud."),
    "cckm_key_id": Word("Id of the key's record."),
    "oci_vaults": Word("The vaults in OCI, by id or name."),
    # reports
    "report_type": Word("key-report, key-rotation or key-aging.", "key-aging"),
    "oci_params": Word("What it is about."),
    "start_time": Word("Where the period begins that it tells of; RFC 3339."),
    "end_time": Word("Where that ends; RFC 3339."),
    "row_count": Word("How many rows it has."),
    # keys
    "CreateOciKey.vault": Word("The vault to make it in: id of its record, its OCID, or its name.", "demo"),
    "length": Word("Length of the key in bytes; of ECDSA it follows from the curve.", 32),
    "curve_id": Word("Curve of an ECDSA key: NIST_P256, NIST_P384 or NIST_P521."),
    "protection_mode": Word("HSM or SOFTWARE.", "HSM"),
    "CreateOciKey.name": Word("Name of the key in OCI, where several may have the same one.", "orders"),
    "CreateOciKey.description": Word("Taken, and not kept: OCI's keys have none."),
    "ScheduleDeletion.days": Word("In how many days OCI is to delete it, 7 to 30; 7 if absent.", 7),
    "ChangeCompartment.compartment_id": Word("OCID of the compartment that it is to lie in.", _OCID),
    "OciKeyRecord.oci_params": Word("What OCI says of the key."),
    "key_name": Word("Name of the key in OCI."),
    "cckm_vault_id": Word("Id of the vault's record."),
    "key_material_origin": Word("Where its material is from: native (OCI made it), cckm (uploaded here), unknown."),
    "auto_rotate": Word("Whether a job rotates it."),
    "current_key_version": Word("OCID of its current version.", "ocid1.keyversion.oc1.iad.aaaa"),
    "key_id": Word("OCID of the key.", "ocid1.key.oc1.iad.aaaa"),
    "vault_name": Word("Name of the vault."),
    "OciParams.lifecycle_state": Word("Where the key stands, in OCI's words.", "ENABLED"),
    "restored_from_key_id": Word("OCID of the key that it was restored from, if it was."),
    "OciKeyRecord.backup_at": Word("When the backup that CCKM keeps was taken; absent without one."),
    "OciKeyRecord.labels": Word("What a rotation by job keeps of itself: job_config_id, auto_rotate_key_source.", {}),
    "OciKeyRecord.gone": Word("Whether OCI no longer had the key when it was last asked."),
    "OciKeyRecord.created_at": Word("The same as `createdAt`."),
    "OciKeyRecord.updated_at": Word("The same as `updatedAt`."),
    # uploads, versions
    "UploadOciKey.vault": Word("The vault to upload to: id of its record, its OCID, or its name.", "demo"),
    "UploadOciKey.name": Word("Name of the key in OCI, where several may have the same one.", "payments"),
    "source_key_identifier": Word("The local key whose material it is, by id; in a call by name too."),
    "source_key_name": Word("Name of that local key, as it was then."),
    "source_key_tier": Word("Where the source key is: always `local`; empty in native versions.", "local"),
    "UploadOciKey.source_key_tier": Word("Where the source key is; `local` is all that this server has.", "local"),
    "AddOciVersion.source_key_tier": Word("Where the source key is; `local` is all that this server has.", "local"),
    "is_native": Word("Whether OCI makes the material; else it is that of a local key.", True),
    "rotation_type": Word("Taken, and not looked at."),
    "oci_key_version_params": Word("What OCI says of the version."),
    "OciVersionRecord.labels": Word("Always empty."),
    "OciVersionRecord.gone": Word("Whether OCI no longer had the version when it was last asked."),
    "OciVersionParams.lifecycle_state": Word("Where the version stands, in OCI's words.", "ENABLED"),
    "origin": Word("`INTERNAL` or `EXTERNAL`, as OCI says it.", "INTERNAL"),
    "OciVersionParams.public_key": Word("Public half of an asymmetric key, in PEM."),
    "restored_from_key_version_id": Word("OCID of the version that it was restored from, if it was."),
    "version_id": Word("OCID of the version.", "ocid1.keyversion.oc1.iad.aaaa"),
    # rotation by jobs
    "job_config_id": Word("Id of the job configuration.", ID),
    "EnableAutoRotation.job_config_id": Word("The job that is to rotate it: a configuration of the scheduler.", ID),
    "auto_rotate_key_source": Word(
        "Where new material is from: `native` (OCI makes it) or `ciphertrust` (a local key that is made for it).",
        "native",
    ),
    "auto_rotate_partition_id": Word("Of a Luna HSM, which this server lacks; not looked at."),
    "auto_rotate_domain_id": Word("Of a Data Security Manager, which this server lacks; not looked at."),
    "auto_rotate_external_cm_domain_id": Word("Of another CipherTrust Manager; not looked at."),
    "cckm_key_rotation_params": Word("How to rotate the keys that are linked to it."),
    "RotationParams.cloud_name": Word("Which cloud's keys: `oci`.", "oci"),
    "expiration": Word("How long a version lives, as `expire_in` counts it; OCI itself knows no expiry.", "365d"),
    "expire_in": Word(
        "Rotate only keys whose current version expires within this time; without `expiration` none does.", "30d"
    ),
    "rotation_after": Word(
        "How old a key's current version has to be, such as 90d or 12h; without it every run rotates every key.", "90d"
    ),
    # all
    "time_created": Word("When OCI made it."),
    "lifecycle_state": Word("Where it stands, in OCI's words.", "ACTIVE"),
    "is_accessible": Word("Whether the connection's user has any right there."),
    "freeform_tags": Word("Tags by key.", {"team": "payments"}),
    "defined_tags": Word("Tags by namespace and key.", {"Operations": {"CostCenter": "42"}}),
}
"""By the name on the wire, as in `glossary.FIELDS`."""

OCI_SEGMENTS: Mapping[str, str] = {
    "tenancy": "Id of the tenancy's record.",
    "issuers": "Id of the issuer.",
    "keys2": "Id or name of the local key.",
    "keys": "Id of the key's record.",
    "compartments": "Id of the compartment's record.",
    "versions": "Id of the version's record.",
}

OCI_TAGS: Mapping[str, str] = {
    "oci tenancies": "The tenancies of connections, and their regions.",
    "local keys": "Keys of our own, kept sealed here, to be uploaded to vaults in clouds.",
    "oci reports": "What was done to keys, how old they are, when they were rotated: as rows and as CSV.",
    "oci external vaults": NOT_YET,
    "oci issuers": NOT_YET,
    "oci keys": "Keys of OCI from creation to the end of their deletion, and back from a backup.",
    "oci synchronization": "Bring the records of keys and versions to what is in OCI, vault by vault.",
    "oci vaults": "Find vaults in OCI, take them under management, say who may do what in them.",
    "oci compartments": "Find compartments, tags and buckets in OCI; the records of compartments.",
}
