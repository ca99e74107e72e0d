"""What an upload does, for plans."""

from __future__ import annotations

import msgspec

from claviger.cckm.oci.keys import effects
from claviger.cckm.oci.keys.work import Work
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.planning.draft import Effect


def uploaded(vault: OciVault, work: Work) -> Effect:
    """A key is made in OCI of a local key's material."""
    made = effects.created(vault, work)
    return msgspec.structs.replace(
        made,
        what="oci-key.upload",
        words=f"{made.words}; its material is that of the local key {work.source_key_name}, which stays here too",
        facts={**made.facts, "source_key_id": work.source_key_id},
    )
