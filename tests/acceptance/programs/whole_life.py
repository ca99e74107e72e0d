"""The whole life of a secret through the official SDK, each step checked. Knows Key Vault, and nothing else."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from azure.core.exceptions import HttpResponseError
from azure.keyvault.secrets import SecretClient

MISSING = (404, "SecretNotFound")


def live(client: SecretClient) -> None:
    """Set, get, update, list, versions, delete, list deleted, recover, delete, purge, backup, restore."""
    name = f"life-{uuid.uuid4().hex[:12]}"
    until = datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)
    first = client.set_secret(name, "first", content_type="text/plain", tags={"kind": "test"}, expires_on=until)
    assert first.value == "first"
    assert str(first.id).startswith(f"{client.vault_url}/secrets/{name}/")
    second = client.set_secret(name, "second ä€🔑")
    assert client.get_secret(name).value == "second ä€🔑"
    assert client.get_secret(name, first.properties.version).properties.expires_on == until

    updated = client.update_secret_properties(name, tags={"season": "autumn"}, enabled=True)
    assert updated.tags == {"season": "autumn"}
    assert updated.version == second.properties.version

    assert [each.tags for each in client.list_properties_of_secrets() if each.name == name] == [{"season": "autumn"}]
    versions = {each.version for each in client.list_properties_of_secret_versions(name)}
    assert versions == {first.properties.version, second.properties.version}

    deleted = client.begin_delete_secret(name).result()
    assert deleted.recovery_id == f"{client.vault_url}/deletedsecrets/{name}"
    wait(lambda: client.get_deleted_secret(name))
    assert refusal(lambda: client.get_secret(name)) == MISSING
    assert name in [each.name for each in client.list_deleted_secrets()]
    assert refusal(lambda: client.set_secret(name, "too early")) == (409, "Conflict")

    recovering = client.begin_recover_deleted_secret(name)
    recovering.wait()
    assert recovering.result().name == name
    assert client.get_secret(name, first.properties.version).value == "first"

    blob = client.backup_secret(name)
    client.begin_delete_secret(name).wait()
    client.purge_deleted_secret(name)
    assert refusal(lambda: client.get_deleted_secret(name)) == MISSING
    restored = client.restore_secret_backup(blob)
    assert restored.version == second.properties.version
    assert restored.created_on == second.properties.created_on
    assert client.get_secret(name, first.properties.version).value == "first"

    client.update_secret_properties(name, enabled=False)
    assert refusal(lambda: client.get_secret(name)) == (403, "Forbidden")
    client.begin_delete_secret(name).wait()
    client.purge_deleted_secret(name)
    assert name not in [each.name for each in client.list_deleted_secrets()]


def refusal(call: Callable[[], object]) -> tuple[int | None, str | None]:
    """Status and code with which the service refuses a call."""
    try:
        call()
    except HttpResponseError as error:
        return error.status_code, error.error.code if error.error else None
    return 200, None


def wait(call: Callable[[], object]) -> None:
    """Repeats a call until the service has what it asks for."""
    for _ in range(30):
        if refusal(call) != MISSING:
            return
        time.sleep(0.5)
    raise AssertionError("it did not appear")
