"""Root keys: the keys that wrap all other keys, and the places they come from.

A `RootKeySource` is chosen by setting: a file (`key_file.KeyFile`), a passphrase (`key_file.PassphraseFile`)
or the environment (`EnvironmentKeys`). A source lists its keys oldest first; the database says which of them
is current, and a key behind the current one is the next. While a rotation is under way a source holds both.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from claviger.core.errors import Misconfigured
from claviger.core.sensitive import Sensitive
from claviger.crypto.envelope import KEY_LENGTH, SealingKey

_ID_LABEL = b"claviger root key id 1"
_ENVIRONMENT_STEPS = (
    "set CLAVIGER_ROOT_KEY_NEW to 32 fresh random bytes in base64 beside CLAVIGER_ROOT_KEY, for every "
    "server and for this command; restart the servers; rotate; then move the new value to CLAVIGER_ROOT_KEY and "
    "unset CLAVIGER_ROOT_KEY_NEW"
)


@dataclass(frozen=True, slots=True)
class RootKey:
    """A root key in memory: id, the second it was made (0: not known), and the key, which does not show itself."""

    id: str
    created_at: int
    key: SealingKey


class RootKeySource(Protocol):
    """Where root keys come from. All methods block (disk, key derivation): call them in a thread.

    They raise Misconfigured or Damaged, with a `fix`, for a source that cannot be used as it is.
    """

    @property
    def description(self) -> str:
        """The source in a few words, for messages."""
        ...

    def read(self) -> list[RootKey]:
        """All keys that can be had now, oldest first; none where none was ever made."""
        ...

    def next_after(self, current_id: str | None, now: float) -> RootKey:
        """The key that follows `current_id` (None: the newest of all), made if there is none; it is on disk then.

        Calling it again, also from another process, gives the same key.
        """
        ...

    def remove(self, root_key_ids: Collection[str]) -> None:
        """Forgets keys that nothing needs any more.

        Ids that are not there are no error; the last key always stays.
        """
        ...


def root_key_id(key: bytes) -> str:
    """The id of a root key: 32 hex digits that tell nothing about the key, yet belong to no other key.

    Derived rather than drawn, so that a damaged key is noticed where it stands and an environment variable
    needs no second one for its id.
    """
    return HKDFExpand(algorithm=SHA256(), length=16, info=_ID_LABEL).derive(key).hex()


def root_key_of(key: bytes, created_at: int) -> RootKey:
    """The key object for 32 bytes. Raises ValueError for any other length."""
    return RootKey(id=root_key_id(key), created_at=created_at, key=SealingKey(key))


def following(ids: Sequence[str], current_id: str | None) -> Sequence[str]:
    """The ids behind `current_id` in a source's list; the newest for None.

    Raises Misconfigured("RootKeyMissing").
    """
    if current_id is None:
        return ids[-1:]
    if current_id not in ids:
        raise Misconfigured(
            "RootKeyMissing",
            root_key_id=current_id,
            fix="the current root key must be at hand before it can be replaced",
        )
    return ids[ids.index(current_id) + 1 :]


class EnvironmentKeys:
    """Root keys from the environment: one, and a second one beside it while a rotation is prepared and done."""

    description = "the environment variables CLAVIGER_ROOT_KEY and CLAVIGER_ROOT_KEY_NEW"

    def __init__(self, key: Sensitive, new_key: Sensitive | None = None) -> None:
        """Takes the variables' text, 32 bytes in base64 each. Raises Misconfigured("RootKeyEnvironment")."""
        self._keys = [_decoded("CLAVIGER_ROOT_KEY", key)]
        if new_key is not None:
            new = _decoded("CLAVIGER_ROOT_KEY_NEW", new_key)
            if new.id != self._keys[0].id:
                self._keys.append(new)

    def read(self) -> list[RootKey]:
        """The one or two keys given."""
        return list(self._keys)

    def next_after(self, current_id: str | None, now: float) -> RootKey:
        """The second key. Raises Misconfigured("NewRootKeyMissing") with the steps when it was not given."""
        ids = following([key.id for key in self._keys], current_id)
        if not ids:
            raise Misconfigured("NewRootKeyMissing", fix=_ENVIRONMENT_STEPS)
        return next(key for key in self._keys if key.id == ids[0])

    def remove(self, root_key_ids: Collection[str]) -> None:
        """Does nothing: whoever set the variables takes them away."""


def _decoded(variable: str, text: Sensitive) -> RootKey:
    fix = f"set {variable} to 32 random bytes in base64, for instance from: openssl rand -base64 32"
    try:
        key = base64.b64decode(text.reveal().strip(), validate=True)
    except (binascii.Error, ValueError):
        raise Misconfigured("RootKeyEnvironment", variable=variable, fix=fix) from None
    if len(key) != KEY_LENGTH:
        raise Misconfigured("RootKeyEnvironment", variable=variable, fix=fix)
    return root_key_of(key, created_at=0)
