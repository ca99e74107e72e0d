"""The operations that give a secret another content or another current version (OCI contract §10).

A content is sealed inside the change, because only there its number is known; its data key was brought into memory
before. The content itself is nowhere but in the body of the call and under its seal.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec

from claviger.audit.trail import about, telling
from claviger.core.errors import Invalid
from claviger.core.sensitive import Sensitive
from claviger.ocikms import states
from claviger.ocikms.calls import Answer, Call, Verb
from claviger.ocikms.changing import Change, Standing, once
from claviger.ocikms.errors import related_absent, wrong, wrong_state
from claviger.ocikms.keys import records as keys
from claviger.ocikms.keys.records import Key
from claviger.ocikms.materials import scope
from claviger.ocikms.placing import check_place, check_right
from claviger.ocikms.secret_versions import records as versions
from claviger.ocikms.secret_versions.records import Version, Which
from claviger.ocikms.secrets import contents, records, rules, wire
from claviger.ocikms.secrets.changes import Act, Empty, changed, standing_at, visible
from claviger.ocikms.secrets.drafting import content_of, described, drafted, marked
from claviger.ocikms.secrets.records import Secret
from claviger.ocikms.secrets.rules import Operation
from claviger.ocikms.secrets.shown import answered, rules_of
from claviger.ocikms.texts import read_body
from claviger.ocikms.vaults import records as vaults
from claviger.ocikms.vaults import rules as vault_rules
from claviger.ocikms.vaults.records import Vault
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx


class Uploads:
    """The operations. `settle_s` is how long a transitional state is shown."""

    def __init__(self, store: Store, keyring: Keyring, *, settle_s: float = 0.0) -> None:
        self._store = store
        self._keyring = keyring
        self._settle_s = settle_s

    async def create(self, call: Call) -> Answer:
        """CreateSecret. Raises Invalid, Conflict."""
        body = read_body(call.body, wire.CreateSecretDetails)
        check_right(call, body.compartment_id)
        vault_num = _vault_for(call, await vaults.find(self._store, body.vault_id)).num
        remembered = _without_content(call)

        def change(tx: Tx, data_key_id: int) -> Answer:
            vault = _vault_for(call, vaults.by_id_in(tx, body.vault_id))
            key = _key_for(call, vault, keys.by_id_in(tx, body.key_id))
            return once(
                remembered,
                lambda tx: self._created(tx, call, body, vault, key, data_key_id),
                self._standing_created(call, body.secret_content),
            )(tx)

        return await self._sealing(vault_num, change)

    def _created(
        self, tx: Tx, call: Call, body: wire.CreateSecretDetails, vault: Vault, key: Key, data_key_id: int
    ) -> Answer:
        check_place(tx, call, body.compartment_id)
        vault_rules.decide(vault_rules.Operation.FILL, vault.shown_at(call.now), vault.id)
        if key.shown_at(call.now) != rules.ENABLED:
            raise wrong_state("Key", key.id, key.shown_at(call.now))
        secret = drafted(call, body, vault, key, self._settle_s)
        if body.secret_content is not None and body.secret_content.stage not in (None, rules.CURRENT):
            raise wrong("secretContent.stage", "of a new secret can only be CURRENT")
        content, is_made = content_of(secret, body.secret_content)
        if records.is_name_taken(tx, vault.num, secret.name):
            raise rules.name_taken()
        secret = records.add(tx, secret)
        about("secret", secret.id, secret.name, vault.id)
        marking_key = contents.new_marking_key()
        self._add_version(tx, secret, body.secret_content, content, is_made, marking_key, data_key_id, call.now)
        return answered(call, secret, rules.CREATING)

    def _standing_created(self, call: Call, sent: wire.SecretContentDetails | None) -> Standing:
        """Where the secret is that a retry token made, if it was made with this content: the request that is kept with
        the token is without it, for its hash would give a weak content away.
        """
        standing = standing_at(call.now)

        def standing_with_content(tx: Tx, secret_id: str) -> str | None:
            secret = records.by_id_in(tx, secret_id)
            if secret is None or sent is None or sent.content is None:
                return standing(tx, secret_id)
            first = versions.sealed_in(tx, secret.num, 1)
            if first is None or first.sealed is None or first.version.data_key_id is None:
                return None
            opened = self._keyring.open_now(first.version.data_key_id, first.sealed, contents.binding(secret_id, 1))
            is_same = opened is not None and _is_content(contents.unpacked(opened).content, sent.content)
            return standing(tx, secret_id) if is_same else None

        return standing_with_content

    async def update(self, call: Call) -> Answer:
        """UpdateSecret; a content makes a new version. Raises NotFound, Conflict, Invalid."""
        body = read_body(call.body, wire.UpdateSecretDetails)
        sent = body.secret_content

        def described_in(tx: Tx, secret: Secret) -> Secret:
            rules.check_alone(sent is not None, body.current_version_number, body.secret_rules is not None)
            after = described(secret, body, call.now)
            number = body.current_version_number
            return after if number is None else _promoted(tx, after, number, call.now)

        if sent is None:
            return await self._store.write(self._updated(call, described_in))

        async def attempt() -> Answer:
            found, marking_key = await self._marking_key(call)

            def change(tx: Tx, data_key_id: int) -> Answer:
                def act(tx: Tx, secret: Secret) -> Secret:
                    after = described_in(tx, secret)
                    if _is_promotion(after, sent):
                        return _promoted(tx, after, after.pending_version, call.now)
                    return self._uploaded(tx, call, after, sent, marking_key, data_key_id)

                return self._updated(call, act)(tx)

            return await self._sealing(found.vault_num, change)

        return await self._keyring.again_if_retired(attempt)

    def _updated(self, call: Call, act: Act) -> Change:
        passing, until = rules.passing(rules.UPDATING, call.now, self._settle_s)

        def acted(tx: Tx, secret: Secret) -> Secret:
            return msgspec.structs.replace(act(tx, secret), passing=passing, passing_until=until)

        return changed(acted, call, Operation.UPDATE, Verb.USE, rules.UPDATING)

    def _uploaded(
        self,
        tx: Tx,
        call: Call,
        secret: Secret,
        sent: wire.SecretContentDetails | None,
        marking_key: Sensitive,
        data_key_id: int,
    ) -> Secret:
        """The secret with one version more."""
        if secret.key.shown_at(call.now) != rules.ENABLED:
            raise wrong_state("Key", secret.key_id, secret.key.shown_at(call.now))
        stage = rules.CURRENT if sent is None or sent.stage is None else sent.stage
        if stage not in (rules.CURRENT, rules.PENDING):
            raise wrong("secretContent.stage", f"must be {rules.CURRENT} or {rules.PENDING}")
        content, is_made = content_of(secret, sent)
        after = msgspec.structs.replace(secret, **marked(rules.after_upload(secret.marks, stage)))
        if stage == rules.CURRENT:
            after = msgspec.structs.replace(after, current_created_at=call.now)
        self._add_version(tx, after, sent, content, is_made, marking_key, data_key_id, call.now)
        return after

    async def rotate(self, call: Call) -> Answer:
        """RotateSecret: a new version of a secret whose contents are generated. Raises NotFound, Conflict, Invalid.

        The real service rotates the password in a target system too; there are none here.
        """
        read_body(call.body, Empty)
        passing, until = rules.passing(rules.UPDATING, call.now, self._settle_s)

        async def attempt() -> Answer:
            found, marking_key = await self._marking_key(call)

            def change(tx: Tx, data_key_id: int) -> Answer:
                def act(tx: Tx, secret: Secret) -> Secret:
                    if not secret.is_auto_generated:
                        raise wrong("rotationConfig", "is not set, and the contents of this secret are not generated")
                    after = self._uploaded(tx, call, secret, None, marking_key, data_key_id)
                    return msgspec.structs.replace(
                        after, last_rotation_at=call.now, passing=passing, passing_until=until
                    )

                return changed(act, call, Operation.ROTATE, Verb.MANAGE)(tx)

            return await self._sealing(found.vault_num, change)

        return await self._keyring.again_if_retired(attempt)

    async def _sealing(self, vault_num: int, change: Callable[[Tx, int], Answer]) -> Answer:
        """Writes a change that seals a content under the data key that it is given."""

        async def attempt(data_key_id: int) -> Answer:
            with self._keyring.held(data_key_id):
                return await self._store.write(lambda tx: change(tx, data_key_id))

        return await self._keyring.with_data_key(scope(vault_num), attempt)

    async def _marking_key(self, call: Call) -> tuple[Secret, Sensitive]:
        """The secret of the call, and its marking key, which is in its current version; anything for a deleted one."""
        secret = await visible(self._store, call, Verb.USE)
        kept = await versions.sealed(self._store, secret.num, Which(secret.marks, secret.current_version))
        if kept is None or kept.sealed is None or kept.version.data_key_id is None:
            return secret, contents.new_marking_key()
        bound_to = contents.binding(secret.id, secret.current_version)
        opened = await self._keyring.open(kept.version.data_key_id, kept.sealed, bound_to)
        return secret, contents.unpacked(opened).marking_key

    def _add_version(
        self,
        tx: Tx,
        secret: Secret,
        sent: wire.SecretContentDetails | None,
        content: Sensitive,
        is_made: bool,
        marking_key: Sensitive,
        data_key_id: int,
        now: float,
    ) -> None:
        """Stores the version that the secret's marks call the latest. Raises Invalid."""
        rules.check_room(versions.count(tx, secret.num, rules.ACTIVE, now))
        name = None if sent is None else sent.name
        if name is not None and versions.is_name_taken(tx, secret.num, rules.check_name(name, "secretContent.name")):
            raise wrong("secretContent.name", "is the name of another version of this secret")
        reuse, mark = rules_of(secret).reuse, contents.mark_of(marking_key, content)
        if reuse is not None:
            used = versions.is_content_used(tx, secret.num, mark, now, on_deleted=reuse.on_deleted)
            rules.check_not_used(used)
        number = secret.latest_version
        version = Version(
            secret_num=secret.num,
            number=number,
            name=name,
            content_mark=mark,
            is_auto_generated=int(is_made),
            data_key_id=data_key_id,
            created_at=now,
        )
        packed = contents.packed(marking_key, content)
        versions.add(tx, version, self._keyring.seal(data_key_id, packed, contents.binding(secret.id, number)))
        telling(version=number)


