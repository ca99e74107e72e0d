"""What may be done to a secret in which state, who may do it, and what its parts may look like.

A name is in one of five states. It is ABSENT until a set or restore makes it ACTIVE. A delete takes all its versions to
DELETED, from where a recover brings the same versions back and a purge, or the end of the retention, leaves it ABSENT.
The real service needs a while for delete and recover; DELETING and RECOVERING are those windows (of no length unless a
switch opens them). Everything is decided on the whole secret: single versions are never deleted.
Source: Key Vault contract §2, §4 and §6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

from claviger.core.errors import Forbidden, Invalid
from claviger.lifecycle.retention import is_final
from claviger.lifecycle.transitions import TransitionTable, absent, conflict

MAX_VALUE_BYTES = 25_600
MAX_CONTENT_TYPE_LENGTH = 255
MAX_TAGS = 15
MAX_TAG_LENGTH = 512
MAX_BACKUP_VERSIONS = 500
MAX_PAGE = 25
MAX_EPOCH_S = 253_402_300_799  # the last second of the year 9999, past which clients cannot show a date

_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}", re.ASCII)
_VERSION = re.compile(r"[0-9a-fA-F]{32}", re.ASCII)


class State(Enum):
    """Where a name stands; the words are ours, the wire never shows them."""

    ABSENT = "absent"
    ACTIVE = "active"
    DELETING = "deleting"
    DELETED = "deleted"
    RECOVERING = "recovering"


class Operation(Enum):
    """The twelve operations, by the names of the service's own log (contract §12)."""

    __hash__ = object.__hash__  # Enum's own is a Python function, and every request looks two tables up by operation

    SET = "SecretSet"
    GET = "SecretGet"
    UPDATE = "SecretUpdate"
    DELETE = "SecretDelete"
    LIST = "SecretList"
    LIST_VERSIONS = "SecretListVersions"
    LIST_DELETED = "SecretListDeleted"
    GET_DELETED = "SecretGetDeleted"
    RECOVER = "SecretRecover"
    PURGE = "SecretPurge"
    BACKUP = "SecretBackup"
    RESTORE = "SecretRestore"


def secret_id(vault: str, name: str) -> str:
    """By what the audit log knows a secret: the same for every way to write its name."""
    return f"{vault}/secrets/{name.lower()}"


class Right:
    """What a caller needs for an operation: an access-policy permission, or an RBAC data action."""

    __slots__ = ("data_action", "permission", "vault_wide")

    def __init__(self, permission: str, data_action: str, *, vault_wide: bool = False) -> None:
        self.permission = permission
        self.data_action = f"Microsoft.KeyVault/vaults/secrets/{data_action}"
        self.vault_wide = vault_wide


RIGHTS: Mapping[Operation, Right] = {
    Operation.SET: Right("set", "setSecret/action"),
    Operation.GET: Right("get", "getSecret/action"),
    Operation.UPDATE: Right("set", "update/action"),
    Operation.DELETE: Right("delete", "delete"),
    Operation.LIST: Right("list", "readMetadata/action", vault_wide=True),
    Operation.LIST_VERSIONS: Right("list", "readMetadata/action"),
    Operation.LIST_DELETED: Right("list", "readMetadata/action", vault_wide=True),
    Operation.GET_DELETED: Right("get", "readMetadata/action"),
    Operation.RECOVER: Right("recover", "recover/action"),
    Operation.PURGE: Right("purge", "purge/action"),
    Operation.BACKUP: Right("backup", "backup/action"),
    Operation.RESTORE: Right("restore", "restore/action", vault_wide=True),
}

_GONE = absent("SecretNotFound")
_NOT_DELETED = absent("DeletedSecretNotFound")
_BEING_DELETED = conflict("ObjectIsBeingDeleted")
_BEING_RECOVERED = conflict("ObjectIsBeingRecovered")
_NAME_TAKEN = conflict("RestoreConflict")

