"""What discovery in OCI has in common: the connection to ask, a page and its mark, tags as clients decode them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.errors import validation
from claviger.cckm.oci.cloud import OciCloud
from claviger.cckm.oci.connections import records as connections
from claviger.cckm.oci.connections.cloud import OciClouds
from claviger.cckm.oci.connections.rules import OciConnection
from claviger.core.errors import NotFound, Unavailable
from claviger.store.contract import Store, Tx

W = TypeVar("W")
F = TypeVar("F")

AT_ONCE = 8
EACH_LIMIT_S = 120.0
MOST_A_PAGE = 1000
LONGEST_MARK = 4096

Tags = dict[str, str]
DefinedTags = dict[str, dict[str, str]]


class Found(msgspec.Struct, frozen=True):
    """One page of what OCI shows. `next_page` is OCI's own mark, empty at the end."""

    data: list[dict[str, Any]]
    next_page: str = msgspec.field(default="", name="ociNextPage")


async def connection_of(store: Store, domain_id: str, id_or_name: str) -> OciConnection:
    """A domain's connection to OCI. Raises NotFound."""
    found = await connections.find(store, domain_id, id_or_name)
    if found is None:
        raise _missing()
    return found


async def reach(store: Store, clouds: OciClouds, domain_id: str, id_or_name: str) -> tuple[OciConnection, OciCloud]:
    """The way of a domain's connection. Raises NotFound, and what `OciClouds.reach` does."""
    known = await connection_of(store, domain_id, id_or_name)
    return known, await clouds.reach(known)


def check_stands(tx: Tx, connection: OciConnection) -> None:
    """Within a change: raises NotFound for a connection that was deleted while the cloud was asked."""
    if connections.load(tx, connection.domain_id, connection.id) is None:
        raise _missing()


def _missing() -> NotFound:
    return NotFound("NotFound", message="there is no such connection to OCI")


async def of_each(wanted: Sequence[W], look: Callable[[W], Awaitable[F]]) -> list[F]:
    """What OCI says of each, in their order, a few asked for at a time.

    Raises the first refusal, and Unavailable("CloudUnreachable") where all of them take too long.
    """
    told: list[F] = []
    try:
        async with asyncio.timeout(EACH_LIMIT_S):
            for start in range(0, len(wanted), AT_ONCE):
                told += await asyncio.gather(*(look(one) for one in wanted[start : start + AT_ONCE]))
    except TimeoutError:
        late = f"OCI did not tell about {len(wanted)} things in time; ask for fewer at once"
        raise Unavailable("CloudUnreachable", message=late) from None
    return told


def paging(limit: int | UnsetType, mark: str | UnsetType) -> dict[str, Any]:
    """The arguments of the SDK for one page; 0 is no limit of one's own. Raises Invalid("Validation")."""
    problems = {}
    if limit is not UNSET and not 0 <= limit <= MOST_A_PAGE:
        problems["limit"] = f"must be 1 to {MOST_A_PAGE}"
    if mark is not UNSET and (len(mark) > LONGEST_MARK or not mark.isascii() or not mark.isprintable()):
        problems["ociNextPage"] = "is not what an earlier answer said"
    if problems:
        raise validation(problems)
    asked: dict[str, Any] = {}
    if limit is not UNSET and limit:
        asked["limit"] = limit
    if mark is not UNSET and mark:
        asked["page"] = mark
    return asked


def page_of(told: Any, shown: Callable[[Any], dict[str, Any]]) -> Found:
    """A page of the SDK's. In the thread that asked, where a failure is one of the answer's."""
    return Found([shown(each) for each in told.data], told.headers.get("opc-next-page") or "")


def text(told: Any) -> str:
    """What has to be a text in every answer. Raises ValueError; in the thread that asked."""
    if not isinstance(told, str) or not told:
        raise ValueError("a text is missing")
    return told


def tags(told: Mapping[str, Any] | None) -> Tags:
    """Freeform tags with values that are strings."""
    return {str(name): str(value) for name, value in (told or {}).items()}


def defined_tags(told: Mapping[str, Mapping[str, Any]] | None) -> DefinedTags:
    """Defined tags with values that are strings: clients decode them strictly (CCKM contract, OCI §2.3)."""
    return {str(space): tags(values) for space, values in (told or {}).items()}


def epoch(at: datetime | None) -> float | None:
    """A time of the SDK in epoch seconds."""
    if at is None:
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def written(at: datetime | float | None) -> str | None:
    """A time of OCI as it is shown: RFC 3339 with milliseconds."""
    moment = epoch(at) if isinstance(at, datetime) else at
    if moment is None:
        return None
    return f"{datetime.fromtimestamp(moment, UTC).isoformat(timespec='milliseconds')[:-6]}Z"
