"""How a stored row becomes the record that callers see (Azure contract §5.1)."""

from __future__ import annotations

from typing import cast

import msgspec
from msgspec import UNSET

from claviger.cckm.azure.secrets.rows import View, read_details
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.azure.secrets.wire import AzureParam, SecretRecord
from claviger.cckm.resource import account, seconds, timestamp, uri
from claviger.core.sensitive import Sensitive

KIND = "azure-secret"


def shown(view: View, value: Sensitive | None = None) -> SecretRecord:
    """The record; with its value where that is to be echoed (contract §5.3)."""
    said, vault = read_details(view.details), view.vault
    param = said.azure_param
    if value is not None:
        whole = msgspec.json.decode(param, type=AzureParam)
        param = msgspec.Raw(msgspec.json.encode(msgspec.structs.replace(whole, value=value.reveal_text())))
    soft_deleted = view.soft_deleted != 0
    return SecretRecord(
        id=view.id,
        uri=uri("cckm", KIND, view.id, view.name),
        account=account(vault.domain_id),
        created_at=timestamp(view.created_at),
        updated_at=timestamp(view.updated_at),
        key_vault=vault.name,
        key_vault_id=vault.id,
        region=vault.location,
        secret_name=view.name,
        version=view.version,
        status=view.status,
        deleted=view.status == Status.DELETED.value,
        gone=view.gone != 0,
        soft_delete_enabled=vault.soft_delete,
        secret_soft_deleted_in_azure=soft_deleted,
        key_soft_deleted_in_azure=soft_deleted,
        backup=UNSET if view.backup is None else view.backup,
        backup_at=UNSET if view.backup_at is None else timestamp(view.backup_at),
        synced_at=seconds(view.synced_at),
        created_by=view.created_by,
        modified_by=view.modified_by,
        cloud_name=vault.cloud_name,
        tenant=vault.tenant_id,
        azure_created_at=seconds(said.azure_created_at) if said.azure_created_at else UNSET,
        azure_updated_at=seconds(said.azure_updated_at) if said.azure_updated_at else UNSET,
        key_material_origin=said.origin,
        azure_param=cast(AzureParam, param),  # JSON already: it only has to be put in place
    )
