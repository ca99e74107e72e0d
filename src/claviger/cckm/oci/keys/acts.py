"""How each operation is done in the cloud. Every changing call is sent once; what it raises is the caller's to judge.

`steps.reached("changed")` comes right after the change, before what is then read of it; `backed-up` comes when OCI has
taken the backup that goes before a deletion, and `kept` when that is noted.
"""

from __future__ import annotations

import asyncio

from claviger.cckm.oci.keys.backups import place_of
from claviger.cckm.oci.keys.cloud import CloudKey, VaultKeys
from claviger.cckm.oci.keys.reading import current_version, versions_of
from claviger.cckm.oci.keys.rules import State, deletion_at
from claviger.cckm.oci.keys.work import Material, Outcome, Steps, Work, undecided
from claviger.core.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, Unavailable
from claviger.lifecycle.retention import DAY_S

CHANGED, BACKED_UP, KEPT = "changed", "backed-up", "kept"
BACKUP_LIMIT_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 3.0
SOONEST_S = 7 * DAY_S + 60.0


async def create(cloud: VaultKeys, work: Work, _: Material, steps: Steps) -> Outcome:
    """Makes the key, and looks at its first version."""
    key = await cloud.create(work.details, work.token)
    await steps.reached(CHANGED)
    return Outcome(key=key, versions=await current_version(cloud, key))


async def update(cloud: VaultKeys, work: Work, _: Material, steps: Steps) -> Outcome:
    """Changes name or tags."""
    return await _changed(await cloud.update(work.ocid, work.details), steps)


async def enable(cloud: VaultKeys, work: Work, _: Material, steps: Steps) -> Outcome:
    """Lets the key be used again."""
    return await _changed(await cloud.enable(work.ocid, work.token), steps)


async def disable(cloud: VaultKeys, work: Work, _: Material, steps: Steps) -> Outcome:
    """Stops its use."""
    return await _changed(await cloud.disable(work.ocid, work.token), steps)


async def schedule_deletion(cloud: VaultKeys, work: Work, _: Material, steps: Steps) -> Outcome:
    """Backs the key up where it can be, and has OCI delete it at the date.

    What is begun too late for its date gets a date, and a token, of its own.
    """
    if work.backup:
        await _backed_up(cloud, work, steps)
    at, token = work.deletes_at or 0.0, work.token
    if at < steps.now() + SOONEST_S:
        at, token = deletion_at(work.days, steps.now()), f"{work.token}-late"
    return await _changed(await cloud.schedule_deletion(work.ocid, at, token), steps)


async def cancel_deletion(cloud: VaultKeys, work: Work, _: Material, steps: Steps) -> Outcome:
    """Has OCI keep the key."""
    return await _changed(await cloud.cancel_deletion(work.ocid, work.token), steps)


async def change_compartment(cloud: VaultKeys, work: Work, _: Material, steps: Steps) -> Outcome:
    """Moves the key; OCI answers nothing, so it is read."""
    await cloud.change_compartment(work.ocid, work.compartment_ocid, work.token)
    await steps.reached(CHANGED)
    try:
        return Outcome(key=await cloud.get(work.ocid))
    except Refusal as refusal:
        raise undecided(refusal) from None


async def restore(cloud: VaultKeys, work: Work, _: Material, steps: Steps) -> Outcome:
    """Brings the key back from its backup, with all its versions."""
    place = place_of(work.backup)
    key = await cloud.restore(place.namespace, place.bucket, place.name, work.token)
    await steps.reached(CHANGED)
    try:
        return Outcome(key=key, versions=await versions_of(cloud, key), is_all=True)
    except Refusal:  # it is restored; the next look finds its versions
        return Outcome(key=key)


async def delete_backup(cloud: VaultKeys, work: Work, _: Material, steps: Steps) -> Outcome:
    """Deletes the object that holds the backup."""
    place = place_of(work.backup)
    await cloud.remove_backup(place.namespace, place.bucket, place.name)
    await steps.reached(CHANGED)
    return Outcome()


async def _changed(key: CloudKey, steps: Steps) -> Outcome:
    await steps.reached(CHANGED)
    return Outcome(key=key)


async def _backed_up(cloud: VaultKeys, work: Work, steps: Steps) -> None:
    """A backup without which there is no deleting. Whatever it raises, nothing was scheduled.

    Where it may have been taken and that is not known, the operation stays open, so that no backup is left that no
    record names: the same requests are sent again.
    """
    place = place_of(work.backup)
    try:
        await cloud.backup(work.ocid, place.namespace, place.bucket, place.name, f"{work.token}-backup")
        try:
            await _until_taken(cloud, work.ocid)
        except Unavailable as refusal:
            raise undecided(refusal) from None
    except (NotFound, Forbidden, Invalid) as refusal:
        told = refusal.facts.get("message", "")
        raise Conflict(
            "NoBackup",
            message=f"the key could not be backed up to the bucket {place.bucket}, so its deletion was not scheduled "
            f"({told}); to delete it without a backup, clear the vault's bucket first",
        ) from None
    await steps.reached(BACKED_UP)
    await steps.keep_backup()
    await steps.reached(KEPT)


async def _until_taken(cloud: VaultKeys, ocid: str) -> None:
    """Waits until OCI has taken a backup; a key cannot be deleted before that. Raises Unavailable after a minute."""
    clock = asyncio.get_running_loop().time
    give_up_at, pause_s = clock() + BACKUP_LIMIT_S, _FIRST_PAUSE_S
    while (await cloud.get(ocid)).state == State.BACKUP_IN_PROGRESS.value:
        if clock() > give_up_at:
            told = "OCI is still taking the backup that goes before the deletion"
            raise Unavailable("CloudUndecided", message=told)
        await asyncio.sleep(pause_s)
        pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)
