"""Requests and answers that connections of all clouds share (CCKM contract, common §7)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header


class CommonIn(msgspec.Struct, frozen=True, kw_only=True):
    """What connections of all services may be given."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = UNSET
    labels: dict[str, str | None] | UnsetType = UNSET
    products: list[str] | UnsetType = UNSET


class CommonOut(Header, frozen=True, kw_only=True):
    """What connections of all services show. The three fields about tests are null until there was one."""

    name: str
    description: str = ""
    meta: dict[str, Any] = msgspec.field(default_factory=dict)
    labels: dict[str, Any] = msgspec.field(default_factory=dict)
    products: list[str] = msgspec.field(default_factory=list)
    service: str
    category: str = "cloud"
    resource_url: str
    cloud_name: str
    last_connection_ok: bool | None = None
    last_connection_error: str | None = None
    last_connection_at: str | None = None


class TestResult(msgspec.Struct, frozen=True):
    """How a test ended; a failed one is an answer like any other (§7.5)."""

    __test__ = False  # pytest takes it for a test by its name

    connection_ok: bool
    connection_error: str | UnsetType = UNSET


class DeleteIn(msgspec.Struct, frozen=True):
    """The body of POST .../delete; none at all is a forced delete too."""

    force: bool = True
