"""Domains as they are sent and shown (CCKM contract §6)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header


class NewDomain(msgspec.Struct, frozen=True, kw_only=True):
    """The body that makes a domain. `admins` are ids or usernames of users of the root domain."""

    name: str
    admins: list[str] = []
    allow_user_management: bool = True
    parent_ca_id: str = ""
    hsm_connection_id: str = ""
    hsm_kek_label: str = ""
    meta: dict[str, Any] = {}


class DomainChange(msgspec.Struct, frozen=True, kw_only=True):
    """The body that changes a domain; what is left out stays, `meta` is merged. Its name and admins stay."""

    name: str | None = None
    hsm_connection_id: str | None = None
    hsm_kek_label: str | None = None
    meta: dict[str, Any] | None = None


class DomainShown(Header, frozen=True, kw_only=True):
    """A domain. `admins` are those it was made with; who is one now is in its group `admin`."""

    name: str
    admins: list[str]
    allow_user_management: bool
    parent_ca_id: str | UnsetType = UNSET
    hsm_connection_id: str | UnsetType = UNSET
    hsm_kek_label: str | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = UNSET