TRANSITIONS: TransitionTable[Operation, State] = TransitionTable(
    {
        Operation.SET: {
            State.ABSENT: State.ACTIVE,
            State.ACTIVE: State.ACTIVE,
            State.DELETING: conflict("NameIsBeingDeleted"),
            State.DELETED: conflict("ObjectIsDeletedButRecoverable"),
            State.RECOVERING: _BEING_RECOVERED,
        },
        Operation.GET: {
            State.ABSENT: _GONE,
            State.ACTIVE: State.ACTIVE,
            State.DELETING: _GONE,
            State.DELETED: _GONE,
            State.RECOVERING: _GONE,
        },
        Operation.UPDATE: {
            State.ABSENT: _GONE,
            State.ACTIVE: State.ACTIVE,
            State.DELETING: _GONE,
            State.DELETED: _GONE,
            State.RECOVERING: _BEING_RECOVERED,
        },
        Operation.DELETE: {
            State.ABSENT: _GONE,
            State.ACTIVE: State.DELETED,
            State.DELETING: _GONE,
            State.DELETED: _GONE,
            State.RECOVERING: _BEING_RECOVERED,
        },
        Operation.GET_DELETED: {
            State.ABSENT: _NOT_DELETED,
            State.ACTIVE: _NOT_DELETED,
            State.DELETING: _NOT_DELETED,
            State.DELETED: State.DELETED,
            State.RECOVERING: _NOT_DELETED,
        },
        Operation.RECOVER: {
            State.ABSENT: _GONE,
            State.ACTIVE: _GONE,
            State.DELETING: _BEING_DELETED,
            State.DELETED: State.ACTIVE,
            State.RECOVERING: _BEING_RECOVERED,
        },
        Operation.PURGE: {
            State.ABSENT: _NOT_DELETED,
            State.ACTIVE: _NOT_DELETED,
            State.DELETING: _BEING_DELETED,
            State.DELETED: State.ABSENT,
            State.RECOVERING: _NOT_DELETED,
        },
        Operation.BACKUP: {
            State.ABSENT: _GONE,
            State.ACTIVE: State.ACTIVE,
            State.DELETING: _GONE,
            State.DELETED: _GONE,
            State.RECOVERING: _GONE,
        },
        Operation.RESTORE: {
            State.ABSENT: State.ACTIVE,
            State.ACTIVE: _NAME_TAKEN,
            State.DELETING: _NAME_TAKEN,
            State.DELETED: _NAME_TAKEN,
            State.RECOVERING: _NAME_TAKEN,
        },
    }
)


def state_of(deleted: bool, settles_at: int | None, purge_at: int | None, now: float) -> State:
    """The state of a stored secret at `now`. Past its purge date it is ABSENT even before a sweep has come by."""
    settling = settles_at is not None and now < settles_at
    if not deleted:
        return State.RECOVERING if settling else State.ACTIVE
    if is_final(purge_at, now):
        return State.ABSENT
    return State.DELETING if settling else State.DELETED


def check_enabled(enabled: bool, name: str) -> None:
    """Refuses to reveal a disabled version, or to show a deleted secret whose latest one is disabled (§4)."""
    if not enabled:
        raise Forbidden("SecretDisabled", name=name)


def check_purge(purge_protection: bool, name: str) -> None:
    """Refuses a purge by hand where the vault is protected; only the end of the retention purges there."""
    if purge_protection:
        raise Forbidden("PurgeProtected", name=name)


def is_name(text: str) -> bool:
    """Whether a secret may be called so."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str) -> str:
    """The form under which a name is compared and sorted. Raises Invalid("Name")."""
    if _NAME.fullmatch(name) is None:
        raise Invalid("Name", name=name[:200])
    return name.lower()


def is_version(segment: str) -> bool:
    """Whether a path segment can name a version."""
    return _VERSION.fullmatch(segment) is not None


def check_value(value: bytes) -> None:
    """Raises Invalid("Property") for a value over 25 600 bytes of UTF-8."""
    if len(value) > MAX_VALUE_BYTES:
        raise Invalid("Property", property="value")


def check_metadata(content_type: str | None, tags: Mapping[str, str] | None) -> None:
    """Raises Invalid("Property") where the content type or the tags are over their limits (§4)."""
    if content_type is not None and (len(content_type) > MAX_CONTENT_TYPE_LENGTH or "\0" in content_type):
        raise Invalid("Property", property="contentType")
    if not tags:
        return
    longest = max(max(len(name), len(text)) for name, text in tags.items())
    if len(tags) > MAX_TAGS or longest > MAX_TAG_LENGTH:
        raise Invalid("Property", property="tags")


def check_page_size(maxresults: str | None) -> int:
    """The page size asked for; 25 where none was. Raises Invalid("MaxResults") outside 1 to 25."""
    if maxresults is None:
        return MAX_PAGE
    if not (
        maxresults.isascii() and maxresults.isdigit() and len(maxresults) <= 9 and 1 <= int(maxresults) <= MAX_PAGE
    ):
        raise Invalid("MaxResults", given=maxresults[:40], most=MAX_PAGE)
    return int(maxresults)
