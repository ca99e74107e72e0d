"""How the wire shows a stored vault: its state at the time of the call, its hosts in the style of the host asked."""

from __future__ import annotations

import msgspec

from claviger.ocikms.calls import Answer, Call
from claviger.ocikms.texts import written
from claviger.ocikms.vaults import wire
from claviger.ocikms.vaults.records import Vault


def shown_vault(call: Call, vault: Vault, showing: str = "") -> wire.Vault:
    """The whole vault; in the state `showing` where an answer names one that may have passed already."""
    management, crypto = call.place.published(vault.prefix, vault.region, vault.slot)
    return wire.Vault(
        compartment_id=vault.compartment_id,
        crypto_endpoint=crypto,
        defined_tags=msgspec.Raw(vault.defined_tags.encode()),
        display_name=vault.display_name,
        freeform_tags=msgspec.Raw(vault.freeform_tags.encode()),
        id=vault.id,
        lifecycle_state=showing or vault.shown_at(call.now),
        management_endpoint=management,
        restored_from_vault_id=vault.restored_from,
        time_created=written(vault.created_at),
        time_of_deletion=None if vault.deletes_at is None else written(vault.deletes_at),
        vault_type=vault.vault_type,
        wrappingkey_id=vault.wrapping_key_id,
    )


def shown_summary(call: Call, vault: Vault) -> wire.VaultSummary:
    """The vault as a list has it."""
    management, crypto = call.place.published(vault.prefix, vault.region, vault.slot)
    return wire.VaultSummary(
        compartment_id=vault.compartment_id,
        crypto_endpoint=crypto,
        defined_tags=msgspec.Raw(vault.defined_tags.encode()),
        display_name=vault.display_name,
        freeform_tags=msgspec.Raw(vault.freeform_tags.encode()),
        id=vault.id,
        lifecycle_state=vault.shown_at(call.now),
        management_endpoint=management,
        time_created=written(vault.created_at),
        vault_type=vault.vault_type,
    )


def answered(call: Call, vault: Vault, showing: str = "") -> Answer:
    """The answer of an operation on a vault. Its etag is that of the state in which the next call finds the vault."""
    return Answer(
        body=shown_vault(call, vault, showing),
        etag=vault.etag_at(call.now),
        subject=vault.id,
        compartment_id=vault.compartment_id,
    )


def answered_bare(call: Call, vault: Vault) -> Answer:
    """The answer of an operation that has no body: the etag alone."""
    return Answer(etag=vault.etag_at(call.now), subject=vault.id, compartment_id=vault.compartment_id)
