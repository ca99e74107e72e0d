"""Secrets in OCI vaults through the official Python SDK, unmodified: management, retrieval, waiters, and refusals."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import oci
import pytest
from oci.key_management import KmsManagementClient
from oci.key_management import models as kms
from oci.secrets import SecretsClient
from oci.vault import VaultsClient, VaultsClientCompositeOperations, models

from tests.oci_clients import OciHouse, oci_house

ONCE = oci.retry.NoneRetryStrategy()
REGION = "us-ashburn-1"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, names_for_programs: dict[str, str]) -> Iterator[OciHouse]:
    with oci_house(tmp_path_factory.mktemp("oci-secrets"), names_for_programs) as made:
        yield made


@pytest.fixture(scope="module")
def key(house: OciHouse) -> Any:
    """An AES key of a new vault."""
    details = kms.CreateVaultDetails(compartment_id=house.compartment(), display_name="safe", vault_type="DEFAULT")
    vault = house.vaults().create_vault(details).data
    shape = kms.KeyShape(algorithm="AES", length=32)
    details = kms.CreateKeyDetails(compartment_id=house.compartment(), display_name="safe", key_shape=shape)
    return house.client(KmsManagementClient, vault.management_endpoint).create_key(details).data


def clients_of(house: OciHouse, way: str) -> tuple[Any, Any]:
    """Of management and of retrieval."""
    if way == "address":
        return house.client(VaultsClient, house.at), house.client(SecretsClient, house.at)
    port = house.shell.server.port
    return (
        house.client(VaultsClient, f"https://vaults.{REGION}.oci.localhost:{port}"),
        house.client(SecretsClient, f"https://secrets.vaults.{REGION}.oci.localhost:{port}"),
    )


def content(text: str, **more: Any) -> Any:
    return models.Base64SecretContentDetails(content=base64.b64encode(text.encode()).decode(), **more)


def details(house: OciHouse, key: Any, name: str, text: str, **more: Any) -> Any:
    return models.CreateSecretDetails(
        compartment_id=house.compartment(),
        secret_name=name,
        vault_id=key.vault_id,
        key_id=key.id,
        secret_content=content(text),
        **more,
    )


def text_of(bundle: Any) -> str:
    return base64.b64decode(bundle.data.secret_bundle_content.content, validate=True).decode()


def refusal(call: Any, *arguments: Any, **more: Any) -> tuple[int, str]:
    with pytest.raises(oci.exceptions.ServiceError) as refused:
        call(*arguments, retry_strategy=ONCE, **more)
    return refused.value.status, refused.value.code


@pytest.mark.parametrize("way", ["address", "names"])
def test_the_life_of_a_secret(house: OciHouse, key: Any, way: str) -> None:
    vaults, secrets = clients_of(house, way)
    composite = VaultsClientCompositeOperations(vaults)
    name = f"login-by-{way}"
    hidden = f"very-hidden-{name}"
    asked = details(house, key, name, hidden, metadata={"host": "db", "ports": [1, 2]}, description="of the database")
    secret = composite.create_secret_and_wait_for_state(asked, ["ACTIVE"]).data
    assert (secret.lifecycle_state, secret.current_version_number, secret.metadata["ports"]) == ("ACTIVE", 1, [1, 2])
    assert refusal(vaults.create_secret, asked) == (400, "InvalidParameter")
    bundle = secrets.get_secret_bundle(secret.id)
    assert text_of(bundle) == hidden
    assert (bundle.data.stages, bundle.data.metadata["host"]) == (["CURRENT", "LATEST"], "db")
    assert text_of(secrets.get_secret_bundle_by_name(name, key.vault_id)) == hidden

    second = models.UpdateSecretDetails(secret_content=content("second", name="two", stage="PENDING"))
    etag = vaults.get_secret(secret.id).headers["etag"]
    updated = composite.update_secret_and_wait_for_state(
        secret.id, second, ["ACTIVE"], operation_kwargs={"if_match": etag}
    ).data
    assert updated.current_version_number == 1
    assert refusal(vaults.update_secret, secret.id, second, if_match=etag) == (412, "NoEtagMatch")
    assert text_of(secrets.get_secret_bundle(secret.id, stage="PENDING")) == "second"
    vaults.update_secret(secret.id, models.UpdateSecretDetails(current_version_number=2))
    assert text_of(secrets.get_secret_bundle(secret.id)) == "second"
    vaults.update_secret(secret.id, models.UpdateSecretDetails(secret_content=content("third")))
    stages = {each.version_number: each.stages for each in vaults.list_secret_versions(secret.id).data}
    assert stages == {3: ["CURRENT", "LATEST"], 2: ["PREVIOUS"], 1: ["DEPRECATED"]}
    assert [each.version_name for each in secrets.list_secret_bundle_versions(secret.id).data] == [None, "two", None]

    in_days = datetime.now(UTC) + timedelta(days=2)
    schedule = models.ScheduleSecretVersionDeletionDetails(time_of_deletion=in_days)
    assert vaults.schedule_secret_version_deletion(secret.id, 1, schedule).data is None
    version = vaults.get_secret_version(secret.id, 1).data
    assert abs((version.time_of_deletion - in_days).total_seconds()) < 0.01
    assert refusal(secrets.get_secret_bundle, secret.id, version_number=1)[0] == 404
    vaults.cancel_secret_version_deletion(secret.id, 1)
    assert text_of(secrets.get_secret_bundle(secret.id, version_number=1)) == hidden

    vaults.schedule_secret_deletion(secret.id, models.ScheduleSecretDeletionDetails(time_of_deletion=in_days))
    assert vaults.get_secret(secret.id).data.lifecycle_state == "PENDING_DELETION"
    assert refusal(secrets.get_secret_bundle, secret.id) == (404, "NotAuthorizedOrNotFound")
    assert refusal(vaults.update_secret, secret.id, second) == (409, "IncorrectState")
    vaults.cancel_secret_deletion(secret.id)
    moved = models.ChangeSecretCompartmentDetails(compartment_id=house.compartment("staging"))
    vaults.change_secret_compartment(secret.id, moved)
    found = oci.pagination.list_call_get_all_results(vaults.list_secrets, moved.compartment_id, name=name, limit=1).data
    assert [(each.id, each.lifecycle_state) for each in found] == [(secret.id, "ACTIVE")]
    said = house.shell.server.said()
    for text in (hidden, base64.b64encode(hidden.encode()).decode()):
        assert text not in said


def test_rules_and_generated_contents(house: OciHouse, key: Any) -> None:
    vaults, secrets = clients_of(house, "address")
    context = models.PassphraseGenerationContext(generation_template="SECRETS_DEFAULT_PASSWORD", passphrase_length=24)
    rules = [
        models.SecretExpiryRule(
            secret_version_expiry_interval="P30D",
            time_of_absolute_expiry=datetime.now(UTC) + timedelta(days=100),
            is_secret_content_retrieval_blocked_on_expiry=True,
        ),
        models.SecretReuseRule(is_enforced_on_deleted_secret_versions=True),
    ]
    asked = details(house, key, "made", "x", secret_rules=rules, enable_auto_generation=True)
    asked.secret_content, asked.secret_generation_context = None, context
    secret = vaults.create_secret(asked).data
    assert [type(each) for each in secret.secret_rules] == [models.SecretExpiryRule, models.SecretReuseRule]
    assert isinstance(secret.secret_generation_context, models.PassphraseGenerationContext)
    assert (secret.time_of_current_version_expiry - secret.time_created) == timedelta(days=30)
    first = text_of(secrets.get_secret_bundle(secret.id))
    assert len(first) == 24
    assert vaults.rotate_secret(secret.id).data is None
    assert text_of(secrets.get_secret_bundle(secret.id)) != first
    assert vaults.get_secret(secret.id).data.last_rotation_time is not None
    assert refusal(vaults.cancel_secret_rotation, secret.id) == (409, "IncorrectState")
