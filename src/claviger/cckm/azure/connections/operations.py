"""What can be done with connections: make, read, change, test, delete them (CCKM contract, common §7).

Credentials are one sealed JSON per connection and are never read back but to reach the cloud. A change of credentials
or addresses makes a new revision, and with that a new way to the cloud.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from claviger.cckm.approvals.guarding import Guard
from claviger.cckm.azure.connections import protection, records
from claviger.cckm.azure.connections.cloud import AzureClouds, credentials_of, sealed_form
from claviger.cckm.azure.connections.proofs import Proof, Proofs
from claviger.cckm.azure.connections.rules import (
    MOST_CERT_DAYS,
    MOST_PEM,
    AzureDetails,
    Connection,
    Credentials,
    is_duration,
    problems_of,
)
from claviger.cckm.azure.connections.showing import shown
from claviger.cckm.azure.connections.wire import AzureConnectionIn, AzureConnectionOut, CsrIn, CsrOut
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
from claviger.cckm.connections.shown import listed
from claviger.cckm.connections.wire import TestResult
from claviger.cckm.errors import validation
from claviger.cckm.listing import Page
from claviger.cckm.sealed import Safe
from claviger.core.clock import Clock
from claviger.core.ids import new_uuid
from claviger.core.sensitive import Sensitive
from claviger.store.contract import Store, Tx

_TAKEN_OVER = (
    "description",
    "products",
    "client_id",
    "tenant_id",
    "cloud_name",
    "active_directory_endpoint",
    "management_url",
    "resource_manager_url",
    "key_vault_dns_suffix",
    "vault_resource_url",
    "azure_stack_server_cert",
    "azure_stack_connection_type",
)
EMBEDDED_NAME = "embedded-azure"
_EMBEDDED = "cckm_embedded_connection"
_EMBEDDED_SAYS = "The Azure that is part of this server: real vaults, on this machine, without a cloud account"


class EmbeddedAzure(msgspec.Struct, frozen=True):
    """How the Azure that is part of this server is reached, and by which of its applications."""

    tenant_id: str
    client_id: str
    client_secret: Sensitive
    port: int
    authority_pem: str


class Connections:
    """Everything about connections of a domain, named by id or name."""

    def __init__(
        self, store: Store, safe: Safe, clock: Clock, clouds: AzureClouds, all_connections: AllConnections
    ) -> None:
        self._store = store
        self._safe = safe
        self._clock = clock
        self._clouds = clouds
        self._all = all_connections
        self._proofs = Proofs(store, safe, clock)

    async def listing(self, domain_id: str, query: Query) -> Page:
        """A page of the connections to Azure. Raises Invalid."""
        return listed(await records.all_of(self._store, domain_id), query, shown)

    async def read(self, domain_id: str, id_or_name: str) -> AzureConnectionOut:
        """One connection to Azure. Raises NotFound."""
        return shown(await found(self._store, records.KIND, domain_id, id_or_name))

    async def create(self, domain_id: str, asked: AzureConnectionIn) -> AzureConnectionOut:
        """Makes a connection. Raises Invalid, and Conflict("NameTaken")."""
        details, proof = await self._understood(domain_id, asked, with_name=True)
        name = str(asked.name)
        now = self._clock.now()
        made = Connection(
            id=new_uuid(),
            domain_id=domain_id,
            name=name,
            cloud_name=details.cloud_name,
            details=details,
            revision=1,
            created_at=now,
            updated_at=now,
        )

        def change(tx: Tx) -> None:
            self._proofs.use(tx, proof)
            add(tx, made)

        await self._safe.write([(SEALED_AS, made.id, sealed_form(proof.credentials))], change)
        return shown(made)

    async def change(
        self, domain_id: str, id_or_name: str, asked: AzureConnectionIn, guard: Guard | None = None
    ) -> AzureConnectionOut:
        """Changes what is given. Raises NotFound and Invalid, and Wanted where more people have to agree."""
        known = await found(self._store, records.KIND, domain_id, id_or_name)
        check_name_stays(known, asked)
        self._check(None, changed(known.details, asked), asked)
        proof = await self._proofs.changed(known, asked)

        def change(tx: Tx) -> Connection:
            current = loaded(tx, records.KIND, domain_id, known.id)
            details = changed(current.details, asked)
            if proof is not None:
                self._proofs.use(tx, proof)
                details = proof.shown_in(details)
            protection.require(tx, guard, current, details)
            moved = proof is not None or is_new_way(current.details, details)
            made = msgspec.structs.replace(
                current,
                cloud_name=details.cloud_name,
                details=details,
                revision=current.revision + moved,
                updated_at=self._clock.now(),
            )
            records.change(tx, made)
            return made

        items = [] if proof is None else [(SEALED_AS, known.id, sealed_form(proof.credentials))]
        return shown(await self._safe.write(items, change))

    async def test(self, domain_id: str, id_or_name: str) -> TestResult:
        """Signs in anew with a stored connection, and notes how that ended. Raises NotFound."""
        known = await found(self._store, records.KIND, domain_id, id_or_name)
        sealed = await self._safe.must_open(SEALED_AS, known.id)
        result = await tried(self._clouds.try_out(known.details, credentials_of(sealed)))
        await self._all.note(known.id, result)
        return result

    async def try_out(self, domain_id: str, asked: AzureConnectionIn) -> TestResult:
        """Tests what a connection would be made of; stores nothing. Raises Invalid for what could not be stored."""
        if asked.is_certificate_used is True:
            self._check(None, changed(_blank(), asked), asked)
            said = "a certificate that this server makes can be tested once it is made and Azure knows it"
            return TestResult(connection_ok=False, connection_error=said)
        details, proof = await self._understood(domain_id, asked, with_name=False)
        return await tried(self._clouds.try_out(details, proof.credentials))

    async def request_certificate(self, domain_id: str, asked: CsrIn) -> CsrOut:
        """Makes a key and a signing request for it; the key waits a day for its certificate. Raises Invalid."""
        return CsrOut(await self._proofs.request(domain_id, asked))

    async def _understood(
        self, domain_id: str, asked: AzureConnectionIn, *, with_name: bool
    ) -> tuple[AzureDetails, Proof]:
        details = changed(_blank(), asked)
        required = {"name": asked.name, "client_id": asked.client_id, "tenant_id": asked.tenant_id}
        problems = {
            field: "is required"
            for field, value in required.items()
            if value is UNSET and (with_name or field != "name")
        }
        name = asked.name if with_name and isinstance(asked.name, str) else None
        self._check(name, details, asked, problems)
        proof = await self._proofs.fresh(domain_id, details, asked)
        return proof.shown_in(details), proof

    def _check(
        self,
        name: str | None,
        details: AzureDetails,
        asked: AzureConnectionIn,
        missing: dict[str, str] | None = None,
    ) -> None:
        problems = problems_of(name, details) | (missing or {})
        if isinstance(asked.cert_duration, int) and asked.cert_duration and not is_duration(asked.cert_duration):
            problems["cert_duration"] = f"must be a number of days from 1 to {MOST_CERT_DAYS}"
        if isinstance(asked.certificate, str) and len(asked.certificate) > MOST_PEM:
            problems["certificate"] = f"may have up to {MOST_PEM} characters"
        add_certificate_problem(problems, "azure_stack_server_cert", details.azure_stack_server_cert)
        if problems:
            raise validation(problems)


def changed(details: AzureDetails, asked: AzureConnectionIn) -> AzureDetails:
    """The details with what is given, but for credentials."""
    return with_given(details, asked, _TAKEN_OVER)


async def ensure_embedded(store: Store, safe: Safe, clock: Clock, embedded: EmbeddedAzure) -> None:
    """Registers the embedded Azure; see `connections.embedded.ensure`."""
    await ensure(
        store,
        safe,
        clock,
        Embedded(
            note=_EMBEDDED,
            name=EMBEDDED_NAME,
            kind=records.KIND,
            sealed=sealed_form(Credentials(client_secret=embedded.client_secret)),
            made=lambda ident, name, now: _embedded_connection(ident, name, embedded, now),
            moved=lambda known, now: _moved(known, embedded, now),
            is_ours=lambda known: known.details.client_id == embedded.client_id and not known.details.certificate,
        ),
    )


def _moved(known: Connection, embedded: EmbeddedAzure, now: float) -> Connection:
    details = msgspec.structs.replace(known.details, **_addresses(embedded))
    return msgspec.structs.replace(known, details=details, revision=known.revision + 1, updated_at=now)


def _embedded_connection(ident: str, name: str, embedded: EmbeddedAzure, now: float) -> Connection:
    details = AzureDetails(client_id=embedded.client_id, tenant_id=embedded.tenant_id, description=_EMBEDDED_SAYS)
    details = msgspec.structs.replace(details, **_addresses(embedded))
    return Connection(
        id=ident,
        domain_id=ROOT_DOMAIN,
        name=name,
        cloud_name=details.cloud_name,
        details=details,
        revision=1,
        created_at=now,
        updated_at=now,
    )


def _addresses(embedded: EmbeddedAzure) -> dict[str, str]:
    port = embedded.port
    return {
        "active_directory_endpoint": f"https://login.localhost:{port}",
        "management_url": f"https://management.localhost:{port}",
        "resource_manager_url": f"https://management.localhost:{port}",
        "key_vault_dns_suffix": f"vault.localhost:{port}",
        "vault_resource_url": f"https://vault.localhost:{port}",
        "azure_stack_server_cert": embedded.authority_pem,
    }


def _blank() -> AzureDetails:
    return AzureDetails(client_id="0", tenant_id="0")
