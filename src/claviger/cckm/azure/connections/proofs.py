"""What connections prove themselves with: a client secret, or a key and a certificate (CCKM contract, common §7.3).

Certificates are made here, or brought for a signing request made here, whose key waits for it for a day.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from msgspec import UNSET

from claviger.audit.trail import about
from claviger.cckm.azure.connections import records
from claviger.cckm.azure.connections.cloud import credentials_of
from claviger.cckm.azure.connections.rules import (
    DEFAULT_CERT_DAYS,
    AzureDetails,
    Connection,
    Credentials,
    check_credentials,
)
from claviger.cckm.azure.connections.wire import AzureConnectionIn, CsrIn
from claviger.cckm.connections.operations import SEALED_AS
from claviger.cckm.errors import validation
from claviger.cckm.sealed import Safe
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Invalid
from claviger.core.sensitive import Sensitive
from claviger.crypto import certificates
from claviger.store.contract import Store, Tx

WAITING_AS = "connection-csr"
WAITS_S = 24 * 3600
MOST_WAITING = 100
MOST_SECRET = 4096
_SWEPT_AT_ONCE = 100


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """New credentials, and what the connection shows of them. `request` is the key that waited and is used now."""

    credentials: Credentials
    certificate: str = ""
    thumbprint: str = ""
    days: int = 0
    own: bool = False
    request: str = ""

    def shown_in(self, details: AzureDetails) -> AzureDetails:
        """The connection's details with this proof in place of the one before."""
        return msgspec.structs.replace(
            details,
            is_certificate_used=self.own,
            cert_duration=self.days,
            certificate=self.certificate,
            certificate_thumbprint=self.thumbprint,
            external_certificate_used=bool(self.certificate) and not self.own,
        )


class Proofs:
    """Makes and finds credentials."""

    def __init__(self, store: Store, safe: Safe, clock: Clock) -> None:
        self._store = store
        self._safe = safe
        self._clock = clock
        self._making = asyncio.Semaphore(1)  # a key of 4096 bits takes a processor for seconds

    async def fresh(self, domain_id: str, details: AzureDetails, asked: AzureConnectionIn) -> Proof:
        """The credentials of a new connection. Raises Invalid."""
        kinds = (asked.client_secret is not UNSET, asked.is_certificate_used is True, asked.certificate is not UNSET)
        return await self._chosen(domain_id, details, asked, kinds, None)

    async def changed(self, known: Connection, asked: AzureConnectionIn) -> Proof | None:
        """The new credentials of a connection, or None where they stay: clients repeat what is so already."""
        now = known.details
        if now.is_certificate_used:
            own = asked.is_certificate_used is not False and _days(asked, now.cert_duration) != now.cert_duration
        else:
            own = asked.is_certificate_used is True
        external = asked.certificate is not UNSET and not (
            now.certificate and certificates.read_certificate(str(asked.certificate)).pem == now.certificate
        )
        kinds = (asked.client_secret is not UNSET, own, external)
        details = now if asked.cloud_name is UNSET else msgspec.structs.replace(now, cloud_name=asked.cloud_name)
        if not any(kinds):
            problems = check_credentials(not now.certificate, bool(now.certificate), False, details.cloud_name)
            if problems:
                raise validation(problems)
            return None
        return await self._chosen(known.domain_id, details, asked, kinds, known)

    async def _chosen(
        self,
        domain_id: str,
        details: AzureDetails,
        asked: AzureConnectionIn,
        kinds: tuple[bool, bool, bool],
        known: Connection | None,
    ) -> Proof:
        problems = check_credentials(*kinds, details.cloud_name)
        secret = asked.client_secret
        if isinstance(secret, Sensitive) and len(secret) > MOST_SECRET:
            problems["client_secret"] = f"may have up to {MOST_SECRET} bytes"
        if problems:
            raise validation(problems)
        if isinstance(secret, Sensitive):
            return Proof(credentials=Credentials(client_secret=secret))
        if kinds[1]:
            return await self._self_signed(details, _days(asked, DEFAULT_CERT_DAYS))
        return await self._external(domain_id, str(asked.certificate), known)

    async def _self_signed(self, details: AzureDetails, days: int) -> Proof:
        async with self._making:
            pair = await asyncio.to_thread(
                certificates.make_self_signed, f"claviger {details.client_id}"[:64], days, self._clock.now()
            )
        return Proof(
            credentials=Credentials(private_key=pair.private_key),
            certificate=pair.made,
            thumbprint=certificates.read_certificate(pair.made).thumbprint,
            days=days,
            own=True,
        )

    async def _external(self, domain_id: str, pem: str, known: Connection | None) -> Proof:
        try:
            found = certificates.read_certificate(pem)
        except Invalid as refusal:
            raise validation({"certificate": str(refusal.facts["message"])}) from None
        now = self._clock.now()
        if found.ends_at <= now:
            raise validation({"certificate": "has expired"})
        shown: dict[str, Any] = {"certificate": found.pem, "thumbprint": found.thumbprint}
        if await records.csr_stands(self._store, found.key_id, domain_id, now - WAITS_S):
            key = await self._safe.open(WAITING_AS, found.key_id)
            if key is not None:
                return Proof(credentials=Credentials(private_key=key), request=found.key_id, **shown)
        if known is not None and known.details.certificate:  # a new certificate for the key that is in use
            kept = credentials_of(await self._safe.must_open(SEALED_AS, known.id))
            if kept.private_key is not None and certificates.key_id_of(kept.private_key) == found.key_id:
                return Proof(credentials=kept, **shown)
        raise validation({"certificate": "is for no request that was made here within the last 24 hours"})

    def use(self, tx: Tx, proof: Proof) -> None:
        """Takes the waiting key of a proof away, since it is used now. Raises Conflict("RequestUsed")."""
        if proof.request:
            if not records.remove_csr(tx, proof.request):
                raise Conflict("RequestUsed", message="the request of this certificate has been used meanwhile")
            Safe.remove(tx, WAITING_AS, proof.request)

    async def request(self, domain_id: str, asked: CsrIn) -> str:
        """A signing request for a new key, in PEM. Raises Invalid, and Conflict("TooMany")."""
        problems = {}
        if asked.algorithm.upper() != "RSA":
            problems["algorithm"] = "must be RSA"
        if asked.size not in certificates.SIZES:
            problems["size"] = "must be 2048 or 4096"
        if problems:
            raise validation(problems)
        names: dict[str, str] = {}
        for part in asked.names:
            names |= {short: text for short, text in msgspec.to_builtins(part).items() if text}
        async with self._making:
            pair = await asyncio.to_thread(certificates.make_request, asked.cn, names, asked.size)
        now = self._clock.now()

        def change(tx: Tx) -> None:
            for old in records.due_csrs(tx, now - WAITS_S, _SWEPT_AT_ONCE):
                records.remove_csr(tx, old)
                Safe.remove(tx, WAITING_AS, old)
            if records.csr_count(tx, domain_id) >= MOST_WAITING:
                raise Conflict("TooMany", message=f"{MOST_WAITING} requests wait for their certificates already")
            about("certificate-request", pair.key_id)
            records.add_csr(tx, pair.key_id, domain_id, now)

        await self._safe.write([(WAITING_AS, pair.key_id, pair.private_key)], change)
        return pair.made


def _days(asked: AzureConnectionIn, default: int) -> int:
    """The duration that is asked for; clients send 0 for none."""
    return asked.cert_duration if isinstance(asked.cert_duration, int) and asked.cert_duration else default
