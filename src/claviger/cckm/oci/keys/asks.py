"""How the cloud is asked what happened to an operation, without doing anything.

Every answer is an `Outcome`, or None: nothing happened. A state that passes says nothing yet, unless it is the one that
the operation leads through: Unavailable("CloudSettling").
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from claviger.cckm.oci.asking import DefinedTags, defined_tags
from claviger.cckm.oci.keys.cloud import CloudKey, VaultKeys
from claviger.cckm.oci.keys.reading import versions_of
from claviger.cckm.oci.keys.rules import SETTLED, State, state_of
from claviger.cckm.oci.keys.work import SKEW_S, Doubt, Outcome, Work, settling
from claviger.core.errors import NotFound, Refusal

_CLOSE_S = 1.0
_OCI_GIVES = "Oracle-Tags"
_ENDING = frozenset({State.SCHEDULING_DELETION, State.PENDING_DELETION, State.DELETING, State.DELETED})


async def created(cloud: VaultKeys, work: Work, doubt: Doubt) -> Outcome | None:
    """A key of that name, place and shape that was not known, made since the intent: that is ours.

    While the token is good, sending it again tells, and makes nothing twice.
    """
    if not doubt.by_reading:
        return None
    shape = work.details["key_shape"]
    found = [
        each
        for each in await cloud.named(work.compartment_ocid, work.name)
        if each.ocid not in work.known_ocids
        and each.created_at >= work.begun_at - SKEW_S
        and (each.algorithm, each.length) == (shape["algorithm"], shape["length"])
        and each.protection_mode == work.details["protection_mode"]
    ]
    if not found:
        return None
    key = min(found, key=lambda each: each.created_at)
    return await _with_versions(cloud, key)


async def updated(cloud: VaultKeys, work: Work, _: Doubt) -> Outcome | None:
    """The key as wanted; or as somebody else has changed it since, and then theirs stays."""
    key = await cloud.get(work.ocid)
    if _has(key, work.details):
        return Outcome(key=key)
    return None if _has(key, work.before) else Outcome(key=key, differs=True)


def _has(key: CloudKey, wanted: dict[str, Any]) -> bool:
    """Whether a key has the name and tags, but for tags that OCI gives by itself."""
    is_so = {
        "display_name": key.name,
        "freeform_tags": key.freeform_tags,
        "defined_tags": _without_own(key.defined_tags),
    }
    told = dict(wanted)
    if "defined_tags" in told:
        told["defined_tags"] = _without_own(defined_tags(told["defined_tags"]))
    return all(is_so[name] == value for name, value in told.items())


def _without_own(tags: DefinedTags) -> DefinedTags:
    return {space: values for space, values in tags.items() if space != _OCI_GIVES}


async def enabled(cloud: VaultKeys, work: Work, _: Doubt) -> Outcome | None:
    """ENABLED, or on its way there."""
    return await _at(cloud, work, {State.ENABLING, State.ENABLED}, State.DISABLED)


async def disabled(cloud: VaultKeys, work: Work, _: Doubt) -> Outcome | None:
    """DISABLED, or on its way there."""
    return await _at(cloud, work, {State.DISABLING, State.DISABLED}, State.ENABLED)


async def _at(cloud: VaultKeys, work: Work, wanted: Collection[State], before: State) -> Outcome | None:
    key = await cloud.get(work.ocid)
    state = state_of(key.state)
    if state in wanted:
        return Outcome(key=key)
    if state is before:
        return None
    if state not in SETTLED and state not in _ENDING:
        raise settling()
    return Outcome(key=key, differs=True)


async def scheduled(cloud: VaultKeys, work: Work, _: Doubt) -> Outcome | None:
    """Waiting for its deletion, whoever has scheduled it. Enabled or disabled says that nothing happened."""
    key = await cloud.get(work.ocid)
    state = state_of(key.state)
    if state in _ENDING:
        return Outcome(key=key)
    if state in (State.ENABLED, State.DISABLED, State.BACKUP_IN_PROGRESS):
        return None
    raise settling()


async def cancelled(cloud: VaultKeys, work: Work, _: Doubt) -> Outcome | None:
    """Not waiting any more. With another date it was scheduled anew, and that is left alone."""
    key = await cloud.get(work.ocid)
    state = state_of(key.state)
    if state is State.PENDING_DELETION:
        return Outcome(key=key, differs=True) if _is_another_date(key, work) else None
    return Outcome(key=key, differs=state in _ENDING)


def _is_another_date(key: CloudKey, work: Work) -> bool:
    if key.deletes_at is None or work.deletes_at is None:
        return False
    return abs(key.deletes_at - work.deletes_at) > _CLOSE_S


async def moved(cloud: VaultKeys, work: Work, _: Doubt) -> Outcome | None:
    """In the compartment that was wanted; in a third one somebody else has moved it since."""
    key = await cloud.get(work.ocid)
    if key.compartment_ocid == work.compartment_ocid:
        return Outcome(key=key)
    return None if key.compartment_ocid == work.before["compartment_id"] else Outcome(key=key, differs=True)


async def restored(cloud: VaultKeys, work: Work, _: Doubt) -> Outcome | None:
    """There, and not deleted."""
    try:
        key = await cloud.get(work.ocid)
    except NotFound:
        return None
    if state_of(key.state) in (State.DELETING, State.DELETED):
        return None
    return await _with_versions(cloud, key)


async def backup_deleted(_: VaultKeys, __: Work, ___: Doubt) -> Outcome | None:
    """Deleting it twice does no harm, and tells."""
    return None


async def _with_versions(cloud: VaultKeys, key: CloudKey) -> Outcome:
    try:
        return Outcome(key=key, versions=await versions_of(cloud, key), is_all=True)
    except Refusal:  # the next look finds them
        return Outcome(key=key)
