"""Compares what OCI says of a key with what is recorded, and says what the records should become. No input, no output,
no clock.

A `Sighting` is all that a reading has found out of one key. `settle` turns it, with the rows of that key, into rows to
add and rows to change, and into what the drift list shows of that. Where there is neither, the key is as it is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from claviger.cckm.oci.asking import written
from claviger.cckm.oci.keys import rows
from claviger.cckm.oci.keys.forms import CloudKey, CloudVersion
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.keys.rules import NATIVE, SETTLED, State, state_of
from claviger.cckm.oci.versions import rows as version_rows
from claviger.cckm.oci.versions.rows import VersionRow, origin_of

_DELETED = State.DELETED.value
_PASSING = frozenset({"lifecycle_state", "time_of_deletion"})
"""What moves on by itself while a key passes from one state to the next."""
_STATES = "version_states"

Fields = dict[str, tuple[Any, Any]]
"""By name: what a field was as it was known, and what it is."""


class Sighting(msgspec.Struct, frozen=True):
    """A key as it is in OCI, with all its versions, at a time; `lost` are versions that OCI does not know any more.

    `compartment_name` None: nobody knows it.
    """

    at: float
    key: CloudKey
    versions: list[CloudVersion]
    lost: list[str]
    compartment_name: str | None


class Stamp(msgspec.Struct, frozen=True):
    """Whose work, in which vault, and when."""

    vault_num: int
    by: str
    now: float


class Settled(msgspec.Struct, frozen=True):
    """What becomes of the rows of a key; `key` None: nothing.

    `fields` is what differs from before by somebody's doing, for the drift list, and `facts` all that is so now.
    """

    key: KeyRow | None
    added: list[VersionRow] = []
    changed: list[VersionRow] = []
    fields: Mapping[str, tuple[Any, Any]] = {}
    facts: Mapping[str, Any] = {}
    is_new: bool = False


NOTHING = Settled(None)


def settle(
    sighting: Sighting, row: KeyRow | None, known: Sequence[VersionRow], stamp: Stamp, new_ids: Sequence[str]
) -> Settled:
    """What the rows of a key become by what was seen of it. `new_ids` has an id for it and for each version.

    A key that is deleted already and was never known is left out: there is nothing to do with it, and whoever has
    removed its record would find it again.
    """
    said, now = sighting.key, stamp.now
    if row is None:
        if said.state == _DELETED:
            return NOTHING
        origin = _origin(sighting)
        key = rows.fresh(new_ids[0], stamp.vault_num, said, sighting.compartment_name or "", origin, stamp.by, now)
        added = _added(sighting, key, {}, new_ids, now)
        return Settled(key, added, [], {}, _facts(key, added), is_new=True)
    after = _key_after(row, sighting, now)
    standing = {each.ocid: each for each in known}
    added = _added(sighting, row, standing, new_ids, now)
    changed = _changed(sighting, after or row, known, now)
    if after is None and not added and not changed:
        return NOTHING
    key = msgspec.structs.replace(after or row, refreshed_at=now, updated_at=now)
    moved = {each.num: each for each in changed}
    was, facts = _facts(row, known), _facts(key, [*(moved.get(each.num, each) for each in known), *added])
    fields = {name: (was[name], facts[name]) for name in facts if was[name] != facts[name]}
    if _was_on_its_way(row.state, row.deletes_at, now):
        fields = {name: pair for name, pair in fields.items() if name not in _PASSING}
    else:
        fields |= _of_versions(known, moved, now)
    return Settled(key, added, changed, fields, facts)


def end(row: KeyRow, known: Sequence[VersionRow], stamp: Stamp, *, is_final: bool) -> tuple[KeyRow, list[VersionRow]]:
    """A key that is not in OCI any more, with its versions: gone; and deleted where its time had come."""
    after = msgspec.structs.replace(
        row,
        state=_DELETED if is_final else row.state,
        gone=1,
        refresh_at=None,
        tries=0,
        refreshed_at=stamp.now,
        updated_at=stamp.now,
    )
    versions = [each for each in known if not each.gone and each.state != _DELETED]
    return after, [_ended(each, stamp.now, is_final=is_final) for each in versions]


def is_over(state: str, deletes_at: float | None, now: float) -> bool:
    """Whether the date of a deletion has come, so that nobody has to wonder where it is."""
    return state == State.PENDING_DELETION.value and deletes_at is not None and deletes_at <= now


def _origin(sighting: Sighting) -> str:
    """Where a key's material is from that was not made here: the current version tells."""
    current = next((each for each in sighting.versions if each.ocid == sighting.key.current_version_ocid), None)
    said = current or next(iter(sighting.versions), None)
    return NATIVE if said is None else origin_of(said)


def _key_after(row: KeyRow, sighting: Sighting, now: float) -> KeyRow | None:
    """The row as it should be; None where it is so already."""
    after = rows.told(row, sighting.key, sighting.compartment_name, now)
    if after.said == row.said:  # the order of tags says nothing
        after = msgspec.structs.replace(after, details=row.details)
    looked = {"refresh_at": row.refresh_at, "tries": row.tries, "refreshed_at": row.refreshed_at}
    return None if msgspec.structs.replace(after, **looked) == row else after


