"""The crypto plane: one row read, one decision, one use of a key (OCI contract §9).

What may be done is read from the row every time, in whatever process it was changed; only working objects of keys are
remembered (`ocikms/materials.py`). An AES ciphertext names its version and is bound to key, version and associatedData,
so under another key, or with other data, it does not open. RSA ciphertexts are what any other program makes of the
public key. What takes long with a private key is done in threads, a bounded number at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from claviger.audit.entry import Subject
from claviger.audit.trail import about, telling
from claviger.core.errors import Conflict, Damaged, Refusal
from claviger.core.sensitive import Sensitive
from claviger.crypto import key_wrapping
from claviger.crypto.envelope import associated_data
from claviger.crypto.key_objects import AesKey, EcdsaKey, KeyObject, RsaKey, does_not_decrypt
from claviger.crypto.material import Shape
from claviger.ocikms.calls import Answer, Call, Told, Verb
from claviger.ocikms.crypto import rules, wire
from claviger.ocikms.crypto.wire import Context
from claviger.ocikms.errors import absent, wrong, wrong_state
from claviger.ocikms.keys import records as keys
from claviger.ocikms.keys import rules as key_rules
from claviger.ocikms.keys.records import Key
from claviger.ocikms.materials import INLINE_RSA_LENGTH, Materials
from claviger.ocikms.texts import read_body, written
from claviger.ocikms.versions import records as versions
from claviger.ocikms.versions import rules as version_rules
from claviger.ocikms.versions.records import Usable
from claviger.store.contract import Store

K = TypeVar("K", bound=KeyObject)

_USABLE = "ENABLED"


def bound(key_id: str, version_id: str, data: Context | None) -> bytes:
    """What an AES ciphertext is bound to: key, version and associatedData, in whatever order that came."""
    fields = [field for pair in sorted(data.items()) for field in pair] if data else []
    return associated_data("oci-ciphertext", key_id, version_id, *fields)


Work = Callable[[KeyObject], Answer]
"""What is left to be done once everything about a call was found right: use the key. It neither waits nor reads."""


class Crypto:
    """All operations of the crypto plane, and the commonest again without waiting, for the hot path (`..._now`)."""

    def __init__(self, store: Store, materials: Materials) -> None:
        self._store = store
        self._materials = materials

    async def encrypt(self, call: Call) -> Answer:
        """Encrypt: with the current version of an AES key unless another one is named."""
        asked = read_body(call.body, wire.EncryptDataDetails)
        used = await self._granted(call, asked.key_id, asked.key_version_id)
        telling(**_details(asked.logging_context))
        return await self._done(call, used, _encryption(asked, used))

    def encrypt_now(self, call: Call) -> Told | None:
        """The same without waiting."""
        asked = read_body(call.body, wire.EncryptDataDetails)
        used = self._granted_now(call, asked.key_id, asked.key_version_id)
        return None if used is None else self._done_now(used, asked.logging_context, _encryption(asked, used))

    async def decrypt(self, call: Call) -> Answer:
        """Decrypt: an AES ciphertext names its version, for an RSA one it must be said."""
        asked = read_body(call.body, wire.DecryptDataDetails)
        found = _Ciphertext(asked)
        is_named = asked.key_version_id is not None
        used = await self._granted(call, asked.key_id, found.version_id, is_named=is_named)
        telling(**_details(asked.logging_context))
        return await self._done(call, used, _decryption(asked, found, used), is_private=True)

    def decrypt_now(self, call: Call) -> Told | None:
        """The same without waiting."""
        asked = read_body(call.body, wire.DecryptDataDetails)
        found = _Ciphertext(asked)
        used = self._granted_now(call, asked.key_id, found.version_id)
        if used is None:
            return None
        return self._done_now(used, asked.logging_context, _decryption(asked, found, used), is_private=True)

    async def generate_data_key(self, call: Call) -> Answer:
        """GenerateDataEncryptionKey: a fresh AES key, encrypted as `encrypt` would, in the clear only when asked."""
        asked = read_body(call.body, wire.GenerateKeyDetails)
        used = await self._granted(call, asked.key_id, None)
        telling(**_details(asked.logging_context))
        rules.encryption(None, used.key.algorithm, None)
        rules.check_data_key(asked.key_shape.algorithm, asked.key_shape.length, asked.key_shape.curve_id)
        wire.check_context("associatedData", asked.associated_data)
        key = _of_kind(await self._object(call, used), AesKey)
        made, version_id = os.urandom(asked.key_shape.length), used.version.id
        encrypted = key.encrypt(made, bound(used.key.id, version_id, asked.associated_data))
        ciphertext = wire.encoded(wire.packed(version_id, encrypted))
        if not asked.include_plaintext_key:
            return Answer(body=wire.GeneratedKey(ciphertext, None, None))
        return Answer(body=wire.GeneratedKey(ciphertext, wire.encoded(made), wire.checksum(made)))

    async def sign(self, call: Call) -> Answer:
        """Sign a message or its digest: with the current version unless another one is named."""
        asked = read_body(call.body, wire.SignDataDetails)
        used = await self._granted(call, asked.key_id, asked.key_version_id)
        telling(**_details(asked.logging_context))
        return await self._done(call, used, _signing(asked, used), is_private=True)

    def sign_now(self, call: Call) -> Told | None:
        """The same without waiting."""
        asked = read_body(call.body, wire.SignDataDetails)
        used = self._granted_now(call, asked.key_id, asked.key_version_id)
        if used is None:
            return None
        return self._done_now(used, asked.logging_context, _signing(asked, used), is_private=True)

    async def verify(self, call: Call) -> Answer:
        """Verify: a signature that is not the key's is an answer, and no refusal."""
        asked = read_body(call.body, wire.VerifyDataDetails)
        used = await self._granted(call, asked.key_id, asked.key_version_id)
        return await self._done(call, used, _verification(asked, used))

    def verify_now(self, call: Call) -> Told | None:
        """The same without waiting."""
        asked = read_body(call.body, wire.VerifyDataDetails)
        used = self._granted_now(call, asked.key_id, asked.key_version_id)
        return None if used is None else self._done_now(used, None, _verification(asked, used))

    async def export(self, call: Call) -> Answer:
        """ExportKey: the material of a version, wrapped to the caller's public key."""
        asked = read_body(call.body, wire.ExportKeyDetails)
        used = await self._granted(call, asked.key_id, asked.key_version_id)
        telling(**_details(asked.logging_context))
        rules.check_export(asked.algorithm, used.key.algorithm, used.key.protection_mode)
        public = key_wrapping.public_key(asked.public_key)
        secret = await self._revealed(call, used)
        wrapped = key_wrapping.wrapped(secret.reveal(), asked.algorithm, public)
        return Answer(
            body=wire.ExportedKeyData(
                key_id=used.key.id,
                key_version_id=used.version.id,
                vault_id=used.key.vault_id,
                time_created=written(used.version.created_at),
                algorithm=asked.algorithm,
                encrypted_key=wire.encoded(wrapped),
            )
        )

    # The row and its key.

    async def _granted(self, call: Call, key_id: str, version_id: str | None, *, is_named: bool = True) -> Usable:
        """The version to use, once caller, key, vault and version allow it.

        Raises NotFound, Conflict("WrongState"); for a version that only a ciphertext names (`is_named` False) and that
        is none of this key Invalid, as for any other ciphertext that does not open.
        """
        if "\0" in key_id or (version_id is not None and "\0" in version_id):
            raise absent("Key or Vault")
        used = versions.for_use_now(self._store, key_id, version_id)
        if used is None:
            used = await versions.for_use(self._store, key_id, version_id)
        key = used.key if used is not None else await keys.find(self._store, key_id)
        return self._checked(call, key, used, is_named=is_named)

    def _granted_now(self, call: Call, key_id: str, version_id: str | None) -> Usable | None:
        """The same without waiting; None where there is no such version, or that cannot be told at once."""
        used = versions.for_use_now(self._store, key_id, version_id)
        return None if used is None else self._checked(call, used.key, used)

    def _checked(self, call: Call, key: Key | None, used: Usable | None, *, is_named: bool = True) -> Usable:
        """What was read, if it may be used. Raises as `_granted` does."""
        if key is None or not key.is_at(call.caller.tenancy_num, call.place):
            raise absent("Key or Vault")
        about("key", key.id, key.display_name, key.vault_id)
        call.require(Verb.USE, key.compartment_id, "Key or Vault")
        try:
            _check_key(key, call.now)
            if used is None:
                raise absent("Key version") if is_named else does_not_decrypt()
            shown = used.version.shown_at(call.now, key)
            if shown != _USABLE:
                version_rules.decide(version_rules.Operation.USE, shown, used.version.id)
        except Refusal:
            if used is not None:  # what may not be used need not stay in memory
                self._materials.forget(used.version.num)
            raise
        return used

    async def _object(self, call: Call, used: Usable) -> KeyObject:
        """The working object of a version that was granted. Raises Damaged where its material does not open."""
        version, shape = used.version, _shape(used.key)
        try:
            return await self._materials.opened(version.num, version.id, shape, version.data_key_id, used.sealed)
        except Conflict as gone:
            used = await self._again(call, used, gone)
        version = used.version
        return await self._materials.opened(version.num, version.id, shape, version.data_key_id, used.sealed)

    async def _revealed(self, call: Call, used: Usable) -> Sensitive:
        try:
            return await self._materials.revealed(used.version.id, used.version.data_key_id, used.sealed)
        except Conflict as gone:
            used = await self._again(call, used, gone)
        return await self._materials.revealed(used.version.id, used.version.data_key_id, used.sealed)

    async def _again(self, call: Call, used: Usable, gone: Conflict) -> Usable:
        """The same version read anew, where its material was sealed anew since it was read."""
        if gone.reason != "DataKeyRetired":
            raise gone
        return await self._granted(call, used.key.id, used.version.id)

    async def _done(self, call: Call, used: Usable, work: Work, *, is_private: bool = False) -> Answer:
        """Does it, in a thread where it takes long because `is_private`, with a private key. Raises Throttled."""
        key = await self._object(call, used)
        if is_private and _takes_long(key):
            return await self._materials.users.run(lambda: work(key))
        return work(key)

    def _done_now(self, used: Usable, context: Context | None, work: Work, *, is_private: bool = False) -> Told | None:
        """Does it, and tells what its record needs; None where that takes long or the key has to be read first."""
        details, key, version = _details(context), used.key, used.version
        found = self._materials.opened_now(version.num, version.id, _shape(key), version.data_key_id, used.sealed)
        if found is None or (is_private and _takes_long(found)):
            return None
        subject = Subject(kind="key", id=key.id, name=key.display_name, container=key.vault_id)
        return Told(work(found), subject, details)


