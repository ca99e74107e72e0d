"""Reports as they are on the wire (CCKM contract, OCI §10)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header

Ident = Annotated[str, msgspec.Meta(max_length=256)]


class ReportParams(msgspec.Struct, frozen=True, kw_only=True):
    """Which vaults a report is about, by the ids of their records."""

    vaults: Annotated[list[Ident], msgspec.Meta(max_length=1000)] = msgspec.field(default_factory=list)


class CreateReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report to be made. Without vaults it is about all of them that the caller may report on."""

    name: str
    report_type: Literal["key-report", "key-rotation", "key-aging"]
    oci_params: Annotated[list[ReportParams], msgspec.Meta(max_length=100)] | UnsetType = UNSET
    start_time: Ident | UnsetType = UNSET
    end_time: Ident | UnsetType = UNSET


class ReportRecord(Header, frozen=True, kw_only=True):
    """A report."""

    name: str
    report_type: str
    cloud_name: str = "oci"
    oci_params: list[ReportParams]
    start_time: str | UnsetType = UNSET
    end_time: str | UnsetType = UNSET
    overall_status: str
    message: str
    row_count: int


Row = dict[str, Any]
