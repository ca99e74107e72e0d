"""What can be done with connections to OCI (CCKM contract, common §7). The key is sealed, and read only to be used.

A change of credentials or addresses makes a new revision, and with that a new way to the cloud.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from claviger.cckm.approvals.guarding import Guard
from claviger.cckm.calls import ROOT_DOMAIN, Query
from claviger.cckm.connections.changing import (
    add_certificate_problem,
    check_name_stays,
    is_new_way,
    tried,
    with_given,
)
from claviger.cckm.connections.embedded import Embedded, ensure
from claviger.cckm.connections.operations import SEALED_AS, AllConnections, add, found, loaded
from claviger.cckm.connections.records import change as store_change
from claviger.cckm.connections.shown import common_fields, listed
from claviger.cckm.connections.wire import TestResult
from claviger.cckm.errors import validation
from claviger.cckm.listing import Page
from claviger.cckm.oci.connections import protection, records
from claviger.cckm.oci.connections.cloud import OciClouds, credentials_of, sealed_form
from claviger.cckm.oci.connections.rules import (
    MOST_KEY,
    Credentials,
    OciConnection,
    OciDetails,
    name_problem,
    problems_of,
)
from claviger.cckm.oci.connections.wire import OciConnectionIn, OciConnectionOut
from claviger.cckm.sealed import Item, Safe
from claviger.core.clock import Clock
from claviger.core.ids import new_uuid
from claviger.core.sensitive import Sensitive
from claviger.store.contract import Store, Tx

EMBEDDED_NAME = "embedded-oci"
_EMBEDDED = "cckm_embedded_oci_connection"
_EMBEDDED_SAYS = "The OCI that is part of this server: real vaults and keys, on this machine, without a cloud account"
_TAKEN_OVER = (
    "description",
    "products",
    "user_ocid",
    "tenancy_ocid",
    "fingerprint",
    "region",
    "realm_domain",
    "server_certificate",
)
_REQUIRED = ("user_ocid", "tenancy_ocid", "fingerprint", "region")


class EmbeddedOci(msgspec.Struct, frozen=True):
    """How the OCI that is part of this server is reached, and as which of its users."""

    tenancy_ocid: str
    user_ocid: str
    fingerprint: str
    private_key: Sensitive
    region: str
    port: int
    authority_pem: str


class OciConnections:
    """Everything about connections to OCI of a domain, named by id or name."""

    def __init__(
        self, store: Store, safe: Safe, clock: Clock, clouds: OciClouds, all_connections: AllConnections
    ) -> None:
        self._store = store
        self._safe = safe
        self._clock = clock
        self._clouds = clouds
        self._all = all_connections

    async def listing(self, domain_id: str, query: Query) -> Page:
        """A page of the connections to OCI. Raises Invalid."""
        return listed(await records.all_of(self._store, domain_id), query, shown)

    async def read(self, domain_id: str, id_or_name: str) -> OciConnectionOut:
        """One connection. Raises NotFound."""
        return shown(await found(self._store, records.KIND, domain_id, id_or_name))

    async def create(self, domain_id: str, asked: OciConnectionIn) -> OciConnectionOut:
        """Makes a connection. Raises Invalid, and Conflict("NameTaken")."""
        details, credentials = _understood(asked, with_name=True)
        now = self._clock.now()
        made = OciConnection(
            id=new_uuid(),
            domain_id=domain_id,
            name=str(asked.name),
            details=details,
            revision=1,
            created_at=now,
            updated_at=now,
        )
        await self._safe.write([(SEALED_AS, made.id, sealed_form(credentials))], lambda tx: add(tx, made))
        return shown(made)

    async def change(
        self, domain_id: str, id_or_name: str, asked: OciConnectionIn, guard: Guard | None = None
    ) -> OciConnectionOut:
        """Changes what is given. Raises NotFound and Invalid, and Wanted where more people have to agree."""
        known = await found(self._store, records.KIND, domain_id, id_or_name)
        check_name_stays(known, asked)
        _check(changed(known.details, asked), {})
        items: list[Item] = []
        if _gives_credentials(asked):
            kept = credentials_of(await self._safe.must_open(SEALED_AS, known.id))
            items = [(SEALED_AS, known.id, sealed_form(_credentials(asked, kept)))]

        def change(tx: Tx) -> OciConnection:
            current = loaded(tx, records.KIND, domain_id, known.id)
            details = changed(current.details, asked)
            protection.require(tx, guard, current, details)
            moved = bool(items) or is_new_way(current.details, details)
            made = msgspec.structs.replace(
                current, details=details, revision=current.revision + moved, updated_at=self._clock.now()
            )
            store_change(tx, made)
            return made

        return shown(await self._safe.write(items, change))

    async def test(self, domain_id: str, id_or_name: str) -> TestResult:
        """Asks OCI with a stored connection, and notes how that ended. Raises NotFound."""
        known = await found(self._store, records.KIND, domain_id, id_or_name)
        sealed = await self._safe.must_open(SEALED_AS, known.id)
        result = await tried(self._clouds.try_out(known.details, credentials_of(sealed)))
        await self._all.note(known.id, result)
        return result

    async def try_out(self, _domain_id: str, asked: OciConnectionIn) -> TestResult:
        """Tests what a connection would be made of; stores nothing. Raises Invalid for what could not be stored."""
        details, credentials = _understood(asked, with_name=False)
        return await tried(self._clouds.try_out(details, credentials))


def changed(details: OciDetails, asked: OciConnectionIn) -> OciDetails:
    """The details with what is given, but for credentials."""
    return with_given(details, asked, _TAKEN_OVER)


def _understood(asked: OciConnectionIn, *, with_name: bool) -> tuple[OciDetails, Credentials]:
    required = (*_REQUIRED, "name") if with_name else _REQUIRED
    absent = {field: "is required" for field in required if getattr(asked, field) is UNSET}
    if asked.credentials is UNSET or asked.credentials.key_file is UNSET:
        absent["credentials.key_file"] = "is required"
    if with_name and isinstance(asked.name, str):
        problem = name_problem(asked.name)
        if problem is not None:
            absent["name"] = problem
    details = changed(OciDetails(user_ocid="", tenancy_ocid="", fingerprint="", region=""), asked)
    _check(details, absent)
    return details, _credentials(asked, None)


def _check(details: OciDetails, absent: dict[str, str]) -> None:
    problems = problems_of(details) | absent
    add_certificate_problem(problems, "server_certificate", details.server_certificate)
    if problems:
        raise validation(problems)


def _gives_credentials(asked: OciConnectionIn) -> bool:
    given = asked.credentials
    return given is not UNSET and (given.key_file is not UNSET or given.pass_phrase is not UNSET)


def _credentials(asked: OciConnectionIn, kept: Credentials | None) -> Credentials:
    given = asked.credentials
    if given is UNSET:
        raise validation({"credentials.key_file": "is required"})
    key, phrase = given.key_file, given.pass_phrase
    if key is not UNSET and len(key) > MOST_KEY:
        raise validation({"credentials.key_file": f"may have up to {MOST_KEY} characters"})
    if key is not UNSET and b"PRIVATE KEY-----" not in key.reveal():
        raise validation({"credentials.key_file": "must be a private key in PEM"})
    if key is UNSET:
        if kept is None:
            raise validation({"credentials.key_file": "is required"})
        return msgspec.structs.replace(kept, pass_phrase=None if phrase is UNSET else phrase)
    return Credentials(key, None if phrase is UNSET else phrase)


def shown(connection: OciConnection) -> OciConnectionOut:
    """A connection as it is answered."""
    details = connection.details
    more: dict[str, Any] = {field: getattr(details, field) or UNSET for field in ("realm_domain", "server_certificate")}
    return OciConnectionOut(
        **common_fields(connection),
        user_ocid=details.user_ocid,
        tenancy_ocid=details.tenancy_ocid,
        fingerprint=details.fingerprint,
        region=details.region,
        **more,
    )


async def ensure_embedded(store: Store, safe: Safe, clock: Clock, embedded: EmbeddedOci) -> None:
    """Registers the embedded OCI; see `connections.embedded.ensure`."""
    details = OciDetails(
        user_ocid=embedded.user_ocid,
        tenancy_ocid=embedded.tenancy_ocid,
        fingerprint=embedded.fingerprint,
        region=embedded.region,
        realm_domain=f"localhost:{embedded.port}",
        server_certificate=embedded.authority_pem,
        description=_EMBEDDED_SAYS,
    )

    def made(ident: str, name: str, now: float) -> OciConnection:
        return OciConnection(
            id=ident, domain_id=ROOT_DOMAIN, name=name, details=details, revision=1, created_at=now, updated_at=now
        )

    def moved(known: OciConnection, now: float) -> OciConnection:
        addresses = {"realm_domain": details.realm_domain, "server_certificate": details.server_certificate}
        replaced = msgspec.structs.replace(known.details, **addresses)
        return msgspec.structs.replace(known, details=replaced, revision=known.revision + 1, updated_at=now)

    await ensure(
        store,
        safe,
        clock,
        Embedded(
            note=_EMBEDDED,
            name=EMBEDDED_NAME,
            kind=records.KIND,
            sealed=sealed_form(Credentials(embedded.private_key)),
            made=made,
            moved=moved,
            is_ours=lambda known: known.details.fingerprint == embedded.fingerprint,
        ),
    )