class _Ciphertext:
    """What came to be decrypted: None where it is no base64, or none that names its version."""

    __slots__ = ("content", "named", "version_id")

    def __init__(self, asked: wire.DecryptDataDetails) -> None:
        self.content = wire.read(asked.ciphertext)
        self.named = None if self.content is None else wire.unpacked(self.content)
        self.version_id = asked.key_version_id or (self.named and self.named[0])


def _encryption(asked: wire.EncryptDataDetails, used: Usable) -> Work:
    """Encrypts. Raises Invalid."""
    name, algorithm = rules.encryption(asked.encryption_algorithm, used.key.algorithm, asked.key_version_id)
    plaintext = wire.decoded("plaintext", asked.plaintext)
    wire.check_context("associatedData", asked.associated_data)
    rules.check_plaintext(plaintext, rules.MAX_PLAINTEXT_BYTES)
    key_id, version_id, data = used.key.id, used.version.id, asked.associated_data

    def work(key: KeyObject) -> Answer:
        if isinstance(key, AesKey):
            ciphertext = wire.packed(version_id, key.encrypt(plaintext, bound(key_id, version_id, data)))
        else:
            _no_associated_data(data)
            rsa = _of_kind(key, RsaKey)
            rules.check_plaintext(plaintext, rsa.most_plaintext(algorithm.digest))
            ciphertext = rsa.encrypt(plaintext, algorithm.digest)
        return Answer(body=wire.EncryptedData(wire.encoded(ciphertext), key_id, version_id, name))

    return work


