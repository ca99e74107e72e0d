"""How the wire shows a stored key, and the answers of operations on one."""

from __future__ import annotations

import msgspec

from claviger.audit.entry import Subject
from claviger.ocikms.calls import Answer, Told
from claviger.ocikms.keys import records, wire
from claviger.ocikms.keys.records import Key
from claviger.ocikms.keys.rules import day_of
from claviger.ocikms.texts import written
from claviger.store.contract import Row

REMEMBERED_KEYS = 1024
MAX_REMEMBERED_TAGS = 4096
"""Characters of a key's tags, of both kinds together: one with more of them is shown anew each time."""


def shown_key(key: Key, state: str) -> wire.Key:
    """The whole key, in that state."""
    return wire.Key(
        auto_key_rotation_details=None if key.rotation_interval_days is None else _rotation(key),
        compartment_id=key.compartment_id,
        current_key_version=key.current_version_id,
        defined_tags=msgspec.Raw(key.defined_tags.encode()),
        display_name=key.display_name,
        freeform_tags=msgspec.Raw(key.freeform_tags.encode()),
        id=key.id,
        is_auto_rotation_enabled=key.is_auto_rotated != 0,
        key_shape=wire.KeyShape(key.algorithm, key.length, key.curve_id),
        lifecycle_state=state,
        protection_mode=key.protection_mode,
        restored_from_key_id=key.restored_from,
        time_created=written(key.created_at),
        time_of_deletion=None if key.deletes_at is None else written(key.deletes_at),
        vault_id=key.vault_id,
    )


def _rotation(key: Key) -> wire.ShownRotation:
    start, following, last = key.rotation_start_at, key.next_rotation_at, key.last_rotation_at
    return wire.ShownRotation(
        rotation_interval_in_days=key.rotation_interval_days or 0,
        time_of_schedule_start=None if start is None else written(start),
        time_of_next_rotation=None if following is None else written(day_of(following)),
        time_of_last_rotation=None if last is None else written(last),
        last_rotation_status=key.last_rotation_status,
        last_rotation_message=key.last_rotation_message,
    )


def shown_summary(key: Key, now: float) -> wire.KeySummary:
    """The key as a list has it."""
    return wire.KeySummary(
        algorithm=key.algorithm,
        compartment_id=key.compartment_id,
        defined_tags=msgspec.Raw(key.defined_tags.encode()),
        display_name=key.display_name,
        freeform_tags=msgspec.Raw(key.freeform_tags.encode()),
        id=key.id,
        is_auto_rotation_enabled=key.is_auto_rotated != 0,
        lifecycle_state=key.shown_at(now),
        protection_mode=key.protection_mode,
        time_created=written(key.created_at),
        vault_id=key.vault_id,
    )


def answered(key: Key, now: float, state: str = "") -> Answer:
    """The answer of an operation on a key, in the state that it shows ("" for the one that the key is in).

    Its etag is that of the state in which the next call finds the key.
    """
    return Answer(
        body=shown_key(key, state or key.shown_at(now)),
        etag=key.etag_at(now),
        subject=key.id,
        compartment_id=key.compartment_id,
    )


def answered_bare(key: Key, now: float) -> Answer:
    """The answer of an operation that has no body: the etag alone."""
    return Answer(etag=key.etag_at(now), subject=key.id, compartment_id=key.compartment_id)


class ShownKey:
    """A key as one row has it, and its answer in JSON, made when it is first asked for in its present state."""

    __slots__ = ("_state", "_told", "key", "row")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.key = records.read(row)
        self._state = ""
        self._told: Told | None = None

    def told(self, now: float) -> Told:
        """What GetKey answers at this moment, and what its record is about."""
        key, state = self.key, self.key.shown_at(now)
        if self._told is None or state != self._state:
            answer = answered(key, now, state)
            answer.body = msgspec.Raw(msgspec.json.encode(answer.body))
            subject = Subject(kind="key", id=key.id, name=key.display_name, container=key.vault_id)
            self._state, self._told = state, Told(answer, subject)
        return self._told


class ShownKeys:
    """Remembers how keys were shown: the row is read each time, and where every column of it is the same, so is what it
    is shown as.
    """

    def __init__(self) -> None:
        self._known: dict[int, ShownKey] = {}

    def of(self, row: Row) -> ShownKey:
        """The key of a row that begins with its number."""
        known = self._known.get(row[0])
        if known is None or known.row != row:
            known = ShownKey(row)
            if len(known.key.freeform_tags) + len(known.key.defined_tags) <= MAX_REMEMBERED_TAGS:
                if len(self._known) >= REMEMBERED_KEYS:
                    self._known.clear()
                self._known[row[0]] = known
        return known