def _vault_for(call: Call, vault: Vault | None) -> Vault:
    """The vault of a new secret. Raises Invalid("RelatedAbsent") for one that the caller may not use, or elsewhere."""
    place = (call.caller.tenancy_num, call.place.region)
    if (
        vault is None
        or (vault.tenancy_num, vault.region) != place
        or not call.sight.may(Verb.USE, vault.compartment_id)
    ):
        raise related_absent("The vault")
    return vault


def _key_for(call: Call, vault: Vault, key: Key | None) -> Key:
    """The key of a new secret. Raises Invalid("RelatedAbsent") for one that the caller may not use, or elsewhere."""
    if key is None or key.vault_num != vault.num or not call.sight.may(Verb.USE, key.compartment_id):
        raise related_absent("The key")
    return key


def _promoted(tx: Tx, secret: Secret, number: int, now: float) -> Secret:
    """The secret with another current version. Raises Invalid, and Conflict for a version that is to be deleted."""
    version = versions.find_in(tx, secret.num, number) if 0 < number < 2**31 else None
    if version is None or version.shown_at(now) == states.DELETED:
        raise wrong("currentVersionNumber", "is not a version of this secret")
    rules.check_version_state(number, version.shown_at(now), rules.ACTIVE)
    telling(version=number)
    after = msgspec.structs.replace(secret, **marked(rules.after_promotion(secret.marks, number)))
    return msgspec.structs.replace(after, current_created_at=version.created_at)


def _is_promotion(secret: Secret, sent: wire.SecretContentDetails) -> bool:
    """Whether only a stage was sent, CURRENT, where there is a pending version: the documented way to promote it."""
    is_bare = sent.content is None and sent.name is None and sent.content_type == wire.BASE64
    return is_bare and not secret.is_auto_generated and sent.stage == rules.CURRENT and secret.pending_version != 0


def _is_content(kept: Sensitive, sent: str) -> bool:
    try:
        return kept == Sensitive(rules.content_bytes(sent))
    except Invalid:
        return False


def _without_content(call: Call) -> Call:
    """The call as a retry token may remember it: without the content, whose hash would give a weak one away."""
    if not call.retry_token:
        return call
    body = json.loads(call.body)
    if isinstance(body.get("secretContent"), dict):
        body["secretContent"] |= {"content": ""} if body["secretContent"].get("content") else {}
    return msgspec.structs.replace(call, body=msgspec.json.encode(body))
