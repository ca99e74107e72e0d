"""How the wire shows a stored version, and the answers of operations on one."""

from __future__ import annotations

from claviger.ocikms.calls import Answer
from claviger.ocikms.keys.records import Key
from claviger.ocikms.texts import written
from claviger.ocikms.versions import wire
from claviger.ocikms.versions.records import Version


def shown_version(key: Key, version: Version, state: str) -> wire.KeyVersion:
    """The whole version, in that state. It is in the compartment of its key."""
    return wire.KeyVersion(
        compartment_id=key.compartment_id,
        id=version.id,
        is_auto_rotated=version.is_auto_rotated != 0,
        key_id=key.id,
        lifecycle_state=state,
        origin=version.origin,
        public_key=version.public_key,
        restored_from_key_version_id=version.restored_from,
        time_created=written(version.created_at),
        time_of_deletion=None if version.deletes_at is None else written(version.deletes_at),
        vault_id=key.vault_id,
    )


def shown_summary(key: Key, version: Version, now: float) -> wire.KeyVersionSummary:
    """The version as a list has it."""
    return wire.KeyVersionSummary(
        compartment_id=key.compartment_id,
        id=version.id,
        is_auto_rotated=version.is_auto_rotated != 0,
        key_id=key.id,
        lifecycle_state=version.shown_at(now, key),
        origin=version.origin,
        time_created=written(version.created_at),
        time_of_deletion=None if version.deletes_at is None else written(version.deletes_at),
        vault_id=key.vault_id,
    )


def answered(key: Key, version: Version, now: float, state: str = "") -> Answer:
    """The answer of an operation on a version, in the state that it shows ("" for the one that it is in).

    Its etag is that of the state in which the next call finds the version.
    """
    return Answer(
        body=shown_version(key, version, state or version.shown_at(now, key)),
        etag=version.etag_at(now, key),
        subject=version.id,
        compartment_id=key.compartment_id,
    )
