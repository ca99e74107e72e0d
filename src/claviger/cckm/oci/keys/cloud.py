"""Keys and their versions through the official SDK, for one vault (CCKM contract, OCI §11).

A change that makes something carries a retry token, so that it may be sent once more within a day without being done
twice (OCI contract §2). What OCI does not say of a thing is empty.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, TypeVar

from claviger.cckm.oci.asking import defined_tags, epoch, tags
from claviger.cckm.oci.cloud import OciCloud
from claviger.cckm.oci.connections.cloud import OciClouds
from claviger.cckm.oci.connections.rules import OciConnection
from claviger.cckm.oci.keys.forms import CloudKey, CloudVersion
from claviger.cckm.oci.realm import Handle
from claviger.core.errors import Invalid, NotFound

__all__ = ["CloudKey", "CloudVersion", "VaultKeys", "key_of", "vault_keys", "version_of"]

T = TypeVar("T")

PAGE = 100
MOST_PAGES = 10_000
_NO_OBJECT = "ObjectNotFound"


class VaultKeys:
    """The keys of one vault. Everything raises as `OciCloud.ask` and `change` do."""

    def __init__(self, cloud: OciCloud, at: Handle, region: str = "") -> None:
        self.cloud = cloud
        self._at = at
        self._region = region

    # ------------------------------------------------------------------ reading

    async def get(self, ocid: str) -> CloudKey:
        """One key."""
        return key_of(await self._ask(lambda client: client.get_key(ocid).data))

    async def named(self, compartment_ocid: str, name: str) -> list[CloudKey]:
        """The keys of a name that lie directly in a compartment; OCI lets several have the same one."""
        found: list[CloudKey] = []
        mark: str = ""
        for _ in range(MOST_PAGES):
            more = {"page": mark} if mark else {}
            told = await self._ask(_keys_page(compartment_ocid, more))
            found += [await self.get(str(each.id)) for each in told.data if each.display_name == name]
            mark = told.headers.get("opc-next-page") or ""
            if not mark:
                break
        return found

    async def version(self, key_ocid: str, ocid: str) -> CloudVersion:
        """One version."""
        return version_of(await self._ask(lambda client: client.get_key_version(key_ocid, ocid).data))

    async def versions(self, key_ocid: str) -> list[CloudVersion]:
        """All versions, newest first, without their public keys."""
        found: list[CloudVersion] = []
        mark: str = ""
        for _ in range(MOST_PAGES):
            more = {"page": mark} if mark else {}
            told = await self._ask(_versions_page(key_ocid, more))
            found += [version_of(each) for each in told.data]
            mark = told.headers.get("opc-next-page") or ""
            if not mark:
                break
        return found

    async def wrapping_key(self) -> str:
        """The public key, in PEM, that uploads to the vault are wrapped to."""
        return str(await self._ask(lambda client: client.get_wrapping_key().data.public_key))

    # ------------------------------------------------------------------ keys

    async def create(self, details: dict[str, Any], token: str) -> CloudKey:
        """Makes a key; `details` are by the SDK's names."""

        def work(client: Any) -> Any:
            from oci.key_management import models

            shape = models.KeyShape(**details["key_shape"])
            asked = models.CreateKeyDetails(**{**details, "key_shape": shape})
            return client.create_key(asked, opc_retry_token=token).data

        return key_of(await self._change(work))

    async def import_key(self, details: dict[str, Any], wrapped: bytes, algorithm: str, token: str) -> CloudKey:
        """Makes a key of wrapped material."""

        def work(client: Any) -> Any:
            from oci.key_management import models

            shape = models.KeyShape(**details["key_shape"])
            asked = models.ImportKeyDetails(
                **{**details, "key_shape": shape, "wrapped_import_key": _wrapped(models, wrapped, algorithm)}
            )
            return client.import_key(asked, opc_retry_token=token).data

        return key_of(await self._change(work))

    async def update(self, ocid: str, changed: dict[str, Any]) -> CloudKey:
        """Changes name or tags; what is not given stays."""

        def work(client: Any) -> Any:
            from oci.key_management import models

            return client.update_key(ocid, models.UpdateKeyDetails(**changed)).data

        return key_of(await self._change(work))

    async def enable(self, ocid: str, token: str) -> CloudKey:
        """Lets a key be used again."""
        return key_of(await self._change(lambda client: client.enable_key(ocid, opc_retry_token=token).data))

    async def disable(self, ocid: str, token: str) -> CloudKey:
        """Stops the use of a key."""
        return key_of(await self._change(lambda client: client.disable_key(ocid, opc_retry_token=token).data))

    async def schedule_deletion(self, ocid: str, at: float, token: str) -> CloudKey:
        """Has a key deleted at a moment."""

        def work(client: Any) -> Any:
            from oci.key_management import models

            asked = models.ScheduleKeyDeletionDetails(time_of_deletion=_moment(at))
            return client.schedule_key_deletion(ocid, asked, opc_retry_token=token).data

        return key_of(await self._change(work))

    async def cancel_deletion(self, ocid: str, token: str) -> CloudKey:
        """Has a key not deleted."""
        return key_of(await self._change(lambda client: client.cancel_key_deletion(ocid, opc_retry_token=token).data))

    async def change_compartment(self, ocid: str, compartment_ocid: str, token: str) -> None:
        """Moves a key. OCI answers nothing; read the key afterwards."""

        def work(client: Any) -> None:
            from oci.key_management import models

            asked = models.ChangeKeyCompartmentDetails(compartment_id=compartment_ocid)
            client.change_key_compartment(ocid, asked, opc_retry_token=token)

        await self._change(work)

    async def backup(self, ocid: str, namespace: str, bucket: str, name: str, token: str) -> CloudKey:
        """Has a key backed up into a bucket."""

        def work(client: Any) -> Any:
            from oci.key_management import models

            asked = models.BackupKeyDetails(backup_location=_location(models, namespace, bucket, name))
            return client.backup_key(ocid, backup_key_details=asked, opc_retry_token=token).data

        return key_of(await self._change(work))

    async def restore(self, namespace: str, bucket: str, name: str, token: str) -> CloudKey:
        """Brings a deleted key back from a bucket."""

        def work(client: Any) -> Any:
            from oci.key_management import models

            asked = models.RestoreKeyFromObjectStoreDetails(backup_location=_location(models, namespace, bucket, name))
            return client.restore_key_from_object_store(
                restore_key_from_object_store_details=asked, opc_retry_token=token
            ).data

        return key_of(await self._change(work))

    async def remove_backup(self, namespace: str, bucket: str, name: str) -> None:
        """Deletes the object that holds a backup. Nothing where OCI says that this is not there.

        A bucket or a namespace that OCI does not show may be one that the user has no right to: that is a refusal.
        """

        def work(client: Any) -> None:
            client.delete_object(namespace, bucket, name)

        try:
            await self.cloud.change(self.cloud.storage(self._region), work, "others")
        except NotFound as refusal:
            if refusal.facts.get("code") != _NO_OBJECT:
                raise

    # ------------------------------------------------------------------ versions

    async def create_version(self, key_ocid: str, token: str) -> CloudVersion:
        """Rotates a key: OCI makes the material."""
        return version_of(
            await self._change(lambda client: client.create_key_version(key_ocid, opc_retry_token=token).data)
        )

    async def import_version(self, key_ocid: str, wrapped: bytes, algorithm: str, token: str) -> CloudVersion:
        """Rotates a key to wrapped material."""

        def work(client: Any) -> Any:
            from oci.key_management import models

            asked = models.ImportKeyVersionDetails(wrapped_import_key=_wrapped(models, wrapped, algorithm))
            return client.import_key_version(key_ocid, asked, opc_retry_token=token).data

        return version_of(await self._change(work))

    async def schedule_version_deletion(self, key_ocid: str, ocid: str, at: float, token: str) -> CloudVersion:
        """Has a version deleted at a moment."""

        def work(client: Any) -> Any:
            from oci.key_management import models

            asked = models.ScheduleKeyVersionDeletionDetails(time_of_deletion=_moment(at))
            return client.schedule_key_version_deletion(key_ocid, ocid, asked, opc_retry_token=token).data

        return version_of(await self._change(work))

    async def cancel_version_deletion(self, key_ocid: str, ocid: str, token: str) -> CloudVersion:
        """Has a version not deleted."""
        return version_of(
            await self._change(
                lambda client: client.cancel_key_version_deletion(key_ocid, ocid, opc_retry_token=token).data
            )
        )

    # ------------------------------------------------------------------ inside

    async def _ask(self, work: Callable[[Any], T]) -> T:
        return await self.cloud.ask(self._at, work, "management reads")

    async def _change(self, work: Callable[[Any], T]) -> T:
        return await self.cloud.change(self._at, work, "management writes")


