"""Records of the audit log, checkpoints and proofs, as on the wire (CCKM contract §10). Hashes are in hex."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


class AuditRecordShown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record, which never changes. `details` holds what it was done to, and how it ended.

    `canonical`, of a single record, is its leaf in the log's tree: the SHA-256 of a zero byte and this text is what a
    proof of inclusion begins with.
    """

    id: str
    uri: str
    account: str
    created_at: str = msgspec.field(name="createdAt")
    updated_at: str = msgspec.field(name="updatedAt")
    severity: str
    message: str
    service: str
    source: str
    success: bool
    username: str
    user_id: str
    client_ip: str = msgspec.field(name="clientIP")
    domain: str
    details: dict[str, Any]
    seq: int
    canonical: str | msgspec.UnsetType = msgspec.UNSET


class ClientRecord(msgspec.Struct, frozen=True):
    """A record that a client has sent. No client of this server sends any."""

    id: str


class CheckpointShown(msgspec.Struct, frozen=True):
    """The last signed checkpoint: how many records, their root, when; and the signed note that says so."""

    origin: str
    size: int
    root: str
    at: str
    note: str


class InclusionShown(msgspec.Struct, frozen=True):
    """The proof that the record `seq` is among the first `size` (RFC 9162 §2.1.3)."""

    seq: int
    size: int
    leaf: str
    root: str
    proof: Sequence[str]


class ConsistencyShown(msgspec.Struct, frozen=True, rename={"old": "from", "new": "to"}):
    """The proof that the first `to` records begin with the first `from` (RFC 9162 §2.1.4)."""

    old: int
    new: int
    old_root: str
    new_root: str
    proof: Sequence[str]


class PublicKeyShown(msgspec.Struct, frozen=True):
    """What checkpoints are checked with, as `claviger audit verify --public-key` takes it."""

    public_key: str
