"""Secrets on the wire: the documentation's own examples field by field, and bodies as clients of any age send them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import msgspec
import pytest

from claviger.cckm.azure.secrets.rows import SecretRow, Told, details_of, read_details, row_of, values_of, view_of
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.azure.secrets.showing import shown
from claviger.cckm.azure.secrets.wire import (
    AzureParam,
    CreateSecret,
    NewAttributes,
    RestoreSecret,
    UpdateSecret,
    epoch,
)
from claviger.cckm.azure.vaults.records import VaultDetails, VaultRow, encode_details
from claviger.cckm.bodies import read_struct
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.core.errors import Invalid
from claviger.core.sensitive import Sensitive

# "Purging Azure Secrets", the example response.
PURGED: dict[str, Any] = {
    "id": "a5c277fc-16bb-4662-b6b6-29e76a1faa9b",
    "uri": "kylo:kylo:cckm:azure-secret:secret-13-apr-01-a5c277fc-16bb-4662-b6b6-29e76a1faa9b",
    "account": "kylo:kylo:admin:accounts:kylo",
    "createdAt": "2022-04-13T05:04:16.337973Z",
    "updatedAt": "2022-04-13T05:04:53.869535Z",
    "key_vault": "secret-vault::260ecbe7-777b-4d3c-84ea-678820491234",
    "key_vault_id": "62478c30-7b33-4ad1-92aa-62145af3f399",
    "region": "northcentralus",
    "deleted": True,
    "backup_at": "2022-04-13T05:04:16.335995Z",
    "soft_delete_enabled": True,
    "secret_soft_deleted_in_azure": True,
    "syncedAt": "2022-04-13T05:04:16Z",
    "created_by": "a8f38993-aa49-4281-888c-52afd80af6b1",
    "modified_by": "a8f38993-aa49-4281-888c-52afd80af6b1",
    "version": "e4c3ec7abcda43158d1234b9d1bbfd62",
    "backup": "ac796b0ce3ee491c92c2e9e84ea4e2bb789b1c780b6742f882aa318e1aac0b5c",
    "secret_name": "secret-13-apr-01",
    "cloud_name": "AzureCloud",
    "azure_created_at": "2022-04-13T05:04:16Z",
    "azure_updated_at": "2022-04-13T05:04:16Z",
    "tenant": "d27e139e-e487-4b0e-abcd-a71e64567d10",
    "status": "DELETED",
    "gone": False,
    "azure_param": {
        "value": "secret value",
        "id": "https://secret-vault.vault.azure.net/secrets/secret-13-apr-01/e4c3ec7abcda43158d1234b9d1bbfd62",
        "attributes": {
            "recoveryLevel": "Recoverable+Purgeable",
            "enabled": True,
            "created": 1649826256,
            "updated": 1649826256,
        },
    },
}

# "Creating Azure Secrets", the example response.
CREATED: dict[str, Any] = {
    "id": "73524b70-1234-4f92-954b-6312f4567d1a",
    "uri": "kylo:kylo:cckm:azure-secret:73524b70-1234-4f92-954b-6312f4567d1a",
    "account": "kylo:kylo:admin:accounts:kylo",
    "application": "ncryptify:gemalto:admin:apps:kylo",
    "devAccount": "ncryptify:gemalto:admin:accounts:gemalto",
    "createdAt": "2022-03-30T09:56:14.567777723Z",
    "updatedAt": "2022-03-30T09:56:14.563283073Z",
    "key_vault": "cckm-test-soft-delete::1cda5d8b-c825-4976-9999-26022adb76b5",
    "key_vault_id": "9ae64517-7249-42a9-bf86-9252add02ef9",
    "region": "eastus",
    "deleted": False,
    "backup_at": "2022-03-30T09:56:14.563055462Z",
    "soft_delete_enabled": True,
    "key_soft_deleted_in_azure": False,
    "syncedAt": "2022-03-30T09:56:15Z",
    "created_by": "a8f38993-aa49-4281-888c-52afd80af6b1",
    "modified_by": "a8f38993-aa49-4281-888c-52afd80af6b1",
    "backup": "1d92fa15995e471eb9afdcf12ddae350ac3143034e2048390bdd7eb69d21cf2",
    "secret_name": "test-secret",
    "azure_param": {
        "value": "test-secret-value",
        "attributes": {
            "recoveryLevel": "Recoverable",
            "enabled": True,
            "created": 1648634175,
            "updated": 1648634175,
        },
    },
    "azure_created_at": "2022-03-30T09:56:15Z",
    "azure_updated_at": "2022-03-30T09:56:15Z",
    "tenant": "d27d849e-e487-4b0e-a54c-a6e177867d10",
    "status": "AVAILABLE",
}


def seconds_of(text: str) -> float:
    """A time of the examples, whose nanoseconds are cut to what is kept here."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00").timestamp()


