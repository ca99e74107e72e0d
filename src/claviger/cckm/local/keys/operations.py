"""What can be done with local keys: make them, import them, show them, export those that may be, delete them.

Material is made and checked in a thread, sealed with the record in one transaction, and opened again for an upload or
an export alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import UNSET

from claviger.audit.trail import about
from claviger.cckm.calls import Caller, Query
from claviger.cckm.errors import validation
from claviger.cckm.listing import Page, page_of
from claviger.cckm.local.keys import records, rules
from claviger.cckm.local.keys.records import MATERIAL, LocalKey, LocalKeyDetails
from claviger.cckm.local.keys.rules import AES, Kind
from claviger.cckm.local.keys.wire import CreateLocalKey, ExportedLocalKey, LocalKeyRecord
from claviger.cckm.resource import header
from claviger.cckm.sealed import Safe
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Forbidden, Invalid, NotFound, Throttled
from claviger.core.ids import new_uuid
from claviger.core.sensitive import Sensitive
from claviger.crypto.material import Material, Shape, generate, imported
from claviger.crypto.private_pem import der_of, pem_of
from claviger.store.contract import Store, Tx

KIND = "local-key"
AT_ONCE = 2
QUEUE_S = 10
LONGEST_WORDS = 16 * 1024
_FILTERS: dict[str, Callable[[LocalKey], object]] = {
    "id": lambda row: row.id,
    "name": lambda row: row.name,
    "algorithm": lambda row: row.algorithm,
    "size": lambda row: row.size,
}
_SORTS: dict[str, Callable[[LocalKey], Any]] = {
    "name": lambda row: row.name,
    "createdAt": lambda row: row.num,
    "updatedAt": lambda row: (row.updated_at, row.num),
}


class LocalMaterial(msgspec.Struct, frozen=True, kw_only=True):
    """A local key with its material, for an upload: AES bytes, or PKCS #8 DER. `length` is in bytes."""

    id: str
    name: str
    algorithm: str
    length: int
    curve_id: str
    created_by: str
    secret: Sensitive


class LocalKeys:
    """Everything about the local keys of a domain, named by id or name."""

    def __init__(self, store: Store, safe: Safe, clock: Clock) -> None:
        self._store = store
        self._safe = safe
        self._clock = clock
        self._making = asyncio.Semaphore(AT_ONCE)

    async def create(self, caller: Caller, asked: CreateLocalKey) -> LocalKeyRecord:
        """Makes or imports a key. Raises Invalid, Conflict("NameTaken"), and Throttled("TooManyKeys")."""
        kind = rules.kind_of(asked.algorithm, asked.size, asked.curve)
        ident = new_uuid()
        name = ident if asked.name is UNSET else asked.name
        details = _details(asked)
        _refuse({"name": rules.name_problem(name), "usageMask": _mask_problem(asked)})
        kind, made = await self._made(kind, asked)
        now = self._clock.now()
        default_mask = rules.SYMMETRIC_MASK if kind.algorithm == AES else rules.SIGNING_MASK
        row = LocalKey(
            num=0,
            id=ident,
            domain_id=caller.domain_id,
            name=name,
            algorithm=kind.algorithm,
            size=kind.size,
            curve_id=kind.curve_id,
            usage_mask=default_mask if asked.usage_mask is UNSET else asked.usage_mask,
            exportable=int(not asked.unexportable),
            deletable=int(not asked.undeletable),
            public_key=made.public_pem or "",
            fingerprint="" if made.public_pem is None else sha256(made.public_pem.encode()).hexdigest(),
            details=msgspec.json.encode(details).decode(),
            created_by=caller.user_id,
            created_at=now,
            updated_at=now,
        )

        def change(tx: Tx) -> None:
            if records.name_is_taken(tx, caller.domain_id, name):
                raise Conflict("NameTaken", message=f"there is a local key with the name {name} already")
            if records.count(tx, caller.domain_id) >= rules.MOST_KEYS:
                raise Conflict("TooMany", message=f"a domain may have {rules.MOST_KEYS} local keys")
            about(KIND, ident, name)
            records.add(tx, row)

        await self._safe.write([(MATERIAL, ident, made.secret)], change)
        return shown(row)

    async def _made(self, kind: Kind, asked: CreateLocalKey) -> tuple[Kind, Material]:
        """Material in a thread, and what it is.

        Raises Invalid, and Throttled("TooManyKeys") where too many others are being made.
        """
        try:
            async with asyncio.timeout(QUEUE_S):
                await self._making.acquire()
        except TimeoutError:
            told = "too many keys are being made; try again"
            raise Throttled("TooManyKeys", message=told, retry_after_s=QUEUE_S) from None
        try:
            return await asyncio.to_thread(_material, kind, asked)
        finally:
            self._making.release()

    async def listing(self, domain_id: str, query: Query) -> Page:
        """A page of the keys. Raises Invalid."""
        return page_of(
            await records.all_of(self._store, domain_id),
            query,
            filters=_FILTERS,
            sorts=_SORTS,
            default_sort="createdAt",
            shown=shown,
        )

    async def read(self, domain_id: str, id_or_name: str) -> LocalKeyRecord:
        """One key. Raises NotFound."""
        return shown(await self._found(domain_id, id_or_name))

    async def export(self, domain_id: str, id_or_name: str) -> ExportedLocalKey:
        """One key with its material. Raises NotFound, and Forbidden("Unexportable")."""
        row = await self._found(domain_id, id_or_name)
        if not row.exportable:
            raise Forbidden("Unexportable", message=f"the key {row.name} was made so that it is never exported")
        about(KIND, row.id, row.name)
        secret = (await self._safe.must_open(MATERIAL, row.id)).reveal()
        text = secret.hex() if row.algorithm == AES else await asyncio.to_thread(pem_of, secret)
        fields = {name: getattr(shown(row), name) for name in LocalKeyRecord.__struct_fields__}
        return ExportedLocalKey(**fields, material=text)

    async def delete(self, domain_id: str, id_or_name: str) -> None:
        """Deletes a key with its material. Raises NotFound, and Conflict("Undeletable")."""
        known = await self._found(domain_id, id_or_name)

        def change(tx: Tx) -> None:
            row = records.load(tx, domain_id, known.id)
            if row is None:
                raise _missing()
            if not row.deletable:
                raise Conflict("Undeletable", message=f"the key {row.name} was made so that it is never deleted")
            about(KIND, row.id, row.name)
            records.remove(tx, row.id)
            Safe.remove(tx, MATERIAL, row.id)

        await self._store.write(change)

    async def material(self, domain_id: str, id_or_name: str) -> LocalMaterial:
        """A key with its material, for an upload. Raises NotFound."""
        row = await self._found(domain_id, id_or_name)
        secret = await self._safe.must_open(MATERIAL, row.id)
        kind = Kind(row.algorithm, row.size, row.curve_id)
        return LocalMaterial(
            id=row.id,
            name=row.name,
            algorithm=row.algorithm,
            length=kind.length,
            curve_id=row.curve_id,
            created_by=row.created_by,
            secret=secret,
        )

    async def _found(self, domain_id: str, id_or_name: str) -> LocalKey:
        found = await records.find(self._store, domain_id, id_or_name)
        if found is None:
            raise _missing()
        return found


