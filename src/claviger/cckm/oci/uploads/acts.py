"""How an upload is done in the cloud, and what of it is saved. It is asked after as the making of a key is."""

from __future__ import annotations

from claviger.cckm.oci.keys import asks
from claviger.cckm.oci.keys import records as keys
from claviger.cckm.oci.keys.acts import CHANGED
from claviger.cckm.oci.keys.cloud import CloudKey, CloudVersion, VaultKeys
from claviger.cckm.oci.keys.conclusions import add_key, needed
from claviger.cckm.oci.keys.reading import current_version
from claviger.cckm.oci.keys.rules import CCKM, State
from claviger.cckm.oci.keys.work import Material, Outcome, Saved, Steps, Trade, Work
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.versions import records as versions
from claviger.cckm.oci.versions.acts import wrapped_bytes
from claviger.cckm.oci.versions.asks import EXTERNAL
from claviger.cckm.oci.versions.conclusions import with_source
from claviger.store.contract import Tx

UPLOAD = "upload"


async def upload(cloud: VaultKeys, work: Work, material: Material, steps: Steps) -> Outcome:
    """Makes the key of what was wrapped for it, and looks at its first version."""
    key = await cloud.import_key(work.details, wrapped_bytes(material), material.algorithm, work.token)
    await steps.reached(CHANGED)
    return Outcome(key=key, versions=await current_version(cloud, key) or _foreseen(key))


def _foreseen(key: CloudKey) -> tuple[CloudVersion, ...]:
    """The first version as it is known from the key alone, where OCI does not show it yet."""
    if not key.current_version_ocid:
        return ()
    return (
        CloudVersion(
            ocid=key.current_version_ocid,
            key_ocid=key.ocid,
            vault_ocid=key.vault_ocid,
            compartment_ocid=key.compartment_ocid,
            state=State.CREATING.value,
            origin=EXTERNAL,
            created_at=key.created_at,
            deletes_at=None,
        ),
    )


def uploaded(tx: Tx, vault: OciVault, work: Work, outcome: Outcome, now: float) -> Saved:
    """Adds the record of the key and of its first version, which says what its material is from (§5.4)."""
    saved = add_key(tx, vault, work, outcome, CCKM, now)
    row = keys.load(tx, saved.record_id)
    first = None if row is None else versions.load_by_ocid(tx, row.num, needed(outcome).current_version_ocid)
    if first is not None:
        versions.put(tx, with_source(first, work))
    return saved


UPLOAD_TRADES = {UPLOAD: Trade(act=upload, ask=asks.created, save=uploaded)}