def answered(example: dict[str, Any]) -> dict[str, Any]:
    """What is answered about a row that holds the example's facts."""
    azure_name, _, subscription = example["key_vault"].partition("::")
    param = example["azure_param"]
    vault = VaultRow(
        num=1,
        id=example["key_vault_id"],
        domain_id=ROOT_DOMAIN,
        connection_id="connection",
        connection_name="connection",
        subscription_id=subscription,
        subscription_name="",
        azure_name=azure_name,
        azure_vault_id="",
        cloud_name="AzureCloud",
        location=example["region"],
        type="Microsoft.KeyVault/vaults",
        details=encode_details(
            VaultDetails(properties={"enableSoftDelete": example["soft_delete_enabled"], "tenantId": example["tenant"]})
        ),
        labels="{}",
        cloud_key_backup_limit=0,
        synced_at=None,
        created_by="",
        created_at=0.0,
        updated_at=0.0,
    )
    row = SecretRow(
        id=example["id"],
        vault_num=1,
        name=example["secret_name"],
        version=example.get("version", "0" * 32),
        status=Status(example["status"]),
        soft_deleted=example.get("secret_soft_deleted_in_azure", example.get("key_soft_deleted_in_azure", False)),
        gone=example.get("gone", False),
        origin="cckm",
        told=Told(
            azure_id=param.get("id", f"https://{azure_name}.vault.azure.net/secrets/test-secret/{'0' * 32}"),
            enabled=param["attributes"]["enabled"],
            created_at=param["attributes"]["created"],
            updated_at=param["attributes"]["updated"],
            recovery_level=param["attributes"]["recoveryLevel"],
        ),
        backup=example["backup"],
        backup_at=seconds_of(example["backup_at"]),
        synced_at=seconds_of(example["syncedAt"]),
        created_by=example["created_by"],
        modified_by=example["modified_by"],
        created_at=seconds_of(example["createdAt"]),
        updated_at=seconds_of(example["updatedAt"]),
    )
    in_vault = (
        vault.id,
        vault.domain_id,
        vault.azure_name,
        vault.subscription_id,
        vault.location,
        vault.cloud_name,
        vault.details,
    )
    record = shown(view_of((*values_of(row), *in_vault)), Sensitive(param["value"]))
    found: dict[str, Any] = json.loads(msgspec.json.encode(record))
    return found


def test_the_example_of_a_purge() -> None:
    found = answered(PURGED)
    assert {name: found[name] for name in PURGED} == PURGED
    assert set(found) - set(PURGED) == {"application", "devAccount", "key_soft_deleted_in_azure", "key_material_origin"}


def test_the_example_of_a_creation() -> None:
    """Ours has microseconds, the slug in the uri that newer examples have, and what those have besides."""
    found = answered(CREATED)
    expected = CREATED | {
        "uri": "kylo:kylo:cckm:azure-secret:test-secret-73524b70-1234-4f92-954b-6312f4567d1a",
        "createdAt": "2022-03-30T09:56:14.567777Z",
        "updatedAt": "2022-03-30T09:56:14.563283Z",
        "backup_at": "2022-03-30T09:56:14.563055Z",
    }
    expected["azure_param"] = expected["azure_param"] | {"id": found["azure_param"]["id"]}
    assert {name: found[name] for name in CREATED} == expected
    assert set(found) - set(CREATED) == {
        "version",
        "secret_soft_deleted_in_azure",
        "gone",
        "cloud_name",
        "key_material_origin",
    }


def test_what_is_unset_is_left_out_and_the_rest_is_there() -> None:
    told = Told(
        azure_id="https://v.vault.azure.net/secrets/n/1",
        content_type="password",
        tags={"env": "prod"},
        managed=True,
        enabled=False,
        not_before=10,
        expires_at=20,
        created_at=5,
        updated_at=6,
        recovery_level="Recoverable",
        recoverable_days=90,
        deleted_at=7,
        purge_at=8,
    )
    row = draw(told)
    param = json.loads(bytes(read_details(details_of(row)).azure_param))
    assert param == {
        "id": told.azure_id,
        "contentType": "password",
        "tags": {"env": "prod"},
        "managed": True,
        "attributes": {
            "recoveryLevel": "Recoverable",
            "recoverableDays": 90,
            "enabled": False,
            "created": 5,
            "updated": 6,
            "nbf": 10,
            "exp": 20,
        },
    }
    decoded = msgspec.json.decode(json.dumps(param), type=AzureParam)
    assert json.loads(msgspec.json.encode(decoded)) == param  # the words of the wire and of the store are the same
    bare = draw(Told(azure_id="x", created_at=5, updated_at=6))
    assert json.loads(bytes(read_details(details_of(bare)).azure_param)) == {
        "id": "x",
        "attributes": {"enabled": True, "created": 5, "updated": 6},
    }
    for each in (row, bare):
        assert row_of((*values_of(each), each.num, each.facet_id, each.sole, each.deleted_by, each.domain_id)) == each


