"""Lists of audit records, newest first, with the filters of the audit API (CCKM contract §10), and single ones by id.

A record's facet is what it is filtered by (who, from where, which action of which service, how it ended), and each
facet is counted. So what fits is known before a record is looked at, and the cheapest way to the page can be chosen:
walk through all records in the order of time where most fit, merge the facets where there are not many, sort where few
fit. A page near the end is read from the end.
"""

from __future__ import annotations

import re
import uuid

import msgspec

from claviger.audit import records
from claviger.audit.entry import Recorded, decoded
from claviger.audit.records import Stretch, Wanted, object_key
from claviger.core.errors import NotFound
from claviger.store.contract import Store

NEWEST = "at DESC, seq DESC"
OLDEST = "at ASC, seq ASC"
SORTED_UP_TO = 10_000
MERGED_UP_TO = 40
MERGED_ROWS = 20_000
_IDS = 0xA0D17000_0000_8000_8000_000000000000
"""A record's id is a UUID of version 8: this, and its number."""
_ENDLESS = 1e300
Words = tuple[str, ...]


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What a list asks for; None and no words are anything. Times are seconds since the epoch, both ends count.

    Of several words of one filter any may fit. `message` is the action; in it and in `username` case does not count (in
    some databases of ASCII letters alone), and `*` stands for anything. `source` is where the call came from.
    """

    severity: Words = ()
    created_after: float | None = None
    created_before: float | None = None
    success: bool | None = None
    message: Words = ()
    service: Words = ()
    source: Words = ()
    client_ip: Words = ()
    username: Words = ()
    object_id: str | None = None
    newest_first: bool = True


class Record(msgspec.Struct, frozen=True):
    """One record of the log. `seq` is its number, for proofs."""

    id: str
    seq: int
    entry: Recorded


class Page(msgspec.Struct, frozen=True):
    """Part of a list. `total` counts all that fit."""

    total: int
    records: list[Record]


def record_id(seq: int) -> str:
    """The id of a record by its number."""
    return str(uuid.UUID(int=_IDS + seq))


def record_seq(ident: str) -> int | None:
    """The number of a record by its id; None for what is none."""
    try:
        number = uuid.UUID(ident).int - _IDS
    except ValueError:
        return None
    return number if 0 <= number < 1 << 47 else None


async def by_id(store: Store, domain_id: str, ident: str) -> Record:
    """A record of a domain. Raises NotFound("AuditRecordNotFound"), also for one of another domain."""
    seq = record_seq(ident)
    found = {} if seq is None else await records.bodies(store, [seq])
    if seq is not None and seq in found:
        entry = decoded(found[seq])
        if entry.domain_id == domain_id:
            return Record(record_id(seq), seq, entry)
    raise NotFound("AuditRecordNotFound", message="there is no such audit record")


async def page(store: Store, domain_id: str, filters: Filters, skip: int, limit: int) -> Page:
    """Part of the list of a domain's records: `limit` of them behind the first `skip`. Neither is negative."""
    wanted = _wanted(domain_id, filters)
    after = -_ENDLESS if filters.created_after is None else filters.created_after
    before = _ENDLESS if filters.created_before is None else filters.created_before
    if filters.object_id:
        return await _about(store, filters, wanted, (after, before), (skip, limit))
    facets, matched = await records.facets_wanted(store, wanted)
    if matched > SORTED_UP_TO and matched == (await records.head(store)).size:
        wanted = records.EVERYTHING
    timed = filters.created_after is not None or filters.created_before is not None
    total = await records.count_between(store, wanted, after, before) if timed and matched else matched
    count = min(limit, total - skip)
    if count <= 0:
        return Page(total, [])
    backwards = skip > total - skip - count  # the page is nearer to the end: read from there
    stretch = Stretch(
        NEWEST if filters.newest_first != backwards else OLDEST, total - skip - count if backwards else skip, count
    )
    if matched <= SORTED_UP_TO or (total <= SORTED_UP_TO and wanted is not records.EVERYTHING):
        numbers = await records.sorted_out(store, wanted, after, before, stretch)
    elif wanted is not records.EVERYTHING and facets <= MERGED_UP_TO and facets * (stretch.skip + count) <= MERGED_ROWS:
        ids = await records.facet_ids(store, wanted)
        numbers = await records.merged(store, ids, after, before, stretch)
    else:
        numbers = await records.walked(store, wanted, after, before, stretch)
    if backwards:
        numbers.reverse()
    bodies = await records.bodies(store, numbers)
    return Page(total, [Record(record_id(seq), seq, decoded(bodies[seq])) for seq in numbers if seq in bodies])


async def _about(
    store: Store, filters: Filters, wanted: Wanted, times: tuple[float, float], window: tuple[int, int]
) -> Page:
    size = (await records.head(store)).size
    key = object_key(filters.object_id or "")
    rows = [] if key is None else await records.about(store, key, size, wanted, *times)
    rows.sort(key=lambda row: (row.at, row.seq), reverse=filters.newest_first)
    fitting = [(row.seq, decoded(row.body)) for row in rows]
    named = [Record(record_id(seq), seq, entry) for seq, entry in fitting if entry.object.id == filters.object_id]
    skip, limit = window
    return Page(len(named), named[skip : skip + limit])


def _wanted(domain_id: str, filters: Filters) -> Wanted:
    conditions, values = ["domain_id = ?"], [domain_id]
    for column, words in (
        ("service", filters.service),
        ("origin", filters.source),
        ("severity", filters.severity),
        ("address", filters.client_ip),
    ):
        if words:
            conditions.append(f"{column} IN ({', '.join('?' * len(words))})")
            values += words
    if filters.success is not None:
        conditions.append(f"success = {int(filters.success)}")
    for column, words in (("action", filters.message), ("username", filters.username)):
        if words:  # both in the database's own small letters: some know those of ASCII alone
            like = f"lower({column}) LIKE lower(?) ESCAPE '!'"
            conditions.append(f"({' OR '.join([like] * len(words))})")
            values += map(_pattern, words)
    return Wanted(" AND ".join(conditions), tuple(values))


def _pattern(word: str) -> str:
    return re.sub(r"\*+", "%", re.sub(r"([!%_])", r"!\1", word))
