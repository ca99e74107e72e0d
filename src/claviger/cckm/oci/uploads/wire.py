"""An upload as it is on the wire (CCKM contract, OCI §5.4)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.oci.keys.wire import DefinedTags, FreeformTags, Ident


class UploadOciKey(msgspec.Struct, frozen=True, kw_only=True):
    """A local key that is to be uploaded: it becomes the first version of a new key in OCI."""

    vault: Ident
    name: str
    protection_mode: str
    compartment_id: Ident
    source_key_identifier: Ident
    source_key_tier: Ident | UnsetType = UNSET
    freeform_tags: FreeformTags | UnsetType = UNSET
    defined_tags: DefinedTags | UnsetType = UNSET