def _added(
    sighting: Sighting, key: KeyRow, standing: Mapping[str, VersionRow], new_ids: Sequence[str], now: float
) -> list[VersionRow]:
    return [
        _with_key(sighting.key.state, version_rows.fresh(ident, key.num, each, None, now))
        for each, ident in zip(sighting.versions, new_ids[1:], strict=True)
        if each.ocid not in standing
    ]


def _changed(sighting: Sighting, key: KeyRow, known: Sequence[VersionRow], now: float) -> list[VersionRow]:
    said = {each.ocid: each for each in sighting.versions}
    lost = frozenset(sighting.lost)
    changed = []
    for row in known:
        if row.ocid in said:
            after = _version_after(row, said[row.ocid], key.state, now)
        elif row.ocid in lost and not row.gone and row.state != _DELETED:
            after = _ended(row, now, is_final=False)
        elif key.state == _DELETED and row.state != _DELETED:
            after = msgspec.structs.replace(_with_key(key.state, row), refreshed_at=now, updated_at=now)
        else:
            after = None
        if after is not None:
            changed.append(after)
    return changed


def _version_after(row: VersionRow, said: CloudVersion, key_state: str, now: float) -> VersionRow | None:
    """The row as it should be; None where it is so already."""
    if not said.public_key:  # it is from a list, which does not tell of replicas
        said = msgspec.structs.replace(said, is_primary=row.said.is_primary)
    after = _with_key(key_state, version_rows.told(row, said, now))
    if after.said == row.said:
        after = msgspec.structs.replace(after, details=row.details)
    looked = {"refresh_at": row.refresh_at, "tries": row.tries, "refreshed_at": row.refreshed_at}
    if msgspec.structs.replace(after, **looked) == row:
        return None
    return msgspec.structs.replace(after, updated_at=now)


def _with_key(key_state: str, row: VersionRow) -> VersionRow:
    """Versions of a deleted key are deleted."""
    if key_state != _DELETED or row.state == _DELETED:
        return row
    return msgspec.structs.replace(row, state=_DELETED, refresh_at=None, tries=0)


def _ended(row: VersionRow, now: float, *, is_final: bool) -> VersionRow:
    state = _DELETED if is_final or is_over(row.state, row.deletes_at, now) else row.state
    return msgspec.structs.replace(row, state=state, gone=1, refresh_at=None, tries=0, refreshed_at=now, updated_at=now)


# What is shown of it.


def _was_on_its_way(state: str, deletes_at: float | None, now: float) -> bool:
    """Whether something was about to change its state by itself."""
    return state_of(state) not in SETTLED or is_over(state, deletes_at, now)


def _facts(key: KeyRow, versions: Sequence[VersionRow]) -> dict[str, Any]:
    said = key.said
    return {
        "lifecycle_state": key.state,
        "time_of_deletion": written(key.deletes_at),
        "display_name": key.name,
        "compartment_id": key.compartment_ocid,
        "protection_mode": key.protection_mode,
        "current_key_version": key.current_version_ocid,
        "freeform_tags": said.freeform_tags,
        "defined_tags": said.defined_tags,
        "versions": sum(1 for each in versions if not each.gone),
    }


def _of_versions(
    known: Sequence[VersionRow], moved: Mapping[int, VersionRow], now: float
) -> dict[str, tuple[Any, Any]]:
    """The states of versions that somebody has changed, by their OCIDs."""
    pairs = [(row, moved[row.num]) for row in known if row.num in moved]
    told = [
        (row, after)
        for row, after in pairs
        if row.state != after.state and not _was_on_its_way(row.state, row.deletes_at, now)
    ]
    if not told:
        return {}
    return {_STATES: ({row.ocid: row.state for row, _ in told}, {row.ocid: row.state for _, row in told})}


def merged(before: Mapping[str, tuple[Any, Any]], done: Settled) -> Fields:
    """What the drift list says of a key from now on: nothing of what is as it was before it drifted."""
    fields: Fields = {}
    for name, (was, then) in before.items():
        now = done.fields[name][1] if name in done.fields else done.facts.get(name, then)
        pair = _states((was, then), done.fields.get(name, ({}, {}))) if name == _STATES else (was, now)
        if pair[0] != pair[1]:
            fields[name] = pair
    return fields | {name: pair for name, pair in done.fields.items() if name not in before}


def followed(before: Mapping[str, tuple[Any, Any]], key: KeyRow, versions: Sequence[VersionRow]) -> Fields:
    """The same once the record has followed OCI: what is so now, of all that was different."""
    states = {row.ocid: row.state for row in versions}
    fields: Fields = {}
    if _STATES in before:
        fields[_STATES] = ({}, {ocid: states.get(ocid, then) for ocid, then in before[_STATES][1].items()})
    return merged(before, Settled(key, fields=fields, facts=_facts(key, versions)))


def _states(before: tuple[Any, Any], news: tuple[Any, Any]) -> tuple[Any, Any]:
    """The states of versions as they were first known, and as they are; without those that are as they were."""
    was, now = {**news[0], **before[0]}, {**before[1], **news[1]}
    differ = [ocid for ocid in now if now[ocid] != was[ocid]]
    return {ocid: was[ocid] for ocid in differ}, {ocid: now[ocid] for ocid in differ}
