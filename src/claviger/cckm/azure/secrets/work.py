"""What is done to a secret in the cloud, and how the cloud is asked afterwards what happened.

`Work` is one operation as its intent keeps it. `act` does it; `ask` finds out whether it was done, without doing
anything: None says that it surely was not. Both answer an `Outcome`, which is what the record will say.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from claviger.cckm.azure.secrets.cloud import CloudSecret, VaultSecrets
from claviger.cckm.azure.secrets.rules import Operation, Status
from claviger.core.errors import Conflict, Forbidden, NotFound, Refusal, Unavailable
from claviger.core.sensitive import Sensitive

CREATE = "create"
RESTORE_ELSEWHERE = "restore-elsewhere"
SKEW_S = 300
SETTLING_S = 600

log = logging.getLogger("claviger.cckm")


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on one name of one vault. It is stored in the open, so it holds no value.

    `version` and `deleted_at` say which secret is meant: one that came to the name later is left alone. `backup` is
    where a fresh backup goes, `source` the one to restore from.
    """

    operation: str
    vault_id: str
    domain_id: str
    user_id: str
    name: str
    secret_id: str = ""
    version: str = ""
    deleted_at: int | None = None
    known_versions: tuple[str, ...] = ()
    content_type: str | msgspec.UnsetType | None = msgspec.UNSET
    tags: dict[str, str] | msgspec.UnsetType | None = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    not_before: int | msgspec.UnsetType | None = msgspec.UNSET
    expires_at: int | msgspec.UnsetType | None = msgspec.UNSET
    keeps_deleted: bool = True
    backup: str | None = None
    source: str | None = None
    begun_at: float = 0.0


class Outcome(msgspec.Struct, frozen=True):
    """What is so in the cloud now. `status` None: the secret is not there at all. `backup` is a fresh one."""

    status: Status | None
    secret: CloudSecret | None = None
    backup: Sensitive | None = None


class Material(msgspec.Struct, frozen=True):
    """The secret things that a work needs, opened just for it: the value to set, the backup to restore."""

    value: Sensitive | None = None
    backup: Sensitive | None = None


T = TypeVar("T")
Act = Callable[[VaultSecrets, Work, Material], Awaitable[Outcome]]
Ask = Callable[[VaultSecrets, Work, Material, float], Awaitable[Outcome | None]]


async def backup_of(cloud: VaultSecrets, name: str) -> Sensitive | None:
    """A fresh backup; None, and a line in the log, where the cloud does not give one: the rest is done all the same."""
    try:
        return await cloud.backup(name)
    except Refusal as refusal:
        log.warning("no backup of a secret could be taken: %s", refusal.reason)
        return None


# What is done.


async def create(cloud: VaultSecrets, work: Work, material: Material) -> Outcome:
    """Sets the value, which makes a version, and backs the secret up."""
    value = material.value or Sensitive(b"")
    secret = await cloud.set(
        work.name,
        value,
        content_type=work.content_type or None,
        tags=work.tags or None,
        enabled=work.enabled is not False,
        not_before=work.not_before or None,
        expires_at=work.expires_at or None,
    )
    return Outcome(Status.AVAILABLE, secret, await backup_of(cloud, work.name))


async def update(cloud: VaultSecrets, work: Work, _: Material) -> Outcome:
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
    return Outcome(Status.AVAILABLE, secret, await backup_of(cloud, work.name))


def _given(value: T | msgspec.UnsetType | None) -> T | msgspec.UnsetType:
    """Azure knows no way to take a date or a content type back: None leaves it as it is."""
    return msgspec.UNSET if value is None else value


async def delete(cloud: VaultSecrets, work: Work, _: Material) -> Outcome:
    """Backs the secret up as it is now, then deletes it. What cannot be backed up is not deleted for good."""
    backup = await backup_of(cloud, work.name)
    if backup is None and not work.keeps_deleted and work.backup is None:
        raise Conflict(
            "NoBackup",
            message="the vault has no soft delete, so this deletion is final, and no backup could be taken; "
            "give the connection the right to back up, or delete the secret in Azure",
        )
    secret = await cloud.delete(work.name)
    kept = secret.purge_at is not None or secret.deleted_at is not None
    return Outcome(Status.SOFT_DELETED if kept else Status.DELETED, secret, backup)


async def purge(cloud: VaultSecrets, work: Work, _: Material) -> Outcome:
    """Purges the deleted secret, if it is still the one that was meant."""
    if work.deleted_at is not None:
        found = await cloud.deleted(work.name)
        if found.deleted_at is not None and found.deleted_at != work.deleted_at:
            return Outcome(Status.SOFT_DELETED, found)
    await cloud.purge(work.name)
    return Outcome(Status.DELETED)


async def recover(cloud: VaultSecrets, work: Work, _: Material) -> Outcome:
    """Recovers the deleted secret."""
    return Outcome(Status.AVAILABLE, await cloud.recover(work.name))


async def restore(cloud: VaultSecrets, _: Work, material: Material) -> Outcome:
    """Restores the secret from the backup."""
    if material.backup is None:
        raise Conflict("NoBackup", message="CCKM holds no backup of this secret")
    return Outcome(Status.AVAILABLE, await cloud.restore(material.backup))


