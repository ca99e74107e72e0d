"""How each operation on versions is done in the cloud, as those on keys are (`keys/acts.py`)."""

from __future__ import annotations

from claviger.cckm.oci.keys.acts import CHANGED, SOONEST_S
from claviger.cckm.oci.keys.cloud import CloudVersion, VaultKeys
from claviger.cckm.oci.keys.rules import deletion_at
from claviger.cckm.oci.keys.work import Material, Outcome, Steps, Work
from claviger.cckm.oci.versions.rules import CURRENT, current_version
from claviger.core.errors import Conflict, Invalid


async def add(cloud: VaultKeys, work: Work, material: Material, steps: Steps) -> Outcome:
    """Gives the key a new version: of OCI's own material, or of what was wrapped for it."""
    if work.source_key_id:
        return await _done(await _imported(cloud, work, material), steps)
    return await _done(await cloud.create_version(work.ocid, work.token), steps)


async def _imported(cloud: VaultKeys, work: Work, material: Material) -> CloudVersion:
    return await cloud.import_version(work.ocid, wrapped_bytes(material), material.algorithm, work.token)


def wrapped_bytes(material: Material) -> bytes:
    """What was wrapped for an upload. Raises Conflict("MaterialMissing")."""
    if material.wrapped is None:
        raise Conflict("MaterialMissing", message="the material that was to be uploaded is no longer there")
    return material.wrapped.reveal()


async def schedule_deletion(cloud: VaultKeys, work: Work, _: Material, steps: Steps) -> Outcome:
    """Has OCI delete the version at the date; one that is begun too late for that gets a date of its own.

    Raises Invalid("StateForbids") where it has become the current one meanwhile.
    """
    at, token = work.deletes_at or 0.0, work.token
    if at < steps.now() + SOONEST_S:
        at, token = deletion_at(work.days, steps.now()), f"{work.token}-late"
    try:
        return await _done(await cloud.schedule_version_deletion(work.ocid, work.version_ocid, at, token), steps)
    except (Conflict, Invalid) as refusal:
        if CURRENT in str(refusal.facts.get("message", "")):
            raise current_version(work.version_ocid) from None
        raise


async def cancel_deletion(cloud: VaultKeys, work: Work, _: Material, steps: Steps) -> Outcome:
    """Has OCI keep the version."""
    return await _done(await cloud.cancel_version_deletion(work.ocid, work.version_ocid, work.token), steps)


async def _done(version: CloudVersion, steps: Steps) -> Outcome:
    await steps.reached(CHANGED)
    return Outcome(versions=(version,))