def draw(told: Told) -> SecretRow:
    return SecretRow(
        id="id",
        vault_num=1,
        name="n",
        version="1",
        status=Status.AVAILABLE,
        soft_deleted=False,
        origin="cckm",
        told=told,
        backup=None,
        backup_at=None,
        synced_at=1.0,
        created_by="u",
        modified_by="u",
        created_at=1.0,
        updated_at=1.0,
    )


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_the_body_of_the_documented_creation() -> None:
    """As on the page, with the comma that it lacks."""
    asked = read_struct(
        body(
            {
                "secret_name": "azure_secret",
                "key_vault": "9ae64517-7249-42a9-bf86-9252add02ef9",
                "azure_param": {
                    "value": "test-secret-value",
                    "attributes": {"enabled": True, "recoveryLevel": "Recoverable", "recoverableDays": 0},
                },
            }
        ),
        CreateSecret,
    )
    assert (asked.secret_name, asked.key_vault) == ("azure_secret", "9ae64517-7249-42a9-bf86-9252add02ef9")
    assert asked.azure_param.value == Sensitive("test-secret-value")
    given = asked.azure_param.attributes
    assert (given.enabled, given.recoverable_days, given.recovery_level) == (True, 0, "Recoverable")
    assert given.times() == (None, None)
    assert "test-secret-value" not in repr(asked)


def test_a_body_of_a_go_client_says_nothing_with_null_and_empty_text() -> None:
    asked = read_struct(
        body(
            {
                "secret_name": "n",
                "key_vault": "v",
                "azure_param": {
                    "value": "x",
                    "contentType": "",
                    "content_type": "password",
                    "tags": None,
                    "attributes": {"enabled": None, "nbf": "", "exp": None, "recoveryLevel": "", "created": ""},
                },
                "unknown": [1],
            }
        ),
        CreateSecret,
    )
    assert asked.azure_param.kind == "password"
    assert asked.azure_param.tags is msgspec.UNSET
    assert asked.azure_param.attributes == NewAttributes()


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        ({}, "errors:\nsecret_name: is required\nkey_vault: is required\nazure_param: is required"),
        ({"secret_name": 5, "azure_param": {}}, "key_vault: is required\nazure_param.value: is required\nsecret_name"),
        ({"secret_name": "n", "key_vault": "v"}, "azure_param: is required"),
        ({"secret_name": "n", "key_vault": "v", "azure_param": {"value": ""}}, "azure_param.value: is required"),
        ({"secret_name": "n", "key_vault": "v", "azure_param": {"value": 5}}, "azure_param.value: Expected str"),
        ({"secret_name": 1, "key_vault": "v", "azure_param": {"value": "x"}}, "secret_name: Expected str"),
        (
            {"secret_name": "n", "key_vault": "v", "azure_param": {"value": "hidden", "tags": {"a": 1}}},
            "azure_param.tags[...]: Expected str",
        ),
        (
            {"secret_name": "n", "key_vault": "v", "azure_param": {"value": "hidden", "attributes": {"nbf": True}}},
            "azure_param.attributes.nbf: Expected int",
        ),
    ],
)
def test_what_is_wrong_is_told_by_its_place_and_never_the_value(sent: Any, place: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_struct(body(sent), CreateSecret)
    assert place in str(refused.value.facts["message"])
    assert "hidden" not in str(refused.value)


def test_an_update_shows_what_is_to_change_and_whether_a_value_was_sent() -> None:
    asked = read_struct(
        body({"attributes": {"enabled": False, "exp": "1700000000"}, "contentType": "x", "tags": {}}), UpdateSecret
    )
    assert asked.attributes is not msgspec.UNSET
    assert asked.attributes.enabled is False
    assert asked.attributes.times() == (None, 1_700_000_000)
    assert (asked.kind, asked.tags, asked.has_value) == ("x", {}, False)
    assert read_struct(b"", UpdateSecret) == UpdateSecret()
    assert read_struct(body({"value": "hidden"}), UpdateSecret).has_value
    assert read_struct(body({"azure_param": {"value": "hidden"}}), UpdateSecret).has_value
    assert "hidden" not in repr(read_struct(body({"value": "hidden"}), UpdateSecret))
    assert read_struct(b"{}", RestoreSecret).key_vault is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1_648_634_175, 1_648_634_175),
        (1_648_634_175.9, 1_648_634_175),
        ("1648634175", 1_648_634_175),
        ("2022-03-30T09:56:15Z", 1_648_634_175),
        ("2022-03-30t09:56:15.123456789z", 1_648_634_175),
        ("2022-03-30T11:56:15+02:00", 1_648_634_175),
        ("2022-03-30 09:56:15", 1_648_634_175),
        ("2022-03-30", 1_648_598_400),
        ("-5", -5),
        ("0001-01-01T00:00:00Z", -62_135_596_800),
        ("2022-02-30T00:00:00Z", None),
        ("2022-03-30T25:00:00Z", None),
        ("tomorrow", None),
        ("٣", None),
        ("1" * 60, None),
        (1e300, None),
        (10**30, None),
    ],
)
def test_times_in_every_form_that_is_sent(given: Any, expected: int | None) -> None:
    assert epoch(given) == expected


def test_a_time_in_no_known_form_is_refused_with_its_place() -> None:
    with pytest.raises(Invalid) as refused:
        NewAttributes(nbf="soon", exp="later").times("azure_param.attributes")
    message = str(refused.value.facts["message"])
    assert "azure_param.attributes.nbf: " in message
    assert "azure_param.attributes.exp: " in message
