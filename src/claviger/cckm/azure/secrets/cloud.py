"""The secrets of one vault in Azure, through the official SDK.

`vault_secrets(clouds, connection, azure_name, vault_uri)` gives a `VaultSecrets`; every method raises as
`AzureCloud.ask` and `.change` do. Times are epoch seconds. Delete and recover return as soon as Azure accepts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.azure.connections.cloud import ONCE, AzureCloud, AzureClouds
from claviger.cckm.azure.connections.rules import Connection
from claviger.core.errors import Invalid
from claviger.core.sensitive import Sensitive

if TYPE_CHECKING:
    from azure.keyvault.secrets import DeletedSecret, SecretProperties

MOST_VERSIONS = 1000


class CloudSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a secret as Azure tells it, without its value. `id` is the full identifier.

    `version` is "" and `id` has none where Azure names the secret only. `deleted_at` and `purge_at` are those of a
    deleted secret in a vault with soft delete.
    """

    name: str
    version: str
    id: str
    content_type: str | None = None
    tags: dict[str, str] | None = None
    managed: bool = False
    enabled: bool = True
    not_before: int | None = None
    expires_at: int | None = None
    created_at: int = 0
    updated_at: int = 0
    recovery_level: str = ""
    recoverable_days: int | None = None
    deleted_at: int | None = None
    purge_at: int | None = None


async def vault_secrets(clouds: AzureClouds, connection: Connection, azure_name: str, vault_uri: str) -> VaultSecrets:
    """The secrets of a vault. Raises Invalid("VaultAddress") and what `AzureClouds.reach` does."""
    cloud = await clouds.reach(connection)
    return VaultSecrets(cloud, cloud.vault_url(azure_name, vault_uri))


class VaultSecrets:
    """What can be done with the secrets of one vault."""

    def __init__(self, cloud: AzureCloud, vault_url: str) -> None:
        self.vault_url = vault_url
        self._cloud = cloud
        self._client = cloud.secret_client(vault_url)
        self._budget = cloud.budget(vault_url)

    async def set(
        self,
        name: str,
        value: Sensitive,
        *,
        content_type: str | None = None,
        tags: dict[str, str] | None = None,
        enabled: bool | None = None,
        not_before: int | None = None,
        expires_at: int | None = None,
    ) -> CloudSecret:
        """Makes the secret, or a new version of it."""

        async def work() -> CloudSecret:
            made = await self._client.set_secret(
                name,
                value.reveal_text(),
                content_type=content_type,
                tags=tags,
                enabled=enabled,
                not_before=_date(not_before),
                expires_on=_date(expires_at),
                **ONCE,
            )
            return told(made.properties)

        return await self._cloud.change(work, self._budget, creates=True, hidden=(value,))

    async def update(
        self,
        name: str,
        version: str,
        *,
        content_type: str | UnsetType = UNSET,
        tags: dict[str, str] | UnsetType = UNSET,
        enabled: bool | UnsetType = UNSET,
        not_before: int | UnsetType = UNSET,
        expires_at: int | UnsetType = UNSET,
    ) -> CloudSecret:
        """Changes what is not UNSET of a version. Azure knows no way to take a date back."""
        given: dict[str, Any] = {
            "content_type": content_type,
            "tags": tags,
            "enabled": enabled,
            "not_before": not_before if not_before is UNSET else _date(not_before),
            "expires_on": expires_at if expires_at is UNSET else _date(expires_at),
        }
        changes = {field: value for field, value in given.items() if value is not UNSET}

        async def work() -> CloudSecret:
            return told(await self._client.update_secret_properties(name, version, **changes, **ONCE))

        return await self._cloud.change(work, self._budget)

    async def get(self, name: str, version: str = "") -> tuple[CloudSecret, Sensitive]:
        """A version with its value; without a version the latest. A disabled one is Forbidden("CloudRefused")."""

        async def work() -> tuple[CloudSecret, Sensitive]:
            found = await self._client.get_secret(name, version)
            return told(found.properties), Sensitive(found.value or "")

        return await self._cloud.ask(work, self._budget)

    async def versions(self, name: str, most: int = MOST_VERSIONS) -> list[CloudSecret]:
        """The versions of a live secret in Azure's order, up to `most`; of one that is not there, none."""

        async def work() -> list[CloudSecret]:
            found: list[CloudSecret] = []
            async for item in self._client.list_properties_of_secret_versions(name):
                found.append(told(item))
                if len(found) >= most:
                    break
            return found

        return await self._cloud.ask(work, self._budget)

    async def delete(self, name: str) -> CloudSecret:
        """Deletes all versions; answers as soon as Azure accepts. Without soft delete there is no `deleted_at`."""
        return await self._at_once("DELETE", f"/secrets/{quote(name, safe='')}")

    async def deleted(self, name: str) -> CloudSecret:
        """The deleted secret. Raises NotFound("CloudNotFound") where there is none, or none yet."""

        async def work() -> CloudSecret:
            return told_deleted(await self._client.get_deleted_secret(name))

        return await self._cloud.ask(work, self._budget)

    async def purge(self, name: str) -> None:
        """Ends a deleted secret for good."""

        async def work() -> None:
            await self._client.purge_deleted_secret(name, **ONCE)

        await self._cloud.change(work, self._budget)

    async def recover(self, name: str) -> CloudSecret:
        """Brings a deleted secret back; answers as soon as Azure accepts."""
        return await self._at_once("POST", f"/deletedsecrets/{quote(name, safe='')}/recover")

    async def backup(self, name: str) -> Sensitive:
        """All versions in a form that only Azure can open."""

        async def work() -> bytes:
            return await self._client.backup_secret(name)

        return Sensitive(await self._cloud.ask(work, self._budget))

    async def restore(self, blob: Sensitive) -> CloudSecret:
        """Restores what `backup` gave. Raises Conflict("CloudConflict") where a secret has that name."""

        async def work() -> CloudSecret:
            return told(await self._client.restore_secret_backup(blob.reveal(), **ONCE))

        return await self._cloud.change(work, self._budget, creates=True)

    async def _at_once(self, method: str, path: str) -> CloudSecret:
        """The SDK's own methods for deleting and recovering ask every two seconds until Azure is done, which may take
        longer than a caller waits; whether it is done is asked elsewhere. So these two requests go through the same
        client and all its policies by its `send_request`."""
        from azure.core.exceptions import HttpResponseError
        from azure.core.rest import HttpRequest

        async def work() -> CloudSecret:
            answer = await self._client.send_request(HttpRequest(method, path), **ONCE)
            if answer.status_code != 200:
                raise HttpResponseError(response=answer)
            return _parsed(answer.content)

        return await self._cloud.change(work, self._budget)


