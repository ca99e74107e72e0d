"""Compares what the cloud says of a secret with what is recorded, and says what the records should become. No input, no
output, no clock.

A `Sighting` is all that a reading has found out of one name that is not as it was known. `settle` turns it, with the
rows of that name, into rows to add and rows to change, and into what the drift list shows of that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from claviger.cckm.azure.secrets.cloud import CloudSecret
from claviger.cckm.azure.secrets.conclusions import told_of
from claviger.cckm.azure.secrets.rows import SecretRow, Told, encode_details, read_details
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.azure.synchronization.cloud import with_version
from claviger.cckm.azure.synchronization.records import Known

NATIVE, OURS = "native", "cckm"
_AVAILABLE, _SOFT_DELETED = Status.AVAILABLE.value, Status.SOFT_DELETED.value
_SHOWN = (
    "content_type",
    "tags",
    "managed",
    "enabled",
    "not_before",
    "expires_at",
    "recovery_level",
    "recoverable_days",
)
_SAID = (*_SHOWN, "created_at", "updated_at", "deleted_at", "purge_at")


class Sighting(msgspec.Struct, frozen=True):
    """A secret as it is in the cloud: live with all its versions, or deleted with the one that is known."""

    name: str
    is_deleted: bool
    versions: list[CloudSecret]


class Settled(msgspec.Struct, frozen=True):
    """What becomes of the rows of a name. `fields` is what differs from before, for the drift list."""

    added: list[SecretRow]
    changed: list[SecretRow]
    fields: Mapping[str, tuple[Any, Any]]
    is_new: bool = False
    shown_by: str = ""


class Stamp(msgspec.Struct, frozen=True):
    """Whose work, in which vault, and when."""

    vault_num: int
    by: str
    now: float


def is_as_known(item: CloudSecret, known: Known, *, is_deleted: bool) -> bool:
    """Whether a list says of a secret what its newest row says."""
    if known.gone or known.status != (_SOFT_DELETED if is_deleted else _AVAILABLE):
        return False
    said = told_of(with_version(item, known.version))
    if known.details in (encode_details(said, NATIVE), encode_details(said, OURS)):
        return True
    return _same(said, told_in(known.details))


def told_in(details: str) -> Told:
    """What is stored of what the cloud said, with its attributes."""
    kept = read_details(details)
    param = msgspec.json.decode(kept.azure_param)
    attributes = param.get("attributes", {})
    return Told(
        azure_id=param["id"],
        content_type=param.get("contentType"),
        tags=param.get("tags", {}),
        managed=param.get("managed", False),
        enabled=attributes.get("enabled") is not False,
        not_before=attributes.get("nbf"),
        expires_at=attributes.get("exp"),
        created_at=kept.azure_created_at,
        updated_at=kept.azure_updated_at,
        recovery_level=attributes.get("recoveryLevel", ""),
        recoverable_days=attributes.get("recoverableDays"),
        deleted_at=kept.deleted_at,
        purge_at=kept.purge_at,
    )


def _same(one: Told, other: Told) -> bool:
    return all(getattr(one, field) == getattr(other, field) for field in _SAID)


def in_order(versions: Sequence[CloudSecret], newest: CloudSecret) -> list[CloudSecret]:
    """Versions, the newest last. Of those made in the same second it is the one that the list of secrets shows."""
    shown = told_of(newest)

    def rank(version: CloudSecret) -> tuple[int, bool, int]:
        said = told_of(version)
        is_shown = all(getattr(said, field) == getattr(shown, field) for field in _SHOWN)
        return version.created_at, is_shown, version.updated_at

    return sorted(versions, key=rank)


def settle(sighting: Sighting, rows: Sequence[SecretRow], stamp: Stamp, new_ids: Sequence[str]) -> Settled:
    """What the rows of a name become by what was seen of it. `new_ids` has an id for each version that may be new."""
    status = Status.SOFT_DELETED if sighting.is_deleted else Status.AVAILABLE
    standing = _by_version(rows)
    newest_version = sighting.versions[-1].version
    if newest_version not in standing and "" in standing:  # Azure did not tell it while the secret was deleted
        standing[newest_version] = msgspec.structs.replace(standing[""], version=newest_version)
    added: list[SecretRow] = []
    changed: dict[int, SecretRow] = {}
    for version, ident in zip(sighting.versions, new_ids, strict=True):
        row = standing.get(version.version)
        if row is None:
            added.append(_added(version, status, stamp, ident))
            continue
        after = _standing(row, status, _kept(version, row), stamp)
        if after is not None:
            changed[row.num] = after
    if sighting.is_deleted:
        changed |= _gone_along(rows, sighting.versions[-1], changed, stamp)
    if not added and not changed:
        return Settled([], [], {})
    there = [row for row in rows if row.status is not Status.DELETED]
    all_now = [*(changed.get(row.num, row) for row in rows), *added]
    now = [row for row in all_now if row.status is not Status.DELETED]
    newest = _newest(now)
    fields = _fields(there, now) or _fields_of_older(there, changed)
    return Settled(added, list(changed.values()), fields, not there, "" if newest is None else newest.id)


def _gone_along(
    rows: Sequence[SecretRow], newest: CloudSecret, changed: Collection[int], stamp: Stamp
) -> dict[int, SecretRow]:
    """The other versions of a deleted secret, which cannot be listed: they went with the newest. By their numbers.

    What was gone is not part of it, unless the newest was gone with it.
    """
    back = {row.backup for row in rows if row.gone and row.version == newest.version}
    along = {}
    for row in rows:
        if row.status is Status.DELETED or row.num in changed or row.version == newest.version:
            continue
        if row.gone and row.backup not in back:
            continue
        told = msgspec.structs.replace(row.told, deleted_at=newest.deleted_at, purge_at=newest.purge_at)
        after = _standing(row, Status.SOFT_DELETED, told, stamp)
        if after is not None:
            along[row.num] = after
    return along


def end(rows: Sequence[SecretRow], stamp: Stamp, *, is_final: bool) -> list[SecretRow]:
    """Rows whose versions are nowhere in the cloud any more: gone; and deleted for good where that is certain."""
    ended = []
    for row in rows:
        told, status = row.told, row.status
        if is_final:
            told, status = msgspec.structs.replace(told, purge_at=None), Status.DELETED
        ended.append(
            msgspec.structs.replace(row, gone=True, status=status, told=told, synced_at=stamp.now, updated_at=stamp.now)
        )
    return ended


def _by_version(rows: Sequence[SecretRow]) -> dict[str, SecretRow]:
    """The row that stands for a version: one that is there before one that was deleted for good, else the newest."""
    found: dict[str, SecretRow] = {}
    for row in sorted(rows, key=lambda row: (row.status is not Status.DELETED, row.num)):
        found[row.version] = row
    return found


def _kept(version: CloudSecret, row: SecretRow) -> Told:
    """What is said of a version; its identifier as it is known, where only the spelling of the name differs."""
    told = told_of(version)
    if told.azure_id.lower() == row.told.azure_id.lower():
        told = msgspec.structs.replace(told, azure_id=row.told.azure_id)
    return told


def _standing(row: SecretRow, status: Status, told: Told, stamp: Stamp) -> SecretRow | None:
    """The row as it should be; None where it is so already."""
    soft_deleted = status is Status.SOFT_DELETED
    same = row.status is status and row.soft_deleted == soft_deleted and not row.gone
    if same and row.told == told:
        return None
    return msgspec.structs.replace(
        row,
        status=status,
        soft_deleted=soft_deleted,
        gone=False,
        told=told,
        synced_at=stamp.now,
        updated_at=stamp.now,
    )


def _added(version: CloudSecret, status: Status, stamp: Stamp, ident: str) -> SecretRow:
    return SecretRow(
        id=ident,
        vault_num=stamp.vault_num,
        name=version.name,
        version=version.version,
        status=status,
        soft_deleted=status is Status.SOFT_DELETED,
        origin=NATIVE,
        told=told_of(version),
        backup=None,
        backup_at=None,
        synced_at=stamp.now,
        created_by=stamp.by,
        modified_by=stamp.by,
        created_at=stamp.now,
        updated_at=stamp.now,
    )


def _newest(rows: Sequence[SecretRow]) -> SecretRow | None:
    return max(rows, key=lambda row: (row.told.created_at, row.num or 1 << 62), default=None)


def _fields(before: Sequence[SecretRow], after: Sequence[SecretRow]) -> dict[str, tuple[Any, Any]]:
    """What differs between what a name was and is, in the words of the wire."""
    one, other = _newest(before), _newest(after)
    if one is None or other is None:
        return {}
    pairs = _pairs(one, other)
    if len(before) != len(after):
        pairs["versions"] = (len(before), len(after))
    return pairs


def _fields_of_older(before: Sequence[SecretRow], changed: Mapping[int, SecretRow]) -> dict[str, tuple[Any, Any]]:
    """The same of older versions, where the newest one has not changed."""
    pairs: dict[str, tuple[Any, Any]] = {}
    for row in before:
        if row.num in changed:
            pairs |= _pairs(row, changed[row.num])
    return pairs


def _pairs(one: SecretRow, other: SecretRow) -> dict[str, tuple[Any, Any]]:
    was, now = _facts(one), _facts(other)
    return {name: (was[name], now[name]) for name in was if was[name] != now[name]}


def _facts(row: SecretRow) -> dict[str, Any]:
    told = row.told
    return {
        "status": row.status.value,
        "version": row.version,
        "contentType": told.content_type,
        "tags": told.tags,
        "managed": told.managed,
        "enabled": told.enabled,
        "nbf": told.not_before,
        "exp": told.expires_at,
        "recoveryLevel": told.recovery_level,
        "recoverableDays": told.recoverable_days,
    }
