"""The three calls of the retrieval plane (OCI contract §10). What cannot be read is as if it were not there.

Contents are read without waiting where the store and the keyring can: two indexed reads and one opening.
"""

from __future__ import annotations

from claviger.audit.entry import Subject
from claviger.audit.trail import telling
from claviger.ocikms.calls import Answer, Call, Told, Verb
from claviger.ocikms.errors import absent, wrong
from claviger.ocikms.listing import listed, page_of
from claviger.ocikms.secret_versions import records as versions
from claviger.ocikms.secret_versions.records import Sealed, Which
from claviger.ocikms.secrets import contents, records, rules
from claviger.ocikms.secrets.changes import seen, visible
from claviger.ocikms.secrets.records import Secret
from claviger.ocikms.secrets.rules import Operation
from claviger.ocikms.secrets.shown import rules_of, shown_bundle, shown_bundle_listed, version_etag
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store

_WAYS = ("versionNumber", "secretVersionName", "stage")


class Bundles:
    """The operations."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring

    async def get(self, call: Call) -> Answer:
        """GetSecretBundle, by the secret's OCID. Raises NotFound, Invalid."""
        _check_ways(call)

        async def attempt() -> Answer:
            return await self._opened(call, await visible(self._store, call, Verb.READ))

        return await self._keyring.again_if_retired(attempt)

    async def get_by_name(self, call: Call) -> Answer:
        """GetSecretBundleByName, by the names of secret and vault. Raises NotFound, Invalid."""
        name, vault_id = call.required("secretName"), call.required("vaultId")
        _check_ways(call)

        async def attempt() -> Answer:
            found = await records.by_name(self._store, vault_id, name)
            return await self._opened(call, seen(call, found, Verb.READ))

        return await self._keyring.again_if_retired(attempt)

    async def list(self, call: Call) -> Answer:
        """ListSecretBundleVersions. Raises NotFound, Invalid."""
        page = page_of(call, rules.VERSION_ORDERS)
        secret = await visible(self._store, call, Verb.READ)
        rules.decide(Operation.READ_CONTENT, secret.shown_at(call.now), secret.id)
        found = await versions.page(self._store, secret.num, page, call.now)
        return listed(
            page,
            found,
            lambda version: (float(version.number), version.num),
            lambda version: shown_bundle_listed(secret, version),
        )

    async def _opened(self, call: Call, secret: Secret) -> Answer:
        which = _which(call, secret)
        kept = _readable(call, secret, await versions.sealed(self._store, secret.num, which))
        data_key_id, sealed, bound_to = _seal(secret, kept)
        return _answer(call, secret, kept, await self._keyring.open(data_key_id, sealed, bound_to))

    def get_now(self, call: Call) -> Told | None:
        """What `get` answers, if it can be had without waiting; None otherwise. Raises as `get` does."""
        _check_ways(call)
        secret = records.find_now(self._store, call.path["secretId"])
        if secret is None:
            return None
        secret = seen(call, secret, Verb.READ)
        kept = versions.sealed_now(self._store, secret.num, _which(call, secret))
        if kept is None:
            return None
        data_key_id, sealed, bound_to = _seal(secret, _readable(call, secret, kept))
        plaintext = self._keyring.open_now(data_key_id, sealed, bound_to)
        if plaintext is None:
            return None
        subject = Subject(kind="secret", id=secret.id, name=secret.name, container=secret.vault.id)
        return Told(_answer(call, secret, kept, plaintext), subject, {"version": kept.version.number})


def _which(call: Call, secret: Secret) -> Which:
    """The version that the query asks for; the current one where it asks for none. Raises Invalid, NotFound."""
    if number := call.query.get("versionNumber"):
        return Which(secret.marks, rules.number_of(number))
    if name := call.query.get("secretVersionName"):
        return Which(secret.marks, name=name)
    stage = call.chosen("stage", rules.STAGES, rules.CURRENT)
    if stage == rules.DEPRECATED:
        return Which(secret.marks)
    return Which(secret.marks, getattr(secret.marks, stage.lower()))


def _readable(call: Call, secret: Secret, kept: Sealed | None) -> Sealed:
    """The version, if its content may be read. Raises NotFound."""
    rules.decide(Operation.READ_CONTENT, secret.shown_at(call.now), secret.id)
    rules.check_readable(secret.vault.shown_at(call.now), secret.key.shown_at(call.now))
    if kept is None or kept.version.shown_at(call.now) != rules.ACTIVE:
        raise absent("Secret version")
    rules.check_not_expired(rules_of(secret).expiry, kept.version.created_at, call.now)
    telling(version=kept.version.number)
    return kept


def _seal(secret: Secret, kept: Sealed) -> tuple[int, bytes, bytes]:
    """The data key, the sealed content and what it is bound to. Raises NotFound where the content is destroyed."""
    if kept.sealed is None or kept.version.data_key_id is None:  # deleted between the reads of secret and version
        raise absent("Secret version")
    return kept.version.data_key_id, kept.sealed, contents.binding(secret.id, kept.version.number)


def _answer(call: Call, secret: Secret, kept: Sealed, plaintext: bytes) -> Answer:
    body = shown_bundle(secret, kept.version, contents.unpacked(plaintext).content)
    return Answer(body=body, etag=version_etag(secret, kept.version, call.now))


def _check_ways(call: Call) -> None:
    """Raises Invalid for a query that asks for a version in two ways, or in one that cannot be read."""
    given = [way for way in _WAYS if call.query.get(way)]
    if len(given) > 1:
        raise wrong(" and ".join(given), "cannot be given in one call")
    if "versionNumber" in given:
        rules.number_of(call.query["versionNumber"])
    call.chosen("stage", rules.STAGES, rules.CURRENT)
