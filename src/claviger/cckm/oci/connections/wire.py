"""Requests and answers about connections to OCI, exactly as they stand on the wire (CCKM contract, common §7.4)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.connections.wire import CommonIn, CommonOut
from claviger.core.sensitive import Sensitive


class OciCredentialsIn(msgspec.Struct, frozen=True, kw_only=True):
    """The API key's private half, in PEM, and its pass phrase. Both are sealed, and never shown."""

    key_file: Sensitive | UnsetType = UNSET
    pass_phrase: Sensitive | UnsetType = UNSET


class OciConnectionIn(CommonIn, frozen=True, kw_only=True):
    """The body of POST, of PATCH and of a test."""

    user_ocid: str | UnsetType = UNSET
    tenancy_ocid: str | UnsetType = UNSET
    fingerprint: str | UnsetType = UNSET
    region: str | UnsetType = UNSET
    credentials: OciCredentialsIn | UnsetType = UNSET
    realm_domain: str | UnsetType = UNSET
    server_certificate: str | UnsetType = UNSET


class OciConnectionOut(CommonOut, frozen=True, kw_only=True):
    """A connection to OCI. Its key is never shown."""

    user_ocid: str
    tenancy_ocid: str
    fingerprint: str
    region: str
    realm_domain: str | UnsetType = UNSET
    server_certificate: str | UnsetType = UNSET