def _material(kind: Kind, asked: CreateLocalKey) -> tuple[Kind, Material]:
    """A new key of this kind; or the one that was brought, whose size is its own where none is asked for."""
    given = asked.material
    if given is UNSET:
        return kind, generate(_shape(kind))
    if len(given) > rules.LONGEST_MATERIAL:
        raise validation({"material": f"may have up to {rules.LONGEST_MATERIAL} characters"})
    if kind.algorithm == rules.EC:
        raise validation({"material": "of EC keys cannot be imported"})
    try:
        raw = rules.decoded(given.reveal(), asked.encoding) if kind.algorithm == AES else der_of(given.reveal())
    except Invalid as refusal:
        if refusal.reason == "Validation":
            raise
        raw = b""
    sizes = (kind.size,) if asked.size else rules.SIZES[kind.algorithm]
    for size in sizes:
        one = Kind(kind.algorithm, size)
        try:
            return one, imported(raw, _shape(one))
        except Invalid:
            continue
    told = f"is not a key of algorithm {kind.algorithm} and size {' or '.join(map(str, sizes))}"
    raise validation({"material": told})


def _shape(kind: Kind) -> Shape:
    return Shape("ECDSA" if kind.algorithm == rules.EC else kind.algorithm, kind.length, kind.curve_id or None)


def _details(asked: CreateLocalKey) -> LocalKeyDetails:
    details = LocalKeyDetails({} if asked.labels is UNSET else asked.labels, {} if asked.meta is UNSET else asked.meta)
    if len(msgspec.json.encode(details)) > LONGEST_WORDS:
        raise validation({"meta": "is too large together with labels"})
    return details


def _mask_problem(asked: CreateLocalKey) -> str | None:
    if asked.usage_mask is not UNSET and not 0 <= asked.usage_mask < rules.LONGEST_MASK:
        return f"must be 0 to {rules.LONGEST_MASK - 1}"
    return None


def _refuse(problems: dict[str, str | None]) -> None:
    found = {field: problem for field, problem in problems.items() if problem is not None}
    if found:
        raise validation(found)


def shown(row: LocalKey) -> LocalKeyRecord:
    """A key as it is answered."""
    said = row.said
    head: dict[str, Any] = header("vault", "keys", row.id, row.name, row.domain_id, row.created_at, row.updated_at)
    return LocalKeyRecord(
        **head,
        name=row.name,
        algorithm=row.algorithm,
        size=row.size,
        curve=rules.SHOWN_CURVES.get(row.curve_id, UNSET),
        object_type="Symmetric Key" if row.algorithm == AES else "Private Key",
        usage_mask=row.usage_mask,
        unexportable=not row.exportable,
        undeletable=not row.deletable,
        public_key=row.public_key or UNSET,
        fingerprint=row.fingerprint or UNSET,
        labels=said.labels,
        meta=said.meta,
    )


def _missing() -> NotFound:
    return NotFound("NotFound", message="there is no such local key")
