"""What the bodies of CreateSecret and UpdateSecret make of a secret's row, but for its versions (OCI contract §10)."""

from __future__ import annotations

from typing import Any

import msgspec

from claviger.core.errors import Invalid
from claviger.core.sensitive import Sensitive
from claviger.ocikms.calls import Call
from claviger.ocikms.errors import missing, wrong
from claviger.ocikms.keys.records import Key
from claviger.ocikms.ocids import new_regional_ocid
from claviger.ocikms.secrets import generation, rules, wire
from claviger.ocikms.secrets.records import Around, Secret
from claviger.ocikms.secrets.rules import Marks
from claviger.ocikms.secrets.shown import generation_of, read_generation, read_rules, rules_of, text_of
from claviger.ocikms.texts import check_tags
from claviger.ocikms.vaults.records import Vault

Details = wire.CreateSecretDetails | wire.UpdateSecretDetails


def drafted(call: Call, body: wire.CreateSecretDetails, vault: Vault, key: Key, settle_s: float) -> Secret:
    """The row of a new secret, which is not stored yet. Raises Invalid."""
    if key.algorithm != "AES":
        raise wrong("keyId", "must be that of a symmetric key")
    passing, until = rules.passing(rules.CREATING, call.now, settle_s)
    blank = Secret(
        id=new_regional_ocid("vaultsecret", call.place.region),
        vault_num=vault.num,
        key_id=key.id,
        compartment_id=body.compartment_id,
        name=rules.check_name(body.secret_name),
        description=None,
        metadata=None,
        rules="{}",
        is_auto_generated=0,
        generation=None,
        **marked(rules.FIRST),
        passing=passing,
        passing_until=until,
        freeform_tags="{}",
        defined_tags="{}",
        created_at=call.now,
        updated_at=call.now,
        tenancy_num=vault.tenancy_num,
        region=vault.region,
        vault=Around(vault.id, vault.state, vault.passing, vault.passing_until, vault.deletes_at),
        key=Around(key.id, key.state, key.passing, key.passing_until, key.deletes_at),
        current_created_at=call.now,
    )
    return described(blank, body, call.now)


def marked(marks: Marks) -> dict[str, Any]:
    """The columns of a secret that hold these marks."""
    return {f"{name}_version": number for name, number in msgspec.structs.asdict(marks).items()}


def described(secret: Secret, body: Details, now: float) -> Secret:
    """The secret with what the body says of it; what is absent stays. Raises Invalid("Value" | "NotOffered")."""
    if body.rotation_config is not None:
        raise Invalid("NotOffered", message="Rotation in a target system is not offered: there are none here.")
    if body.replication_config and body.replication_config.get("replicationTargets"):
        raise Invalid("NotOffered", message="Replication of secrets to other regions is not offered.")
    given: dict[str, Any] = {}
    if body.description is not None:
        given["description"] = rules.check_description(body.description)
    if body.metadata is not None:
        given["metadata"] = rules.check_metadata(text_of(body.metadata))
    check_tags(body.freeform_tags, body.defined_tags)
    if body.freeform_tags is not None:
        given["freeform_tags"] = text_of(body.freeform_tags)
    if body.defined_tags is not None:
        given["defined_tags"] = text_of(body.defined_tags)
    if body.secret_rules is not None:
        asked = read_rules(body.secret_rules)
        rules.check_expiry(asked.expiry, rules_of(secret).expiry, now)
        given["rules"] = text_of(asked)
    if body.secret_generation_context is not None:
        given["generation"] = text_of(generation.check(read_generation(body.secret_generation_context)))
    if body.enable_auto_generation is not None:
        given["is_auto_generated"] = int(body.enable_auto_generation)
    after = msgspec.structs.replace(secret, **given)
    if after.is_auto_generated and after.generation is None:
        raise missing("secretGenerationContext")
    return after


def content_of(secret: Secret, sent: wire.SecretContentDetails | None) -> tuple[Sensitive, bool]:
    """The content that was sent, or one that is made, and whether it was made. Raises Invalid."""
    if sent is not None and sent.content_type != wire.BASE64:
        raise wrong("secretContent.contentType", f"must be {wire.BASE64}")
    by = generation_of(secret) if secret.is_auto_generated else None
    if by is None:
        if sent is None:
            raise missing("secretContent")
        return Sensitive(rules.content_bytes(sent.content)), False
    if sent is not None and sent.content is not None:
        raise wrong("secretContent.content", "cannot be given: this secret's contents are generated")
    made = generation.generated(by)
    rules.check_length(made.reveal())
    return made, True
