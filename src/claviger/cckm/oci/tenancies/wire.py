"""Tenancies as they are on the wire (CCKM contract, OCI §2.1, §2.2)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header

Name = Annotated[str, msgspec.Meta(max_length=256)]


class GetRegions(msgspec.Struct, frozen=True, kw_only=True):
    """Which connection to ask: its name or id."""

    connection: Name


class Regions(msgspec.Struct, frozen=True):
    """The names of the regions that the tenancy has subscribed to."""

    regions: list[str]


class AddTenancy(msgspec.Struct, frozen=True, kw_only=True):
    """A connection, or the OCID and the name of a tenancy that is used without one."""

    connection: Name | UnsetType = UNSET
    tenancy_ocid: Name | UnsetType = UNSET
    tenancy: Name | UnsetType = UNSET


class TenancyRecord(Header, frozen=True, kw_only=True):
    """A stored tenancy."""

    tenancy_ocid: str
    tenancy: str
    connection: str | UnsetType = UNSET
