"""Compartments, tags and buckets as they are on the wire (CCKM contract, OCI §2.3-2.5)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header

Name = Annotated[str, msgspec.Meta(max_length=256)]
MOST_ADDED = 200


class Discover(msgspec.Struct, frozen=True, kw_only=True):
    """Which connection to ask, and for which page. `ociNextPage` is what the page before said."""

    connection: Name
    limit: int | UnsetType = UNSET
    next_page: str | UnsetType = msgspec.field(default=UNSET, name="ociNextPage")


class DiscoverBuckets(Discover, frozen=True, kw_only=True):
    """The same for the buckets of a compartment."""

    compartment_id: Name


class AddCompartments(msgspec.Struct, frozen=True, kw_only=True):
    """Which compartments to record, by OCID."""

    connection: Name
    compartment_id: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=MOST_ADDED)]


class CompartmentRecord(Header, frozen=True, kw_only=True):
    """A stored compartment. `compartment_id` is its own OCID here."""

    tenancy: str
    compartment_id: str
    parent_compartment_id: str
    name: str
    description: str = ""
    time_created: str | UnsetType = UNSET
    lifecycle_state: str = ""
    is_accessible: bool | UnsetType = UNSET
    freeform_tags: dict[str, str]
    defined_tags: dict[str, dict[str, str]]
    connection: str = ""


class AddedCompartments(msgspec.Struct, frozen=True):
    """What was recorded; the same records under two names, since clients look for either."""

    compartments: list[CompartmentRecord]
    resources: list[CompartmentRecord]
