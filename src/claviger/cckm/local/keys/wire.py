"""Local keys as they are on the wire, in the words of CipherTrust Manager's `/vault/keys2`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header
from claviger.core.sensitive import Sensitive

Word = Annotated[str, msgspec.Meta(max_length=64)]


class CreateLocalKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to be made, or, with `material`, imported. `size` is in bits."""

    name: str | UnsetType = UNSET
    algorithm: Word = "AES"
    size: int = 0
    curve: Word = msgspec.field(default="", name="curveid")
    usage_mask: int | UnsetType = msgspec.field(default=UNSET, name="usageMask")
    unexportable: bool = False
    undeletable: bool = False
    material: Sensitive | UnsetType = UNSET
    encoding: Word = "hex"
    labels: dict[str, str] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = UNSET


class LocalKeyRecord(Header, frozen=True, kw_only=True):
    """A local key. Its material is not in it."""

    name: str
    algorithm: str
    size: int
    curve: str | UnsetType = msgspec.field(default=UNSET, name="curveid")
    state: str = "Active"
    object_type: str = msgspec.field(name="objectType")
    version: int = 0
    usage_mask: int = msgspec.field(name="usageMask")
    unexportable: bool
    undeletable: bool
    public_key: str | UnsetType = msgspec.field(default=UNSET, name="publickey")
    fingerprint: str | UnsetType = msgspec.field(default=UNSET, name="sha256Fingerprint")
    labels: dict[str, str]
    meta: dict[str, Any]


class ExportedLocalKey(LocalKeyRecord, frozen=True, kw_only=True):
    """The same with its material: hex of a symmetric key, PEM (PKCS #8) of a private one."""

    material: str