def _decryption(asked: wire.DecryptDataDetails, found: _Ciphertext, used: Usable) -> Work:
    """Decrypts. Raises Invalid."""
    name, algorithm = rules.encryption(asked.encryption_algorithm, used.key.algorithm, asked.key_version_id)
    content, named = found.content, found.named
    if content is None:
        raise wire.no_base64("ciphertext")
    wire.check_context("associatedData", asked.associated_data)
    is_aes, data = algorithm.key_algorithm == "AES", asked.associated_data
    if is_aes and named is None:  # a version that is named beside it and is another one does not open it
        raise does_not_decrypt()
    if not is_aes:
        _no_associated_data(data)
    key_id, version_id = used.key.id, used.version.id

    def work(key: KeyObject) -> Answer:
        if named is not None and is_aes:
            plaintext = _of_kind(key, AesKey).decrypt(named[1], bound(key_id, version_id, data))
        else:
            plaintext = _of_kind(key, RsaKey).decrypt(content, algorithm.digest)
        told = wire.encoded(plaintext), wire.checksum(plaintext), key_id, version_id, name
        return Answer(body=wire.DecryptedData(*told))

    return work


def _signing(asked: wire.SignDataDetails, used: Usable) -> Work:
    """Signs. Raises Invalid."""
    algorithm = rules.signing(asked.signing_algorithm, used.key.algorithm)
    message = wire.decoded("message", asked.message)
    is_digest = rules.check_message(message, asked.message_type, algorithm)

    def work(key: KeyObject) -> Answer:
        if isinstance(key, RsaKey):
            signature = key.sign(message, algorithm.digest, algorithm.padding, is_digest)
        else:
            signature = _of_kind(key, EcdsaKey).sign(message, algorithm.digest, is_digest)
        told = used.key.id, used.version.id, wire.encoded(signature), asked.signing_algorithm
        return Answer(body=wire.SignedData(*told))

    return work


