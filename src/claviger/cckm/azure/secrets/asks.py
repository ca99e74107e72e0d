"""How the cloud is asked what happened to an operation, without doing anything.

Every answer is an `Outcome`, or None: nothing happened. What cannot be told yet raises Unavailable("CloudSettling").
While Azure deletes or recovers, a secret is in neither place: only a changing call tells that (409) from being gone
(404).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from claviger.cckm.azure.secrets.cloud import CloudSecret, VaultSecrets
from claviger.cckm.azure.secrets.rules import Operation, Status
from claviger.cckm.azure.secrets.work import (
    CREATE,
    EVERY_VERSION,
    RESTORE_ELSEWHERE,
    SETTLING_S,
    SKEW_S,
    Doubt,
    Material,
    Outcome,
    Work,
    code_of,
    is_absent,
    unreachable,
)
from claviger.core.errors import Forbidden, Invalid, NotFound, Refusal, Unavailable
from claviger.core.sensitive import Sensitive

Ask = Callable[[VaultSecrets, Work, Material, Doubt], Awaitable[Outcome | None]]

log = logging.getLogger("claviger.cckm")


async def live_versions(cloud: VaultSecrets, name: str) -> tuple[CloudSecret, ...]:
    """All versions of a live secret; none where it is not live. Raises what the cloud does."""
    try:
        return tuple(await cloud.versions(name, most=EVERY_VERSION))
    except NotFound as refusal:
        if is_absent(refusal):
            return ()
        raise unreachable(refusal) from None


async def deleted_one(cloud: VaultSecrets, work: Work) -> CloudSecret | None:
    """The deleted secret of the name. Azure does not show one whose latest version is disabled: its date is unknown."""
    try:
        return await cloud.deleted(work.name)
    except NotFound as refusal:
        if not is_absent(refusal):
            raise unreachable(refusal) from None
    except Forbidden as refusal:
        if code_of(refusal) == "SecretDisabled":
            return CloudSecret(name=work.name, version="", id="", enabled=False)
        if work.keeps_deleted:
            raise
    except Invalid:
        if work.keeps_deleted:
            raise
    return None


async def backup_of(cloud: VaultSecrets, name: str) -> Sensitive | None:
    """A fresh backup; None, and a line in the log, where the cloud does not give one: the rest is done all the same."""
    try:
        return await cloud.backup(name)
    except Refusal as refusal:
        log.warning("no backup of a secret could be taken: %s", refusal.reason)
        return None


def is_another(found: CloudSecret, work: Work) -> bool:
    """Whether a deleted secret was deleted at another time than the one that is meant."""
    return None not in (found.deleted_at, work.deleted_at) and found.deleted_at != work.deleted_at


def has_version(versions: tuple[CloudSecret, ...], version: str) -> bool:
    """Whether a version is among these."""
    return any(each.version == version for each in versions)


async def created(cloud: VaultSecrets, work: Work, material: Material, _: Doubt) -> Outcome | None:
    """A version that was not known, made since the intent, with the same value and attributes: that is ours."""
    versions = await live_versions(cloud, work.name)
    fresh = [
        each
        for each in versions
        if each.version not in work.known_versions and each.created_at >= work.begun_at - SKEW_S
    ]
    for each in sorted(fresh, key=lambda found: found.created_at, reverse=True):
        if _has(each, work) and await _same_value(cloud, each, material):
            return Outcome(Status.AVAILABLE, each, await backup_of(cloud, work.name), versions)
    return None


async def _same_value(cloud: VaultSecrets, found: CloudSecret, material: Material) -> bool:
    try:
        _, value = await cloud.get(found.name, found.version)
    except Forbidden:  # disabled, or this connection may set and not get: its attributes have to do
        return True
    except NotFound:
        return False
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


async def updated(cloud: VaultSecrets, work: Work, _: Material, __: Doubt) -> Outcome | None:
    """The version as wanted; or as somebody else has changed it since, and then theirs stays."""
    versions = await live_versions(cloud, work.name)
    if not versions:
        found = await deleted_one(cloud, work)
        return Outcome(None) if found is None else Outcome(Status.SOFT_DELETED, found)
    ours = next((each for each in versions if each.version == work.version), None)
    if ours is None:
        return Outcome(None, versions=versions)
    if _has(ours, work):
        return Outcome(Status.AVAILABLE, ours, await backup_of(cloud, work.name), versions)
    if ours.updated_at == work.updated_at or ours.updated_at < work.begun_at - SKEW_S:
        return None
    return Outcome(Status.AVAILABLE, ours, await backup_of(cloud, work.name), versions, differs=True)


async def deleted(cloud: VaultSecrets, work: Work, _: Material, doubt: Doubt) -> Outcome | None:
    """Among the deleted ones; or, without soft delete, gone. Live says that nothing happened."""
    found = await deleted_one(cloud, work)
    if found is not None:
        return Outcome(Status.SOFT_DELETED, found)
    versions = await live_versions(cloud, work.name)
    if versions:
        return None if has_version(versions, work.version) else Outcome(None, versions=versions)
    if not work.keeps_deleted:
        return Outcome(Status.DELETED)
    if doubt.is_certain:  # somebody else deletes it at this moment, or has purged it; the second time it is believed
        return Outcome(Status.DELETED if work.gone else None)
    if doubt.now < work.begun_at + SETTLING_S:
        raise Unavailable("CloudSettling", message="Azure is still changing the state of the secret")
    return Outcome(Status.DELETED)


async def purged(cloud: VaultSecrets, work: Work, _: Material, doubt: Doubt) -> Outcome | None:
    """No longer among the deleted ones, or there anew with another date. Live with our version: it was recovered."""
    found = await deleted_one(cloud, work)
    if found is not None:
        return Outcome(Status.SOFT_DELETED, found, differs=True) if is_another(found, work) else None
    versions = await live_versions(cloud, work.name)
    if has_version(versions, work.version):
        return Outcome(Status.AVAILABLE, versions=versions)
    return Outcome(Status.DELETED) if versions or doubt.is_certain else None


async def recovered(cloud: VaultSecrets, work: Work, _: Material, doubt: Doubt) -> Outcome | None:
    """Live; among the deleted ones says that nothing happened, and live without our version that it was purged."""
    versions = await live_versions(cloud, work.name)
    if versions:
        ours = has_version(versions, work.version)
        return Outcome(Status.AVAILABLE, versions=versions) if ours else Outcome(Status.DELETED)
    found = await deleted_one(cloud, work)
    if found is not None:
        return Outcome(Status.SOFT_DELETED, found, differs=True) if is_another(found, work) else None
    return Outcome(Status.DELETED) if doubt.is_certain else None


async def restored(cloud: VaultSecrets, work: Work, _: Material, __: Doubt) -> Outcome | None:
    """Live, with a version that its backup is of, and that does not belong to another secret of the name.

    What is restored keeps its versions; anything else: nothing happened.
    """
    versions = await live_versions(cloud, work.name)
    own = {work.version, *work.own_versions}
    fresh = [each for each in versions if each.version in own and each.version not in work.known_versions]
    if not fresh:
        return None
    newest = max(fresh, key=lambda each: (each.version == work.version, each.created_at))
    return Outcome(Status.AVAILABLE, newest, versions=versions)


async def restored_elsewhere(cloud: VaultSecrets, work: Work, material: Material, doubt: Doubt) -> Outcome | None:
    """The same in another vault, where it needs a backup of its own."""
    found = await restored(cloud, work, material, doubt)
    if found is None:
        return None
    return msgspec.structs.replace(found, backup=await backup_of(cloud, work.name))


ASKS: Mapping[str, Ask] = {
    CREATE: created,
    Operation.UPDATE.value: updated,
    Operation.SOFT_DELETE.value: deleted,
    Operation.DELETE_FOR_GOOD.value: deleted,
    Operation.HARD_DELETE.value: purged,
    Operation.RECOVER.value: recovered,
    Operation.RESTORE.value: restored,
    RESTORE_ELSEWHERE: restored_elsewhere,
}
