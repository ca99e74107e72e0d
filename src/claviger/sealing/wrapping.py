"""Root keys and data keys as they stand in the database: wrapped, and bound to their rows. No SQL here."""

from __future__ import annotations

import secrets

from claviger.core.errors import Damaged
from claviger.crypto.envelope import associated_data, new_key
from claviger.crypto.root_key import RootKey
from claviger.sealing.records import DataKeyRow, RootKeyRow

CHECK_VALUE = b"claviger root key check"
_LARGEST_ID = 2**47 - 1  # six bytes in an SQLite row


def check_value_bound(root_key_id: str) -> bytes:
    """What the check value of a root key is bound to."""
    return associated_data("root-key-check", root_key_id)


def data_key_bound(data_key_id: int, scope: str, root_key_id: str) -> bytes:
    """What a wrapped data key is bound to."""
    return associated_data("data-key", data_key_id, scope, root_key_id)


def check_value(root: RootKey) -> bytes:
    """The constant that proves, at start, that a root key is the right one: sealed under it."""
    return root.key.seal(CHECK_VALUE, check_value_bound(root.id))


def made_data_key(root: RootKey, scope: str) -> DataKeyRow:
    """A fresh data key, wrapped under `root` and not stored yet."""
    data_key_id = 1 + secrets.randbelow(_LARGEST_ID)
    wrapped = root.key.seal(new_key(), data_key_bound(data_key_id, scope, root.id))
    return DataKeyRow(data_key_id, scope, root.id, wrapped)


def unwrapped(row: DataKeyRow, root: RootKey) -> bytes:
    """The bytes of a data key. Raises Damaged("DataKeyBroken")."""
    try:
        return root.key.open(row.wrapped, data_key_bound(row.id, row.scope, row.root_key_id))
    except Damaged:
        raise Damaged("DataKeyBroken", data_key_id=row.id, scope=row.scope) from None


def rewrapped(row: DataKeyRow, old: RootKey, new: RootKey) -> bytes:
    """The same data key, wrapped under `new`. Raises Damaged("DataKeyBroken")."""
    return new.key.seal(unwrapped(row, old), data_key_bound(row.id, row.scope, new.id))


def checked(key: RootKey, row: RootKeyRow) -> RootKey:
    """`key`, if it opens the check value of `row`. Raises Damaged("RootKeyCheck")."""
    try:
        right = key.key.open(row.check_value, check_value_bound(row.id)) == CHECK_VALUE
    except Damaged:
        right = False
    if not right:
        fix = "the row of this root key is not what was written: bring the database back from a copy"
        raise Damaged("RootKeyCheck", root_key_id=row.id, fix=fix)
    return key