async def vault_keys(
    clouds: OciClouds, connection: OciConnection, management_endpoint: str, region: str = ""
) -> VaultKeys:
    """The keys of a vault; `region` is its own. Raises Invalid("CloudInvalid") for an address not of the realm."""
    if not management_endpoint:
        raise Invalid("CloudInvalid", message="OCI has told no management endpoint of this vault")
    cloud = await clouds.reach(connection)
    return VaultKeys(cloud, cloud.management(management_endpoint), region)


def key_of(told: Any) -> CloudKey:
    """A key of the SDK."""
    shape, replica = told.key_shape, told.replica_details
    return CloudKey(
        ocid=told.id,
        vault_ocid=told.vault_id or "",
        compartment_ocid=told.compartment_id or "",
        name=told.display_name or "",
        algorithm=(shape.algorithm or "") if shape is not None else "",
        length=int(shape.length or 0) if shape is not None else 0,
        curve_id=(shape.curve_id or "") if shape is not None else "",
        protection_mode=told.protection_mode or "",
        state=told.lifecycle_state or "",
        current_version_ocid=told.current_key_version or "",
        created_at=epoch(told.time_created) or 0.0,
        deletes_at=epoch(told.time_of_deletion),
        freeform_tags=tags(told.freeform_tags),
        defined_tags=defined_tags(told.defined_tags),
        is_primary=told.is_primary is not False,
        replication_id=(replica.replication_id or "") if replica is not None else "",
        restored_from=told.restored_from_key_id or "",
    )


