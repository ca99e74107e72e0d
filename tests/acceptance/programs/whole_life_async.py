"""The whole life of a secret through the official asynchronous SDK, each step checked. Knows Key Vault alone."""

import uuid
from collections.abc import Awaitable

from azure.core.exceptions import HttpResponseError
from azure.keyvault.secrets.aio import SecretClient


async def live(client: SecretClient) -> None:
    """Set, get, update, list, versions, delete, list deleted, recover, delete, purge, backup, restore."""
    name = f"life-{uuid.uuid4().hex[:12]}"
    first = await client.set_secret(name, "first", content_type="text/plain", tags={"kind": "test"})
    second = await client.set_secret(name, "second")
    assert (await client.get_secret(name)).value == "second"
    assert (await client.get_secret(name, first.properties.version)).value == "first"

    updated = await client.update_secret_properties(name, content_type="application/json", tags={})
    assert (updated.content_type, updated.version) == ("application/json", second.properties.version)

    assert [each.content_type async for each in client.list_properties_of_secrets() if each.name == name] == [
        "application/json"
    ]
    versions = {each.version async for each in client.list_properties_of_secret_versions(name)}
    assert versions == {first.properties.version, second.properties.version}

    deleted = await client.delete_secret(name)
    assert deleted.recovery_id == f"{client.vault_url}/deletedsecrets/{name}"
    assert (await client.get_deleted_secret(name)).name == name
    assert await refusal(client.get_secret(name)) == 404
    assert name in [each.name async for each in client.list_deleted_secrets()]

    recovered = await client.recover_deleted_secret(name)
    assert recovered.name == name
    assert (await client.get_secret(name, first.properties.version)).value == "first"

    blob = await client.backup_secret(name)
    await client.delete_secret(name)
    await client.purge_deleted_secret(name)
    assert await refusal(client.get_deleted_secret(name)) == 404
    restored = await client.restore_secret_backup(blob)
    assert restored.version == second.properties.version
    assert (await client.get_secret(name)).value == "second"

    await client.update_secret_properties(name, enabled=False)
    assert await refusal(client.get_secret(name)) == 403
    await client.delete_secret(name)
    await client.purge_deleted_secret(name)


async def refusal(call: Awaitable[object]) -> int | None:
    """The status with which the service refuses a call."""
    try:
        await call
    except HttpResponseError as error:
        return error.status_code
    return 200
