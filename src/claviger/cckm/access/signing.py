"""The keys that sign tokens: ES256, made when first needed, kept sealed, rotated while their old tokens live on.

A private key is sealed and bound to its key id, which is a hash of the public key. The public keys that tokens are
checked with come out of the same sealed values: whoever can write the database cannot make the server trust a key.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from contextlib import nullcontext

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from claviger.audit.trail import about, silently
from claviger.cckm import records as shared
from claviger.cckm.access import records
from claviger.cckm.access.keys.wire import PublishedKey
from claviger.cckm.access.records import SigningKeyRow
from claviger.cckm.sealed import Safe
from claviger.core.clock import Clock
from claviger.core.errors import Damaged
from claviger.core.sensitive import Sensitive
from claviger.store.contract import Store, Tx

KIND = "signing-key"
MOST_KEYS = 64
GRACE_S = 60.0  # a server that has not noticed a rotation yet may still sign with the key before


class SigningKey(msgspec.Struct, frozen=True):
    """A key in use. `private` never leaves the process. It changes once: when the next key takes its place."""

    row: SigningKeyRow
    changed_at: float
    private: ec.EllipticCurvePrivateKey
    public: ec.EllipticCurvePublicKey

    def __repr__(self) -> str:
        return f"<signing key {self.row.kid}>"


class SigningKeys:
    """The signing keys of the store, in memory; refreshed whenever the revision of access moves."""

    def __init__(self, store: Store, safe: Safe, clock: Clock) -> None:
        self._store = store
        self._safe = safe
        self._clock = clock
        self._keys: dict[str, SigningKey] = {}
        self._making = asyncio.Lock()
        self._refreshing = asyncio.Lock()  # else a slow reading could put back what a later one has replaced

    async def refresh(self) -> None:
        """Takes over what is stored now. Raises Damaged where a sealed key is not what was written."""
        async with self._refreshing:
            fresh: dict[str, SigningKey] = {}
            replaced_at: float | None = None
            for row in (await records.signing_keys(self._store))[:MOST_KEYS]:
                known = self._keys.get(row.kid)
                private = known.private if known is not None else await self._opened(row.kid)
                if private is not None:
                    changed_at = row.created_at if replaced_at is None else replaced_at
                    fresh[row.kid] = SigningKey(row, changed_at, private, private.public_key())
                replaced_at = row.created_at  # the next one in the list made way for this one
            self._keys = fresh

    def public_key(self, kid: str) -> ec.EllipticCurvePublicKey | None:
        """The key to check a token with; None for one that is unknown or whose tokens have all expired."""
        key = self._keys.get(kid)
        return key.public if key is not None and self._is_good(key) else None

    async def signer(self) -> SigningKey:
        """The current key. Makes the first one where there is none; two makers agree on one."""
        key = self._current()
        if key is not None:
            return key
        async with self._making:
            await self.refresh()
            if self._current() is None:
                await self._make_current(None)
                await self.refresh()
        key = self._current()
        if key is None:
            raise Damaged("SigningKeyMissing")
        return key

    async def rotate(self, token_lifetime_s: float) -> SigningKey:
        """Makes a new current key. The old one verifies until the last token it signed has expired."""
        await self._make_current(token_lifetime_s)
        await self.refresh()
        return await self.signer()

    def published(self) -> list[PublishedKey]:
        """Every key that tokens may still be signed with, as JWKS shows them."""
        return [_published(key) for key in self.known()]

    def known(self) -> list[SigningKey]:
        """Every key that tokens may still be signed with, newest first."""
        return [key for key in self._keys.values() if self._is_good(key)]

    def _is_good(self, key: SigningKey) -> bool:
        return key.row.lapses_at is None or self._clock.now() < key.row.lapses_at

    def _current(self) -> SigningKey | None:
        return next((key for key in self._keys.values() if key.row.state == "current"), None)

    async def _opened(self, kid: str) -> ec.EllipticCurvePrivateKey | None:
        packed = await self._safe.open(KIND, kid)
        if packed is None:  # removed since its row was read
            return None
        key = load_der_private_key(packed.reveal(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or _kid(key) != kid:
            raise Damaged("SigningKeyKind", kid=kid)
        return key

    async def _make_current(self, replacing_for_s: float | None) -> None:
        """Stores a fresh key as current. With None a key that somebody else stored meanwhile stays."""
        key = ec.generate_private_key(ec.SECP256R1())
        kid = _kid(key)
        packed = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        now = self._clock.now()

        def change(tx: Tx) -> None:
            if records.current_signing_key(tx) is not None:
                if replacing_for_s is None:
                    raise _HaveOneError
                records.step_down_signing_key(tx, now + replacing_for_s + GRACE_S)
            for lapsed in records.lapsed_signing_keys(tx, now):
                records.remove_signing_key(tx, lapsed)
                Safe.remove(tx, KIND, lapsed)
            records.add_signing_key(tx, kid, now)
            about("signing-key", kid)
            shared.bump_access_revision(tx)

        with silently() if replacing_for_s is None else nullcontext():  # the first key is nobody's doing
            try:
                await self._safe.write([(KIND, kid, Sensitive(packed))], change)
            except _HaveOneError:
                return


class _HaveOneError(Exception):
    """Another server has made the first key meanwhile; nothing of ours is stored."""


def _kid(key: ec.EllipticCurvePrivateKey) -> str:
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _base64url(hashlib.sha256(public).digest())


def _published(key: SigningKey) -> PublishedKey:
    numbers = key.public.public_numbers()
    x, y = (_base64url(part.to_bytes(32, "big")) for part in (numbers.x, numbers.y))
    return PublishedKey(kty="EC", use="sig", kid=key.row.kid, alg="ES256", crv="P-256", x=x, y=y)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