def _verification(asked: wire.VerifyDataDetails, used: Usable) -> Work:
    """Verifies. Raises Invalid."""
    algorithm = rules.signing(asked.signing_algorithm, used.key.algorithm)
    message, signature = wire.decoded("message", asked.message), wire.decoded("signature", asked.signature)
    is_digest = rules.check_message(message, asked.message_type, algorithm)

    def work(key: KeyObject) -> Answer:
        if isinstance(key, RsaKey):
            is_valid = key.verifies(signature, message, algorithm.digest, algorithm.padding, is_digest)
        else:
            is_valid = _of_kind(key, EcdsaKey).verifies(signature, message, algorithm.digest, is_digest)
        return Answer(body=wire.VerifiedData(is_valid))

    return work


def _check_key(key: Key, now: float) -> None:
    """Raises NotFound where key or vault is deleted, Conflict("WrongState") where one is in another wrong state."""
    shown, vault_shown = key.shown_at(now), key.vault_shown_at(now)
    if vault_shown not in rules.LIVE_VAULT and shown != "DELETED":
        raise wrong_state("Vault", key.vault_id, vault_shown)
    if shown != _USABLE:
        key_rules.decide(key_rules.Operation.USE, shown, key.id)


def _shape(key: Key) -> Shape:
    return Shape(key.algorithm, key.length, key.curve_id)


def _of_kind(key: KeyObject, kind: type[K]) -> K:
    if not isinstance(key, kind):  # the row says one thing and the material is another
        raise Damaged("Material")
    return key


def _no_associated_data(data: Context | None) -> None:
    if data:  # OAEP has no place for it, and it must not seem to be protected
        raise wrong("associatedData", "is not taken with an RSA key")


def _takes_long(key: KeyObject) -> bool:
    """Whether what is done with the private key is nothing for the event loop."""
    return isinstance(key, RsaKey) and key.length > INLINE_RSA_LENGTH


def _details(context: Context | None) -> dict[str, Any]:
    """What the caller wants to be in the record of this call. Raises Invalid where that is too long."""
    if not context:
        return {}
    wire.check_context("loggingContext", context)
    return {"logging_context": context}