def version_of(told: Any) -> CloudVersion:
    """A version of the SDK, or a summary of one."""
    replica = getattr(told, "replica_details", None)
    return CloudVersion(
        ocid=told.id,
        key_ocid=told.key_id or "",
        vault_ocid=told.vault_id or "",
        compartment_ocid=told.compartment_id or "",
        state=told.lifecycle_state or "",
        origin=told.origin or "",
        created_at=epoch(told.time_created) or 0.0,
        deletes_at=epoch(told.time_of_deletion),
        public_key=getattr(told, "public_key", None) or "",
        is_primary=getattr(told, "is_primary", None) is not False,
        replication_id=(replica.replication_id or "") if replica is not None else "",
        restored_from=getattr(told, "restored_from_key_version_id", None) or "",
    )


def _keys_page(compartment_ocid: str, more: dict[str, Any]) -> Callable[[Any], Any]:
    return lambda client: client.list_keys(compartment_ocid, limit=PAGE, **more)


def _versions_page(key_ocid: str, more: dict[str, Any]) -> Callable[[Any], Any]:
    return lambda client: client.list_key_versions(key_ocid, limit=PAGE, **more)


def _wrapped(models: Any, wrapped: bytes, algorithm: str) -> Any:
    return models.WrappedImportKey(key_material=base64.b64encode(wrapped).decode(), wrapping_algorithm=algorithm)


def _location(models: Any, namespace: str, bucket: str, name: str) -> Any:
    return models.BackupLocationBucket(namespace=namespace, bucket_name=bucket, object_name=name)


def _moment(at: float) -> Any:
    """An aware time: the SDK sends a naive one as if it were UTC (OCI contract §2)."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC)
