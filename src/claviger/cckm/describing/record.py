"""The words of the audit log and of the product at large; a part of the glossary."""

from __future__ import annotations

from collections.abc import Mapping

from claviger.cckm.describing.word import CREATED, Word

_HASH = "In hex."
AUDIT: Mapping[str, Word] = {
    "AuditRecordShown.createdAt": Word("When it happened; RFC 3339, UTC.", CREATED),
    "AuditRecordShown.updatedAt": Word("The same: a record never changes.", CREATED),
    "AuditRecordShown.severity": Word("info: done; warning: refused; error: failed.", "info"),
    "AuditRecordShown.message": Word("What was to be done.", "Soft-delete a secret in Azure"),
    "AuditRecordShown.service": Word("Which service did it.", "cckm"),
    "AuditRecordShown.source": Word("The way it came: api, cli, scheduler, sweeper, finisher, keyvault, ...", "api"),
    "AuditRecordShown.success": Word("Whether what was asked for was done."),
    "AuditRecordShown.username": Word("Who did it, by name; empty where nobody had proved to be anybody."),
    "AuditRecordShown.user_id": Word("Who did it, by id."),
    "AuditRecordShown.clientIP": Word("The address that the call came from.", "192.0.2.7"),
    "AuditRecordShown.domain": Word("Whose admins see the record: id of the domain."),
    "AuditRecordShown.details": Word("What it was done to, how it ended, and more of its kind. Never a secret value."),
    "seq": Word("Number of the record in the log, from 0.", 41),
    "canonical": Word("The record as it is hashed: SHA-256 of a zero byte and this text is its leaf in the tree."),
    "ClientRecord.id": Word("Id of the record."),
    "CheckpointShown.origin": Word("Name of the log, which is that of its key."),
    "CheckpointShown.size": Word("How many records it covers.", 10_000),
    "CheckpointShown.root": Word(f"Root of their tree. {_HASH}"),
    "CheckpointShown.at": Word("When it was signed."),
    "note": Word("The signed note, as witnesses keep it."),
    "InclusionShown.size": Word("Of how many records the tree is.", 10_000),
    "leaf": Word(f"Hash of the record. {_HASH}"),
    "InclusionShown.root": Word(f"Root of that tree. {_HASH}"),
    "proof": Word(f"The hashes of the proof, in their order. {_HASH}"),
    "ConsistencyShown.from": Word("The earlier size.", 5_000),
    "ConsistencyShown.to": Word("The later size.", 10_000),
    "old_root": Word(f"Root at the earlier size. {_HASH}"),
    "new_root": Word(f"Root at the later size. {_HASH}"),
    "CloudUnits.total": Word("Of all clouds."),
    "CloudUnits.azure": Word("Subscriptions of Azure with a vault under management."),
    "CloudUnits.oci": Word("Tenancies of OCI."),
    "PropertyShown.name": Word("Its name.", "ENABLE_RECORDS_DB_STORE"),
    "PropertyShown.value": Word("Its value; no secret."),
    "PropertyShown.description": Word("What it is for."),
    "public_key": Word("The key, as `claviger audit verify --public-key` takes it."),
}
AUDIT_SEGMENTS: Mapping[str, str] = {
    "alarms": "Id of the alarm.",
    "records": "Id of the audit record.",
    "client-records": "Id of the record that a client has sent.",
}
AUDIT_TAGS: Mapping[str, str] = {
    "audit": "Who did what, in a log that nobody can change unnoticed, and what proves it.",
    "system": "What the product has beside its clouds; most of it is empty here.",
}
