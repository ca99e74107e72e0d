"""What callers may see of the audit log: records of their domain, and what proves the whole of it.

Members of `admin` see every record of their domain; in the root domain that is also whatever belongs to no domain: the
embedded cloud, commands, sign-ins that failed. CCKM Admins see the records of the service `cckm`.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from claviger.audit import proofs, queries, records
from claviger.audit.checkpoints import Checkpoints
from claviger.audit.entry import Severity, encoded
from claviger.audit.queries import Filters, Record
from claviger.audit.signed_note import PublicKey, checkpoint_of
from claviger.cckm.auditing.wire import (
    AuditRecordShown,
    CheckpointShown,
    ConsistencyShown,
    InclusionShown,
    PublicKeyShown,
)
from claviger.cckm.calls import ADMINS, Caller, Query
from claviger.cckm.errors import validation
from claviger.cckm.journal import SERVICE
from claviger.cckm.listing import MOST_AT_ONCE, Page, sort_of, window_of
from claviger.cckm.resource import account, seconds, timestamp, uri
from claviger.core.errors import Invalid, NotFound
from claviger.store.contract import Store

_SEVERITIES = frozenset(Severity.__args__)  # type: ignore[attr-defined]
_IN_TIME = ("createdAt", "updatedAt", "id")
_LARGEST = 10**15


class AuditTrail:
    """The log, to be read. `checkpoints` is missing where this server keeps no log."""

    def __init__(self, store: Store, checkpoints: Checkpoints | None) -> None:
        self._store = store
        self._checkpoints = checkpoints

    async def page(self, caller: Caller, query: Query) -> Page:
        """One page of the records that the caller may see, the newest first. Raises Invalid."""
        window = window_of(query)
        newest_first = sort_of(query, _IN_TIME, "-createdAt")[0][1]  # the others sort alike
        filters = _visible(caller, _filters(query, newest_first=newest_first))
        if filters is None:
            return Page(window.skip, window.limit, 0, [])
        limit = window.limit
        if not 0 <= limit <= MOST_AT_ONCE:
            total = (await queries.page(self._store, caller.domain_id, filters, 0, 0)).total
            limit = window.count_of(total)
        found = await queries.page(self._store, caller.domain_id, filters, window.skip, limit)
        return Page(window.skip, window.limit, found.total, [shown(record) for record in found.records])

    async def read(self, caller: Caller, ident: str) -> AuditRecordShown:
        """One record, with its canonical form. Raises NotFound."""
        record = await queries.by_id(self._store, caller.domain_id, ident)
        if not caller.is_in(ADMINS) and record.entry.service != SERVICE:
            raise NotFound("AuditRecordNotFound", message="there is no such audit record")
        return msgspec.structs.replace(shown(record), canonical=encoded(record.entry).decode())

    async def checkpoint(self) -> CheckpointShown:
        """The last signed checkpoint. Raises NotFound before there is one."""
        found = await records.last_checkpoint(self._store)
        if found is None:
            raise NotFound("NotFound", message="nothing of the audit log is signed yet; wait a minute")
        told = checkpoint_of((await self._key()).opened(found[1]))
        return CheckpointShown(told.origin, told.size, told.root.hex(), seconds(told.at), found[1])

    async def public_key(self) -> PublicKeyShown:
        """What checkpoints are checked with. Raises NotFound."""
        return PublicKeyShown(str(await self._key()))

    async def _key(self) -> PublicKey:
        if self._checkpoints is None:
            raise NotFound("NotFound", message="this server keeps no audit log")
        return await self._checkpoints.public_key()

    async def inclusion(self, query: Query) -> InclusionShown:
        """The proof that a record is in the log. Raises Invalid."""
        found = await proofs.inclusion(self._store, _number(query, "seq"), _count(query, "size"))
        steps = [step.hex() for step in found.proof]
        return InclusionShown(found.seq, found.size, found.leaf.hex(), found.root.hex(), steps)

    async def consistency(self, query: Query) -> ConsistencyShown:
        """The proof that an earlier state is the beginning of a later one. Raises Invalid."""
        found = await proofs.consistency(self._store, _number(query, "from"), _count(query, "to"))
        steps = [step.hex() for step in found.proof]
        return ConsistencyShown(found.old, found.new, found.old_root.hex(), found.new_root.hex(), steps)


def _number(query: Query, name: str) -> int:
    if query.one(name) is None:
        raise validation({name: "is required"})
    return query.integer(name, 0, 0, _LARGEST)


def _count(query: Query, name: str) -> int | None:
    """A size; None, for the whole log, where none is given."""
    return None if query.one(name) is None else query.integer(name, 0, 0, _LARGEST)


def _visible(caller: Caller, filters: Filters) -> Filters | None:
    """Filters that let through only what the caller may see; None where that is nothing."""
    if caller.is_in(ADMINS):
        return filters
    if filters.service and SERVICE not in filters.service:
        return None
    return msgspec.structs.replace(filters, service=(SERVICE,))


def _filters(query: Query, *, newest_first: bool) -> Filters:
    problems = {}
    if not _SEVERITIES.issuperset(query.all("severity")):
        problems["severity"] = f"must be one of {', '.join(Severity.__args__)}"  # type: ignore[attr-defined]
    times: dict[str, float | None] = {}
    for name in ("createdAfter", "createdBefore"):
        try:
            times[name] = _time(query.one(name))
        except Invalid:
            problems[name] = "must be a date such as 2027-10-02T14:24:37Z (RFC 3339)"
    if problems:
        raise validation(problems)
    return Filters(
        severity=tuple(query.all("severity")),
        created_after=times["createdAfter"],
        created_before=times["createdBefore"],
        success=query.boolean("success"),
        message=tuple(query.all("message")),
        service=tuple(query.all("service")),
        source=tuple(query.all("source")),
        client_ip=tuple(query.all("client_ip")),
        username=tuple(query.all("username")),
        object_id=query.one("object_id"),
        newest_first=newest_first,
    )


def _time(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text.upper())
        if at.tzinfo is None:
            raise ValueError(text)
        return at.timestamp()
    except (ValueError, OverflowError):
        raise Invalid("Date") from None


def shown(record: Record) -> AuditRecordShown:
    """A record as it is on the wire."""
    entry = record.entry
    about = entry.object
    return AuditRecordShown(
        id=record.id,
        uri=uri("audit", "record", record.id, ""),
        account=account(entry.domain_id),
        created_at=timestamp(entry.at),
        updated_at=timestamp(entry.at),
        severity=entry.severity,
        message=entry.action,
        service=entry.service,
        source=entry.origin,
        success=entry.success,
        username=entry.actor.username,
        user_id=entry.actor.user_id,
        client_ip=entry.actor.address,
        domain=entry.domain_id,
        details={
            **entry.details,
            "id": about.id,
            "name": about.name,
            "kind": about.kind,
            "container": about.container,
            "outcome": entry.outcome,
            "status": entry.status,
            "request_id": entry.request_id,
            "session_id": entry.actor.session_id,
        },
        seq=record.seq,
    )
