"""Signing keys as they are shown."""

from __future__ import annotations

import msgspec

from claviger.cckm.resource import Header


class PublishedKey(msgspec.Struct, frozen=True):
    """A public key as JWKS shows it (RFC 7517, RFC 7518 §6.2)."""

    kty: str
    use: str
    kid: str
    alg: str
    crv: str
    x: str
    y: str


class KeySet(msgspec.Struct, frozen=True):
    """The public keys that tokens can be checked with (RFC 7517)."""

    keys: list[PublishedKey]


class SigningKeyShown(Header, frozen=True, kw_only=True):
    """A key that signs tokens (`current`), or only verifies those it has signed until `expires_at`."""

    algorithm: str
    state: str
    expires_at: str | None
