"""How connections look in answers, and by what lists of them are filtered and sorted (CCKM contract, common §7.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from claviger.cckm.calls import Parameter, Query
from claviger.cckm.connections.records import AnyConnection, Connected
from claviger.cckm.connections.wire import CommonOut
from claviger.cckm.errors import validation
from claviger.cckm.listing import PAGING, Page, page_of
from claviger.cckm.resource import header, timestamp

CATEGORY = "cloud"

C = TypeVar("C", bound=Connected)

LIST_PARAMETERS = (
    *PAGING,
    Parameter("id", repeated=True),
    Parameter("name", repeated=True),
    Parameter("cloud_name", repeated=True),
    Parameter("service", repeated=True),
    Parameter("category", repeated=True),
    Parameter("products", repeated=True),
    Parameter("labels_query", description="Labels that all have to be there: key=value or key, with commas between."),
    Parameter("last_connection_ok", "boolean"),
    Parameter("last_connection_after", description="RFC 3339."),
    Parameter("last_connection_before", description="RFC 3339."),
)
_FILTERS: Mapping[str, Callable[[Any], object]] = {
    "id": lambda found: found.id,
    "name": lambda found: found.name,
    "cloud_name": lambda found: found.cloud_name,
    "service": lambda found: found.service,
    "category": lambda _: CATEGORY,
    "products": lambda found: found.details.products,
    "last_connection_ok": lambda found: found.last_connection_ok,
}
_SORTS: Mapping[str, Callable[[Any], Any]] = {
    "name": lambda found: found.name,
    "createdAt": lambda found: found.created_at,
    "updatedAt": lambda found: found.updated_at,
    "last_connection_at": lambda found: found.last_connection_at or 0.0,
}


def listed(items: Iterable[C], query: Query, shown: Callable[[C], Any]) -> Page:
    """A page of connections. Raises Invalid."""
    after, before = _moment(query, "last_connection_after"), _moment(query, "last_connection_before")
    query.boolean("last_connection_ok")
    labels = _labels_of(query)

    def fits(item: Connected) -> bool:
        tested_at = item.last_connection_at
        if after is not None and (tested_at is None or tested_at <= after):
            return False
        if before is not None and (tested_at is None or tested_at >= before):
            return False
        return all(name in item.details.labels and value in (None, item.details.labels[name]) for name, value in labels)

    chosen = [item for item in items if fits(item)]
    return page_of(chosen, query, filters=_FILTERS, sorts=_SORTS, default_sort="createdAt", shown=shown)


def _moment(query: Query, name: str) -> float | None:
    text = query.one(name)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))  # a + that was not encoded arrives as a space
    except ValueError:
        raise validation({name: "must be a time in RFC 3339"}) from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def _labels_of(query: Query) -> Sequence[tuple[str, str | None]]:
    parts = [part.strip() for part in (query.one("labels_query") or "").split(",") if part.strip()]
    return [(name.strip(), value.strip() if sign else None) for name, sign, value in (p.partition("=") for p in parts)]


def common(found: AnyConnection) -> CommonOut:
    """A connection of any service."""
    return CommonOut(**common_fields(found))


def common_fields(found: Connected) -> dict[str, Any]:
    """What connections of all services show."""
    at = found.last_connection_at
    return {
        **header(
            "connectionmgmt",
            "connections",
            found.id,
            found.name,
            found.domain_id,
            found.created_at,
            found.updated_at,
        ),
        "name": found.name,
        "description": found.details.description,
        "meta": found.details.meta,
        "labels": found.details.labels,
        "products": found.details.products,
        "service": found.service,
        "category": CATEGORY,
        "resource_url": f"/v1/connectionmgmt/services/{found.service}/connections/{found.id}",
        "cloud_name": found.cloud_name,
        "last_connection_ok": found.last_connection_ok,
        "last_connection_error": found.last_connection_error,
        "last_connection_at": None if at is None else timestamp(at),
    }