async def restore_elsewhere(cloud: VaultSecrets, work: Work, material: Material) -> Outcome:
    """Restores the secret into a vault where it was not before, and backs it up there."""
    done = await restore(cloud, work, material)
    return Outcome(done.status, done.secret, await backup_of(cloud, work.name))


# What the cloud says afterwards.


async def _versions(cloud: VaultSecrets, name: str) -> list[CloudSecret]:
    try:
        return await cloud.versions(name)
    except NotFound:
        return []


async def _newest(cloud: VaultSecrets, name: str) -> CloudSecret | None:
    versions = await _versions(cloud, name)
    return max(versions, key=lambda each: each.created_at, default=None)


async def _deleted(cloud: VaultSecrets, name: str) -> CloudSecret | None:
    try:
        return await cloud.deleted(name)
    except NotFound:
        return None


async def created(cloud: VaultSecrets, work: Work, material: Material, _: float) -> Outcome | None:
    """A version that was not known, made since the intent, with the same value and attributes: that is ours."""
    fresh = [
        each
        for each in await _versions(cloud, work.name)
        if each.version not in work.known_versions and each.created_at >= work.begun_at - SKEW_S
    ]
    for each in sorted(fresh, key=lambda found: found.created_at, reverse=True):
        if _has(each, work) and await _same_value(cloud, each, material):
            return Outcome(Status.AVAILABLE, each, await backup_of(cloud, work.name))
    return None


async def _same_value(cloud: VaultSecrets, found: CloudSecret, material: Material) -> bool:
    try:
        _, value = await cloud.get(found.name, found.version)
    except Forbidden:  # a disabled version is not revealed: its attributes have to do
        return not found.enabled
    return value == material.value


def _has(found: CloudSecret, work: Work) -> bool:
    """Whether a version has all the attributes that were asked for."""
    wanted: Mapping[str, tuple[object, object]] = {
        "content_type": (work.content_type, found.content_type),
        "tags": (work.tags, found.tags),
        "enabled": (work.enabled, found.enabled),
        "not_before": (work.not_before, found.not_before),
        "expires_at": (work.expires_at, found.expires_at),
    }
    return all(asked is msgspec.UNSET or (asked or None) == (is_so or None) for asked, is_so in wanted.values())


async def updated(cloud: VaultSecrets, work: Work, _: Material, __: float) -> Outcome | None:
    """The version as wanted, or as somebody else has changed it since: then theirs counts."""
    versions = await _versions(cloud, work.name)
    if not versions:
        return await _elsewhere(cloud, work)
    found = next((each for each in versions if each.version == work.version), None)
    if found is None:
        return Outcome(None)
    if _has(found, work) or found.updated_at > work.begun_at + 1:
        return Outcome(Status.AVAILABLE, found, await backup_of(cloud, work.name))
    return None


async def _elsewhere(cloud: VaultSecrets, work: Work) -> Outcome:
    found = await _deleted(cloud, work.name)
    return Outcome(None) if found is None else Outcome(Status.SOFT_DELETED, found)


async def deleted(cloud: VaultSecrets, work: Work, _: Material, now: float) -> Outcome | None:
    """Among the deleted ones; or, without soft delete, gone. Live says that nothing happened."""
    found = await _deleted(cloud, work.name) if work.keeps_deleted else None
    if found is not None:
        return Outcome(Status.SOFT_DELETED, found)
    if await _newest(cloud, work.name) is not None:
        return None
    if not work.keeps_deleted:
        return Outcome(Status.DELETED)
    return _gone_or_settling(work, now)


async def purged(cloud: VaultSecrets, work: Work, _: Material, __: float) -> Outcome | None:
    """No longer among the deleted ones, or there anew with another date. Live with our version: it was recovered."""
    found = await _deleted(cloud, work.name)
    if found is not None:
        same = work.deleted_at is None or found.deleted_at in (None, work.deleted_at)
        return None if same else Outcome(Status.SOFT_DELETED, found)
    ours = next((each for each in await _versions(cloud, work.name) if each.version == work.version), None)
    return Outcome(Status.DELETED) if ours is None else Outcome(Status.AVAILABLE, ours)


async def recovered(cloud: VaultSecrets, work: Work, _: Material, now: float) -> Outcome | None:
    """Live; still among the deleted ones says that nothing happened."""
    found = await _newest(cloud, work.name)
    if found is not None:
        return Outcome(Status.AVAILABLE, found)
    if await _deleted(cloud, work.name) is not None:
        return None
    return _gone_or_settling(work, now)


async def restored(cloud: VaultSecrets, work: Work, _: Material, __: float) -> Outcome | None:
    """Live; anything else says that nothing happened."""
    found = await _newest(cloud, work.name)
    return None if found is None else Outcome(Status.AVAILABLE, found)


def _gone_or_settling(work: Work, now: float) -> Outcome:
    """In neither place: Azure is still about it, or, after a while, the secret is gone."""
    if now < work.begun_at + SETTLING_S:
        raise Unavailable("CloudSettling", message="Azure is still changing the state of the secret")
    return Outcome(None)


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
ASKS: Mapping[str, Ask] = {
    CREATE: created,
    Operation.UPDATE.value: updated,
    Operation.SOFT_DELETE.value: deleted,
    Operation.DELETE_FOR_GOOD.value: deleted,
    Operation.HARD_DELETE.value: purged,
    Operation.RECOVER.value: recovered,
    Operation.RESTORE.value: restored,
    RESTORE_ELSEWHERE: restored,
}
