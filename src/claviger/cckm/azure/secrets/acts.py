"""How each operation is done in the cloud. Every changing call is sent once; what it raises is the caller's to judge.

`steps.reached("changed")` comes right after the change, before what is then read of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from claviger.cckm.azure.secrets.asks import backup_of, deleted_one, has_version, is_another, live_versions
from claviger.cckm.azure.secrets.cloud import CloudSecret, VaultSecrets
from claviger.cckm.azure.secrets.rules import Operation, Status
from claviger.cckm.azure.secrets.work import (
    CREATE,
    RESTORE_ELSEWHERE,
    Material,
    Outcome,
    Steps,
    Work,
    is_absent,
    unreachable,
)
from claviger.core.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, Throttled, Unavailable
from claviger.core.sensitive import Sensitive

Act = Callable[[VaultSecrets, Work, Material, Steps], Awaitable[Outcome]]

T = TypeVar("T")
_CHANGED = "changed"


async def create(cloud: VaultSecrets, work: Work, material: Material, steps: Steps) -> Outcome:
    """Sets the value, which makes a version, and backs the secret up."""
    if material.value is None:
        raise Conflict("ValueMissing", message="the value that was to be set is no longer there")
    secret = await cloud.set(
        work.name,
        material.value,
        content_type=work.content_type or None,
        tags=work.tags or None,
        enabled=work.enabled is not False,
        not_before=work.not_before or None,
        expires_at=work.expires_at or None,
    )
    await steps.reached(_CHANGED)
    return Outcome(Status.AVAILABLE, secret, await backup_of(cloud, work.name), await _beside(cloud, work, secret))


async def _beside(cloud: VaultSecrets, work: Work, secret: CloudSecret) -> tuple[CloudSecret, ...]:
    """All that live beside a version, where more are recorded: what was purged is in no fresh backup."""
    if not work.has_others:
        return ()
    try:
        versions = await live_versions(cloud, work.name)
    except Refusal:
        return ()
    return versions if has_version(versions, secret.version) else ()


async def update(cloud: VaultSecrets, work: Work, _: Material, steps: Steps) -> Outcome:
    """Changes attributes of the version, and backs the secret up."""
    secret = await cloud.update(
        work.name,
        work.version,
        content_type=_given(work.content_type),
        tags=_given(work.tags),
        enabled=work.enabled,
        not_before=_given(work.not_before),
        expires_at=_given(work.expires_at),
    )
    await steps.reached(_CHANGED)
    return Outcome(Status.AVAILABLE, secret, await backup_of(cloud, work.name), await _beside(cloud, work, secret))


def _given(value: T | msgspec.UnsetType | None) -> T | msgspec.UnsetType:
    """Azure knows no way to take a date or a content type back: None leaves it as it is."""
    return msgspec.UNSET if value is None else value


async def delete(cloud: VaultSecrets, work: Work, _: Material, steps: Steps) -> Outcome:
    """Backs the secret up as it is now, keeps that, and deletes it.

    What cannot be backed up is not deleted for good, and a secret that came to the name later not at all.
    """
    versions = await _versions_if_told(cloud, work)
    if versions and not has_version(versions, work.version):
        return Outcome(None, versions=versions)
    if work.keeps_deleted:
        backup = await backup_of(cloud, work.name)
    else:
        backup = await _needed_backup(cloud, work.name)
    if backup is not None:
        await steps.keep(backup, versions)
    await steps.reached("kept")
    secret = await cloud.delete(work.name)
    await steps.reached(_CHANGED)
    kept = secret.purge_at is not None or secret.deleted_at is not None
    return Outcome(Status.SOFT_DELETED if kept else Status.DELETED, secret)


async def _versions_if_told(cloud: VaultSecrets, work: Work) -> tuple[CloudSecret, ...]:
    """A connection that may delete need not be one that may list; what is gone has to be seen."""
    try:
        return await live_versions(cloud, work.name)
    except Forbidden:
        if work.gone:
            raise
        return ()


async def _needed_backup(cloud: VaultSecrets, name: str) -> Sensitive:
    """A backup without which there is no deleting. Whatever it raises, nothing was deleted."""
    try:
        return await cloud.backup(name)
    except (NotFound, Throttled) as refusal:
        if isinstance(refusal, NotFound) and not is_absent(refusal):
            raise unreachable(refusal) from None
        raise
    except (Forbidden, Invalid) as refusal:
        said = refusal.facts.get("message", "")
        raise Conflict(
            "NoBackup",
            message="the vault has no soft delete, so this deletion is final, and no backup could be taken; give the "
            f"connection the right to back up, or delete the secret in Azure ({said})",
        ) from None
    except Unavailable as refusal:
        raise unreachable(refusal) from None


async def purge(cloud: VaultSecrets, work: Work, _: Material, steps: Steps) -> Outcome:
    """Purges the deleted secret, if it is still the one that was meant."""
    other = await _other_deleted(cloud, work)
    if other is not None:
        return other
    await cloud.purge(work.name)
    await steps.reached(_CHANGED)
    return Outcome(Status.DELETED)


async def recover(cloud: VaultSecrets, work: Work, _: Material, steps: Steps) -> Outcome:
    """Recovers the deleted secret, if it is still the one that was meant."""
    other = await _other_deleted(cloud, work)
    if other is not None:
        return other
    secret = await cloud.recover(work.name)
    await steps.reached(_CHANGED)
    return Outcome(Status.AVAILABLE, secret)


async def _other_deleted(cloud: VaultSecrets, work: Work) -> Outcome | None:
    """What became of the one that was meant, where another secret of its name is deleted now."""
    if work.deleted_at is None:
        return None
    found = await deleted_one(cloud, work)
    if found is None or not is_another(found, work):
        return None
    return Outcome(Status.SOFT_DELETED, found, differs=True)


async def restore(cloud: VaultSecrets, work: Work, material: Material, steps: Steps) -> Outcome:
    """Restores the secret from the backup."""
    if material.backup is None:
        raise Conflict("NoBackup", message="CCKM holds no backup of this secret")
    secret = await cloud.restore(material.backup)
    await steps.reached(_CHANGED)
    try:
        versions = await live_versions(cloud, work.name)
    except Refusal:  # it is restored; which of its versions are there again the next synchronisation tells
        versions = ()
    return Outcome(Status.AVAILABLE, secret, versions=versions)


async def restore_elsewhere(cloud: VaultSecrets, work: Work, material: Material, steps: Steps) -> Outcome:
    """Restores the secret into a vault where it was not before, and backs it up there."""
    done = await restore(cloud, work, material, steps)
    return msgspec.structs.replace(done, backup=await backup_of(cloud, work.name))


ACTS: Mapping[str, Act] = {
    CREATE: create,
    Operation.UPDATE.value: update,
    Operation.SOFT_DELETE.value: delete,
    Operation.DELETE_FOR_GOOD.value: delete,
    Operation.HARD_DELETE.value: purge,
    Operation.RECOVER.value: recover,
    Operation.RESTORE.value: restore,
    RESTORE_ELSEWHERE: restore_elsewhere,
}
