"""Vaults of the embedded OCI on the wire: the names and nulls that the official SDK's models expect, and bad bodies."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from oci.key_management import models

from claviger.core.errors import Invalid
from claviger.ocikms import errors
from claviger.ocikms.texts import read_body
from claviger.ocikms.vaults import wire


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (wire.Vault, models.Vault),
        (wire.VaultSummary, models.VaultSummary),
        (wire.VaultUsage, models.VaultUsage),
        (wire.CreateVaultDetails, models.CreateVaultDetails),
        (wire.UpdateVaultDetails, models.UpdateVaultDetails),
        (wire.ScheduleDeletionDetails, models.ScheduleVaultDeletionDetails),
        (wire.ChangeCompartmentDetails, models.ChangeVaultCompartmentDetails),
        (wire.UpdateRegisteredVaultForMtlsDetails, models.UpdateRegisteredVaultForMtlsDetails),
    ],
)
def test_the_fields_are_those_of_the_sdk(ours: Any, theirs: Any) -> None:
    assert set(ours.__struct_encode_fields__) == set(theirs().attribute_map.values())


def test_what_a_vault_does_not_have_is_null() -> None:
    raw = msgspec.Raw(b"{}")
    vault = wire.Vault(
        compartment_id="c",
        crypto_endpoint="https://c",
        defined_tags=raw,
        display_name="n",
        freeform_tags=msgspec.Raw(b'{"a":"b"}'),
        id="v",
        lifecycle_state="ACTIVE",
        management_endpoint="https://m",
        restored_from_vault_id=None,
        time_created="2026-01-01T00:00:00.000Z",
        time_of_deletion=None,
        vault_type="DEFAULT",
        wrappingkey_id="k",
    )
    shown = json.loads(msgspec.json.encode(vault))
    assert {name for name, value in shown.items() if value is None} == {
        "externalKeyManagerMetadataSummary",
        "replicaDetails",
        "restoredFromVaultId",
        "timeOfDeletion",
    }
    assert shown["wrappingkeyId"] == "k"
    assert shown["freeformTags"] == {"a": "b"}


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"{", "CannotParseRequest", ""),
        (b"", "InvalidParameter", "compartmentId may not be null"),
        (b'{"compartmentId":null,"displayName":"a","vaultType":"DEFAULT"}', "InvalidParameter", "compartmentId may"),
        (b'{"compartmentId":"c","displayName":"a"}', "InvalidParameter", "vaultType may not be null"),
        (b'{"compartmentId":"c","displayName":5,"vaultType":"DEFAULT"}', "InvalidParameter", "displayName"),
        (b'{"compartmentId":"c","compartmentId":"c","displayName":"a","vaultType":"DEFAULT"}', "InvalidParameter", ""),
        (b'{"compartmentId":"c","displayName":"a\\u0000","vaultType":"DEFAULT"}', "InvalidParameter", "NUL"),
        (
            b'{"compartmentId":"c","displayName":"a","vaultType":"DEFAULT","freeformTags":{"a":1}}',
            "InvalidParameter",
            "freeformTags",
        ),
        (b"[]", "InvalidParameter", "object"),
    ],
)
def test_bodies_that_cannot_be_used(body: bytes, code: str, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_body(body, wire.CreateVaultDetails)
    assert errors.told(refused.value)[:2] == (400, code)
    assert message in errors.told(refused.value)[2]
