"""What OCI says of keys and versions, in structs of ours: what `cloud.py` tells, and records follow."""

from __future__ import annotations

import msgspec

Tags = dict[str, str]
DefinedTags = dict[str, dict[str, str]]


class CloudKey(msgspec.Struct, frozen=True, kw_only=True):
    """What OCI says of a key. Times are epoch seconds."""

    ocid: str
    vault_ocid: str
    compartment_ocid: str
    name: str
    algorithm: str
    length: int
    curve_id: str
    protection_mode: str
    state: str
    current_version_ocid: str
    created_at: float
    deletes_at: float | None
    freeform_tags: Tags
    defined_tags: DefinedTags
    is_primary: bool = True
    replication_id: str = ""
    restored_from: str = ""


class CloudVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What OCI says of a version. `state` is empty where a list leaves it out."""

    ocid: str
    key_ocid: str
    vault_ocid: str
    compartment_ocid: str
    state: str
    origin: str
    created_at: float
    deletes_at: float | None
    public_key: str = ""
    is_primary: bool = True
    replication_id: str = ""
    restored_from: str = ""
