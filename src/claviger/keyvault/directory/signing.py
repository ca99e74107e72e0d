"""The keys that sign tokens: RSA-2048, made when first needed, kept sealed, rotated while their old tokens live on.

A private key is stored sealed and bound to its key id. The public keys that tokens are checked with come out of the
same sealed rows, never from a plain column: whoever can write the database still cannot make the server trust a key.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from claviger.core.clock import Clock
from claviger.core.errors import Damaged
from claviger.crypto.envelope import associated_data
from claviger.keyvault.directory import records
from claviger.keyvault.directory.records import StoredSigningKey
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx

SCOPE = "keyvault-directory"
KEY_BITS = 2048
MAX_KEYS = 64


class SigningKey(msgspec.Struct, frozen=True):
    """A key in use. `private` never leaves the process."""

    kid: str
    current: bool
    lapses_at: int | None
    private: rsa.RSAPrivateKey
    public: rsa.RSAPublicKey

    def __repr__(self) -> str:
        return f"<signing key {self.kid}>"


class PublishedKey(msgspec.Struct, frozen=True):
    """A public key as JWKS shows it."""

    kty: str
    use: str
    kid: str
    n: str
    e: str
    alg: str


class SigningKeys:
    """The signing keys of the store, in memory. Refreshed whenever the directory's revision moves."""

    def __init__(self, store: Store, keyring: Keyring, clock: Clock) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._keys: dict[str, SigningKey] = {}
        self._making = asyncio.Lock()
        self._refreshing = asyncio.Lock()  # else a slow reading could put back what a later one has replaced
        self.edition = 0

    async def refresh(self) -> None:
        """Takes over what is stored now. Raises Damaged where a sealed key is not what was written."""
        async with self._refreshing:
            fresh = await self._keyring.again_if_retired(self._read)
            if fresh.keys() != self._keys.keys():
                self.edition += 1
            self._keys = fresh

    def public_key(self, kid: str) -> rsa.RSAPublicKey | None:
        """The key to check a token with; None for one that is unknown or whose tokens have all expired."""
        key = self._keys.get(kid)
        if key is None or (key.lapses_at is not None and self._clock.now() >= key.lapses_at):
            return None
        return key.public

    async def signer(self) -> SigningKey:
        """The current key. Makes the first one where there is none, off the event loop; two makers agree on one."""
        key = self._current()
        if key is not None:
            return key
        async with self._making:
            await self.refresh()
            if self._current() is None:
                await _make_current(self._store, self._keyring, self._clock, None)
                await self.refresh()
        key = self._current()
        if key is None:
            raise Damaged("SigningKeyMissing")
        return key

    def published(self) -> list[PublishedKey]:
        """Every key that tokens may still be signed with, as JWKS shows them."""
        now = self._clock.now()
        return [_published(key) for key in self._keys.values() if key.lapses_at is None or now < key.lapses_at]

    def _current(self) -> SigningKey | None:
        return next((key for key in self._keys.values() if key.current), None)

    async def _read(self) -> dict[str, SigningKey]:
        fresh: dict[str, SigningKey] = {}
        for row in (await records.signing_keys(self._store))[:MAX_KEYS]:
            known = self._keys.get(row.kid)
            private = known.private if known is not None else await self._opened(row)
            current = row.state == "current"
            fresh[row.kid] = SigningKey(row.kid, current, row.lapses_at, private, private.public_key())
        return fresh

    async def _opened(self, row: StoredSigningKey) -> rsa.RSAPrivateKey:
        packed = await self._keyring.open(row.data_key_id, row.sealed, binding(row.kid))
        key = load_der_private_key(packed, password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise Damaged("SigningKeyKind", kid=row.kid)
        return key


async def rotate_signing_key(store: Store, keyring: Keyring, clock: Clock, token_lifetime_s: int) -> str:
    """Makes a new current key; its id. The old one verifies until the last token it signed has expired.

    `token_lifetime_s` is how long those live; with 0 the old key, and every token of it, is out within a second.
    """
    return await _make_current(store, keyring, clock, token_lifetime_s)


class SigningKeyResealer:
    """Moves the signing keys under a new data key, for the rotation of data keys."""

    scope_prefix = SCOPE

    def reseal_batch(self, tx: Tx, scope: str, old_key_id: int, new_key_id: int, keyring: Keyring, limit: int) -> int:
        """Seals up to `limit` keys anew inside a change; how many it was."""
        rows = records.signing_keys_under(tx, old_key_id, limit)
        for row in rows:
            sealed = keyring.reseal(old_key_id, new_key_id, row.sealed, binding(row.kid))
            records.replace_sealed(tx, row.kid, new_key_id, sealed)
        return len(rows)


def binding(kid: str) -> bytes:
    """What a sealed signing key is bound to."""
    return associated_data("keyvault-signing-key", kid)


async def _make_current(store: Store, keyring: Keyring, clock: Clock, replacing_for_s: int | None) -> str:
    """Stores a fresh key as current. With None a key that somebody else stored meanwhile wins; its id then."""
    kid, packed = await asyncio.to_thread(new_key)
    now = int(clock.now())

    def change(tx: Tx, data_key_id: int, sealed: bytes) -> str:
        present = records.current_signing_key(tx)
        if present is not None:
            if replacing_for_s is None:
                return present.kid
            records.step_down_signing_key(tx, now + replacing_for_s + 1)
        records.remove_lapsed_signing_keys(tx, now)
        records.add_signing_key(tx, kid, data_key_id, sealed, now)
        records.bump_revision(tx)
        return kid

    async def attempt(data_key_id: int) -> str:
        sealed = keyring.seal(data_key_id, packed, binding(kid))
        return await store.write(lambda tx: change(tx, data_key_id, sealed))

    return await keyring.with_data_key(SCOPE, attempt)


def new_key() -> tuple[str, bytes]:
    """A key id and a private key in PKCS #8. The id is the SHA-256 of the public key, so it names that key alone."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    packed = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return _base64url(hashlib.sha256(public).digest()), packed


def _published(key: SigningKey) -> PublishedKey:
    numbers = key.public.public_numbers()
    return PublishedKey(
        kty="RSA",
        use="sig",
        kid=key.kid,
        n=_base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
        e=_base64url(numbers.e.to_bytes(3, "big")),
        alg="RS256",
    )


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
