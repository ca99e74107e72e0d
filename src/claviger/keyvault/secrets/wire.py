"""Requests and answers of the secrets data plane exactly as they stand on the wire (Key Vault contract §2.1 and §3).

Field order is the order of the real service. A field without a value is absent, except `nextLink`, which is null.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from claviger.core.errors import Invalid
from claviger.keyvault.secrets.rules import MAX_EPOCH_S

Epoch = Annotated[int, Meta(ge=0, le=MAX_EPOCH_S)]


class Dialect(Enum):
    """What of the answer depends on the api-version: everything else is the same from 2016 to today."""

    OLDEST = "2016-10-01"  # four recovery levels, no recoverableDays
    PLAIN = "7.0"  # no recoverableDays
    MODERN = "7.1"


_MODERN = (
    *("7.1-preview", "7.1", "7.2-preview", "7.2", "7.3-preview", "7.3", "7.4-preview.1", "7.4"),
    *("7.5-preview.1", "7.5", "7.6-preview.1", "7.6-preview.2", "7.6"),
    *("2025-06-01-preview", "2025-07-01", "2026-01-01-preview", "2026-03-01-preview"),
    *("2026-04-01", "2026-05-01-preview", "2026-07-01-preview"),
)
LATEST_API_VERSION = "2026-04-01"
API_VERSIONS = {
    "2016-10-01": Dialect.OLDEST,
    "7.0": Dialect.PLAIN,
    "7.0-preview": Dialect.PLAIN,
} | dict.fromkeys(_MODERN, Dialect.MODERN)


class AttributesIn(msgspec.Struct):
    """The settable attributes; the read-only ones that clients echo are ignored."""

    enabled: bool | None = None
    nbf: Epoch | None = None
    exp: Epoch | None = None


class SetSecret(msgspec.Struct, rename="camel"):
    """SecretSetParameters."""

    value: str
    content_type: str | None = None
    tags: dict[str, str] | None = None
    attributes: AttributesIn | None = None


class UpdateSecret(msgspec.Struct, rename="camel"):
    """SecretUpdateParameters. Absent and null both mean: leave as it is."""

    content_type: str | None = None
    tags: dict[str, str] | None = None
    attributes: AttributesIn | None = None


class RestoreSecret(msgspec.Struct):
    """SecretRestoreParameters."""

    value: str


class Attributes(msgspec.Struct, omit_defaults=True, rename="camel"):
    """SecretAttributes as answered."""

    enabled: bool
    nbf: int | None = None
    exp: int | None = None
    created: int = -1
    updated: int = -1
    recovery_level: str = ""
    recoverable_days: int | UnsetType = UNSET


class SecretBundle(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """A version of a secret; `value` only in the answers to set and get. Also a list item."""

    value: str | UnsetType = UNSET
    content_type: str | None = None
    id: str
    attributes: Attributes
    tags: msgspec.Raw | UnsetType = UNSET


class DeletedSecretBundle(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """A deleted secret; the three deletion fields are absent where the vault has no soft delete."""

    recovery_id: str | UnsetType = UNSET
    deleted_date: int | UnsetType = UNSET
    scheduled_purge_date: int | UnsetType = UNSET
    content_type: str | None = None
    id: str
    attributes: Attributes
    tags: msgspec.Raw | UnsetType = UNSET


class Page(msgspec.Struct, rename="camel"):
    """A page of a listing."""

    value: list[SecretBundle] | list[DeletedSecretBundle]
    next_link: str | None


class Backup(msgspec.Struct):
    """BackupSecretResult: unpadded base64url."""

    value: str


class BackedUpVersion(msgspec.Struct, array_like=True):
    """One version inside a backup blob. The order of the fields is the format: append only."""

    version: str
    value: bytes
    enabled: bool
    not_before: int | None
    expires_at: int | None
    created_at: int
    updated_at: int
    content_type: str | None
    tags: str | None


class BackedUpSecret(msgspec.Struct, array_like=True):
    """What a backup blob holds, sealed: the name as supplied, and every version, oldest first."""

    name: str
    versions: list[BackedUpVersion]


encode = msgspec.json.Encoder().encode
pack_backup = msgspec.msgpack.Encoder().encode
_unpack_backup = msgspec.msgpack.Decoder(BackedUpSecret)
_set_secret = msgspec.json.Decoder(SetSecret)
_update_secret = msgspec.json.Decoder(UpdateSecret)
_restore_secret = msgspec.json.Decoder(RestoreSecret)

T = TypeVar("T")


def decode_set(body: bytes) -> SetSecret:
    """Raises Invalid("Body") or Invalid("Property")."""
    return _decoded(_set_secret, body)


def decode_update(body: bytes) -> UpdateSecret:
    """Raises Invalid("Body") or Invalid("Property")."""
    return _decoded(_update_secret, body)


def decode_restore(body: bytes) -> RestoreSecret:
    """Raises Invalid("Body") or Invalid("Property")."""
    return _decoded(_restore_secret, body)


def unpack_backup(packed: bytes) -> BackedUpSecret:
    """The opened contents of a blob. Raises Invalid("BackupBlob") where they are not what was packed."""
    try:
        return _unpack_backup.decode(packed)
    except msgspec.MsgspecError:
        raise Invalid("BackupBlob") from None


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The error never quotes the body: it may hold the value of a secret."""
    try:
        if not body.isascii():
            body.decode()  # msgspec passes over the strings of fields that it does not know without looking at them
        return decoder.decode(body)
    except msgspec.ValidationError:
        raise Invalid("Property") from None
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise Invalid("Body") from None
