"""How the wire shows stored secrets and versions, and how it reads the rules and contexts that it is sent."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from claviger.core.sensitive import Sensitive
from claviger.ocikms import states
from claviger.ocikms.calls import Answer, Call
from claviger.ocikms.errors import wrong
from claviger.ocikms.secret_versions.records import Version
from claviger.ocikms.secrets import rules, wire
from claviger.ocikms.secrets.generation import Generation
from claviger.ocikms.secrets.records import Secret
from claviger.ocikms.secrets.rules import ExpiryRule, ReuseRule, Rules
from claviger.ocikms.texts import read_time, written

_rules = msgspec.json.Decoder(Rules)
_generation = msgspec.json.Decoder(Generation)


def rules_of(secret: Secret) -> Rules:
    """The stored rules of a secret."""
    return _rules.decode(secret.rules)


def generation_of(secret: Secret) -> Generation | None:
    """How its contents are made, where the service makes them."""
    return None if secret.generation is None else _generation.decode(secret.generation)


def text_of(value: object) -> str:
    """As it is stored."""
    return msgspec.json.encode(value).decode()


def read_rules(sent: list[wire.SecretRule]) -> Rules:
    """The rules that were sent. Raises Invalid for two of a kind, and for values that cannot be read."""
    found: dict[str, ExpiryRule | ReuseRule] = {}
    for one in sent:
        kind = "expiry" if isinstance(one, wire.SecretExpiryRule) else "reuse"
        if kind in found:
            raise wrong("secretRules", "may hold one rule of each type at most")
        found[kind] = _read_rule(one)
    return Rules(**found)  # type: ignore[arg-type]


def _read_rule(sent: wire.SecretRule) -> ExpiryRule | ReuseRule:
    if isinstance(sent, wire.SecretReuseRule):
        return ReuseRule(bool(sent.is_enforced_on_deleted_secret_versions))
    return ExpiryRule(
        rules.interval_days(sent.secret_version_expiry_interval),
        read_time("timeOfAbsoluteExpiry", sent.time_of_absolute_expiry),
        bool(sent.is_secret_content_retrieval_blocked_on_expiry),
    )


def shown_rules(kept: Rules) -> list[wire.SecretRule]:
    """Rules as the wire has them."""
    shown: list[wire.SecretRule] = []
    if kept.expiry is not None:
        days = kept.expiry.interval_days
        absolute, blocking = _time(kept.expiry.absolute_at), kept.expiry.is_blocking
        shown.append(wire.SecretExpiryRule(None if days is None else f"P{days}D", absolute, blocking))
    if kept.reuse is not None:
        shown.append(wire.SecretReuseRule(kept.reuse.on_deleted))
    return shown


def read_generation(sent: wire.SecretGenerationContext) -> Generation:
    """A generation context as it was sent; unchecked."""
    return Generation(sent.generation_type, sent.generation_template, sent.passphrase_length, sent.secret_template)


def _shown_generation(secret: Secret) -> wire.SecretGenerationContext | None:
    kept = generation_of(secret)
    if kept is None:
        return None
    return wire.SecretGenerationContext(kept.kind, kept.template, kept.length, kept.secret_template)


def _time(at: float | None) -> str | None:
    return None if at is None else written(at)


def _raw(text: str | None) -> msgspec.Raw:
    return msgspec.Raw(b"null" if text is None else text.encode())


def shown_listed(call: Call, secret: Secret) -> wire.ListedSecret:
    """A secret in a list."""
    return wire.ListedSecret(**_facts(call, secret))


def shown_secret(call: Call, secret: Secret, showing: str = "") -> wire.Secret:
    """A secret in full; in the state `showing` where an answer names one that may have passed already."""
    facts = _facts(call, secret)
    facts["lifecycle_state"] = showing or facts["lifecycle_state"]
    return wire.Secret(
        **facts,
        current_version_number=secret.current_version,
        metadata=_raw(secret.metadata),
        secret_rules=shown_rules(rules_of(secret)),
    )


def _facts(call: Call, secret: Secret) -> dict[str, Any]:
    state, vault, key = secret.shown_at(call.now), secret.vault.shown_at(call.now), secret.key.shown_at(call.now)
    deletes_at = secret.deletes_at
    if state == states.DELETED and deletes_at is None:
        deletes_at = secret.vault.deletes_at
    return {
        "compartment_id": secret.compartment_id,
        "defined_tags": _raw(secret.defined_tags),
        "description": secret.description,
        "freeform_tags": _raw(secret.freeform_tags),
        "id": secret.id,
        "is_auto_generation_enabled": secret.is_auto_generated != 0,
        "key_id": secret.key_id,
        "last_rotation_time": _time(secret.last_rotation_at),
        "lifecycle_details": rules.out_of_reach(state, vault, key),
        "lifecycle_state": state,
        "secret_generation_context": _shown_generation(secret),
        "secret_name": secret.name,
        "time_created": written(secret.created_at),
        "time_of_current_version_expiry": _time(rules.expires_at(rules_of(secret).expiry, secret.current_created_at)),
        "time_of_deletion": _time(deletes_at),
        "vault_id": secret.vault.id,
    }


def answered(call: Call, secret: Secret, showing: str = "") -> Answer:
    """The answer of an operation on a secret. Its etag is that of the state in which the next call finds the secret."""
    answer = answered_bare(call, secret)
    answer.body = shown_secret(call, secret, showing)
    return answer


def answered_bare(call: Call, secret: Secret) -> Answer:
    """The answer of an operation that has no body: the etag alone."""
    return Answer(etag=secret.etag_at(call.now), subject=secret.id, compartment_id=secret.compartment_id)


def version_etag(secret: Secret, version: Version, now: float) -> str:
    """Changes with every change of the version, and of the secret, which may change its stages."""
    ident = f"{secret.id}/{version.number}/{secret.shown_at(now)}"
    return states.etag(ident, secret.revision, version.shown_at(now))


def _version_facts(secret: Secret, version: Version) -> dict[str, Any]:
    return {
        "secret_id": secret.id,
        "stages": rules.stages_of(version.number, secret.marks),
        "time_created": written(version.created_at),
        "time_of_deletion": _time(version.deletes_at),
        "version_number": version.number,
    }


def _expiry(secret: Secret, version: Version) -> str | None:
    return _time(rules.expires_at(rules_of(secret).expiry, version.created_at))


def shown_version(secret: Secret, version: Version) -> wire.SecretVersion:
    """A version."""
    return wire.SecretVersion(
        **_version_facts(secret, version),
        is_content_auto_generated=version.is_auto_generated != 0,
        name=version.name,
        time_of_current_version_expiry=_expiry(secret, version),
    )


def shown_version_listed(secret: Secret, version: Version) -> wire.SecretVersionSummary:
    """A version in a list."""
    return wire.SecretVersionSummary(
        **_version_facts(secret, version),
        is_content_auto_generated=version.is_auto_generated != 0,
        name=version.name,
        time_of_expiry=_expiry(secret, version),
    )


def shown_bundle_listed(secret: Secret, version: Version) -> wire.SecretBundleVersionSummary:
    """A version in the retrieval plane's list."""
    return wire.SecretBundleVersionSummary(
        **_version_facts(secret, version), time_of_expiry=_expiry(secret, version), version_name=version.name
    )


def shown_bundle(secret: Secret, version: Version, content: Sensitive) -> wire.SecretBundle:
    """A version with its content."""
    return wire.SecretBundle(
        **_version_facts(secret, version),
        metadata=_raw(secret.metadata),
        secret_bundle_content=wire.SecretBundleContent(base64.b64encode(content.reveal()).decode()),
        time_of_expiry=_expiry(secret, version),
        version_name=version.name,
    )