def _date(at: int | UnsetType | None) -> datetime | None:
    if at is None or isinstance(at, UnsetType):
        return None
    try:
        return datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        raise Invalid("InvalidParam", message="a date is out of range") from None


def _epoch(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())


def _word(value: object) -> str:
    """The word on the wire, which the SDK knows as an enum, or as text where the word is new."""
    return str(getattr(value, "value", value) or "")


def told(found: SecretProperties) -> CloudSecret:
    """A version as the SDK tells it. Raises ValueError for an answer that names no secret: that is none of Azure's."""
    if not found.id or not found.name:
        raise ValueError("the answer names no secret")
    return CloudSecret(
        name=found.name,
        version=found.version or "",
        id=found.id,
        content_type=found.content_type,
        tags=None if found.tags is None else dict(found.tags),
        managed=bool(found.managed),
        enabled=found.enabled is not False,
        not_before=_epoch(found.not_before),
        expires_at=_epoch(found.expires_on),
        created_at=_epoch(found.created_on) or 0,
        updated_at=_epoch(found.updated_on) or 0,
        recovery_level=_word(found.recovery_level),
        recoverable_days=found.recoverable_days,
    )


def told_deleted(found: DeletedSecret) -> CloudSecret:
    """What the SDK says of a deleted secret. Raises as `told` does."""
    return msgspec.structs.replace(
        told(found.properties), deleted_at=_epoch(found.deleted_date), purge_at=_epoch(found.scheduled_purge_date)
    )


class _Attributes(msgspec.Struct, frozen=True, rename={"not_before": "nbf", "expires_at": "exp"}):
    enabled: bool | None = True
    not_before: int | None = None
    expires_at: int | None = None
    created: int | None = 0
    updated: int | None = 0
    recovery_level: str | None = msgspec.field(default="", name="recoveryLevel")
    recoverable_days: int | None = msgspec.field(default=None, name="recoverableDays")


class _Bundle(msgspec.Struct, frozen=True, rename="camel"):
    """A secret on the wire. Its value, which recover does not tell, is left out."""

    id: str
    content_type: str | None = None
    tags: dict[str, str] | None = None
    managed: bool | None = None
    attributes: _Attributes = _Attributes()
    deleted_date: int | None = None
    scheduled_purge_date: int | None = None


class _Page(msgspec.Struct, frozen=True):
    value: list[_Bundle] | None = None


_PAGE = msgspec.json.Decoder(_Page)


def parsed_page(raw: bytes) -> list[CloudSecret]:
    """A page of any of the lists as it is on the wire. Raises as `_parsed` does."""
    return [_secret_of(item) for item in _PAGE.decode(raw).value or ()]


def _parsed(raw: bytes) -> CloudSecret:
    """A bundle as it is on the wire. Raises ValueError and IndexError for an answer that is none of Azure's."""
    return _secret_of(msgspec.json.decode(raw, type=_Bundle))


def _secret_of(found: _Bundle) -> CloudSecret:
    name, _, version = found.id.partition("://")[2].split("/", 2)[2].partition("/")
    attributes = found.attributes
    return CloudSecret(
        name=name,
        version=version,
        id=found.id,
        content_type=found.content_type,
        tags=found.tags,
        managed=bool(found.managed),
        enabled=attributes.enabled is not False,
        not_before=attributes.not_before,
        expires_at=attributes.expires_at,
        created_at=attributes.created or 0,
        updated_at=attributes.updated or 0,
        recovery_level=attributes.recovery_level or "",
        recoverable_days=attributes.recoverable_days,
        deleted_at=found.deleted_date,
        purge_at=found.scheduled_purge_date,
    )
