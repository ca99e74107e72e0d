"""The parts of a moved vault as they stand in an archive: MessagePack arrays, one after the other (docs/formats.md).

First `ArchivedVault`; then each secret with its versions behind it, oldest first, by name; then rights, if they were
asked for; last `ArchivedEnd`. The order of the fields is the format: append only.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import field

from claviger.core.errors import Damaged

FORMAT = 1


class VaultSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything of a vault that goes with it. `network_acls`, `tags` and `other` are JSON text, or None."""

    subscription_id: str | None = None
    resource_group: str | None = None
    location: str | None = None
    sku: str = "standard"
    soft_delete: bool = True
    retention_days: int = 90
    purge_protection: bool = False
    rbac: bool = True
    public_access: bool = True
    network_acls: str | None = None
    enabled_for_deployment: bool = False
    enabled_for_disk_encryption: bool = False
    enabled_for_template_deployment: bool = False
    tags: str | None = None
    other: str | None = None


class ArchivedVault(msgspec.Struct, frozen=True, array_like=True, tag="vault"):
    """What the archive is of. `tenant_id` is the tenant of the server it comes from."""

    format: int
    name: str
    tenant_id: str | None
    exported_at: int
    settings: VaultSettings


class ArchivedSecret(msgspec.Struct, frozen=True, array_like=True, tag="secret"):
    """A secret, whose versions follow. The dates are set on a deleted one."""

    name: str
    deleted_at: int | None = None
    purge_at: int | None = None


class ArchivedVersion(msgspec.Struct, frozen=True, array_like=True, tag="version"):
    """A version of the secret before it. `tags` is JSON, as it was sent."""

    version: str
    value: bytes
    enabled: bool
    not_before: int | None
    expires_at: int | None
    created_at: int
    updated_at: int
    content_type: str | None
    tags: str | None

    def __repr__(self) -> str:
        return f"<version {self.version}>"


class ArchivedRole(msgspec.Struct, frozen=True, array_like=True, tag="role"):
    """A role of a principal in the vault, or on one secret of it. `principal` is an object id, or a name to look up."""

    role: str
    principal: str
    secret: str | None = None


class ArchivedPolicy(msgspec.Struct, frozen=True, array_like=True, tag="policy"):
    """What a principal may do in a vault that goes by access policies."""

    principal: str
    permissions: dict[str, list[str]] = field(default_factory=dict)
    application_id: str = ""


class ArchivedEnd(msgspec.Struct, frozen=True, array_like=True, tag="end"):
    """How many secrets and versions came before."""

    secrets: int
    versions: int


Entry = ArchivedVault | ArchivedSecret | ArchivedVersion | ArchivedRole | ArchivedPolicy | ArchivedEnd

pack = msgspec.msgpack.Encoder().encode
_unpack: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(Entry)


def unpack(packed: bytes) -> Entry:
    """What `pack` made. Raises Damaged("ArchiveContents")."""
    try:
        entry: Entry = _unpack.decode(packed)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Damaged("ArchiveContents", fix="it was written by another program, or by a newer Claviger") from None
    return entry
