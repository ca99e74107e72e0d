"""Vaults as they are on the wire (Azure contract §3)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.access.acls.wire import AclEntry, AclShown
from claviger.cckm.azure.vaults.rules import LONGEST_IDENT, LONGEST_MARK, LONGEST_TEXT
from claviger.cckm.resource import Header

Ident = Annotated[str, msgspec.Meta(max_length=LONGEST_IDENT)]
Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]


class GetVaults(msgspec.Struct, frozen=True, kw_only=True):
    """What discovery of vaults and of managed HSMs takes. `nextLink` is from the page before."""

    connection: Ident
    subscription_id: Ident
    limit: int | None = None
    next_link: Annotated[str, msgspec.Meta(max_length=LONGEST_MARK)] | None = msgspec.field(
        default=None, name="nextLink"
    )


class Sku(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The tier of a vault, which Azure shows within its properties; of a managed HSM, beside them."""

    family: str | UnsetType = UNSET
    name: str | UnsetType = UNSET


class Properties(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What Azure says about a vault. A managed HSM has `hsmUri` for `vaultUri`.

    What Azure leaves out is absent, but that a vault's purge protection is off.
    """

    tenant_id: str | UnsetType = UNSET
    sku: Sku | UnsetType = UNSET
    vault_uri: str | UnsetType = UNSET
    hsm_uri: str | UnsetType = UNSET
    enabled_for_deployment: bool | UnsetType = UNSET
    enabled_for_disk_encryption: bool | UnsetType = UNSET
    enabled_for_template_deployment: bool | UnsetType = UNSET
    enable_soft_delete: bool | UnsetType = UNSET
    enable_purge_protection: bool | UnsetType = UNSET
    enable_rbac_authorization: bool | UnsetType = UNSET
    soft_delete_retention_in_days: int | UnsetType = UNSET
    create_mode: str | UnsetType = UNSET
    provisioning_state: str | UnsetType = UNSET


class FoundVault(msgspec.Struct, frozen=True, kw_only=True):
    """A vault or managed HSM as discovery shows it."""

    name: str
    azure_vault_id: str
    type: str
    location: str = ""
    tags: dict[str, str] = {}
    properties: Properties


class FoundVaults(msgspec.Struct, frozen=True, kw_only=True):
    """One page of discovery."""

    vaults: list[FoundVault]
    connection: str
    subscription_id: str
    next_link: str | UnsetType = msgspec.field(default=UNSET, name="nextLink")


class NewProperties(msgspec.Struct, frozen=True, kw_only=True):
    """Of a vault's properties, the tenant alone has to be given; the cloud is asked for them anyway."""

    tenant_id: Ident = msgspec.field(name="tenantId")


class NewVault(msgspec.Struct, frozen=True, kw_only=True):
    """A vault to add, as discovery showed it. `tags` and the rest of `properties` are what the cloud says."""

    azure_vault_id: Text
    name: Ident | None = None
    type: Ident | None = None
    location: Ident | None = None
    tags: Any = None
    properties: NewProperties


class AddVaults(msgspec.Struct, frozen=True, kw_only=True):
    """What add-vaults takes."""

    connection: Ident
    subscription_id: Ident
    vaults: list[NewVault]
    cloud_key_backup_limit: int | None = None


class Vault(Header, frozen=True, kw_only=True):
    """A vault under management. `connection` is the connection's name; `synced_at` is absent before the first time.

    `hard_delete_quorum` is what is in force: how many people must agree, who asks included; null where one is enough.
    """

    name: str
    azure_name: str
    azure_vault_id: str
    cloud_name: str
    connection: str
    location: str
    subscription_id: str
    subscription_name: str
    type: str
    tags: dict[str, str]
    labels: dict[str, str]
    synced_at: str | UnsetType = UNSET
    cloud_key_backup_limit: int
    properties: Properties
    acls: list[AclShown]
    protected: bool = False
    hard_delete_quorum: int | None = None


class AddedVaults(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of add-vaults: the same records twice, as clients look at either; `id` where it was a single one."""

    id: str | UnsetType = UNSET
    vaults: list[Vault]
    resources: list[Vault]


class UpdateAcls(msgspec.Struct, frozen=True, kw_only=True):
    """What update-acls takes: what to permit, and what to take back."""

    acls: list[AclEntry]


class PatchVault(msgspec.Struct, frozen=True, kw_only=True):
    """What may be changed about a vault. `connection` is required, even where it stays as it is.

    A `hard_delete_quorum` of null switches that setting off; one that is absent stays.
    """

    null_counts: ClassVar[frozenset[str]] = frozenset({"hard_delete_quorum"})

    connection: Ident
    cloud_key_backup_limit: int | None = None
    protected: bool | UnsetType = UNSET
    hard_delete_quorum: int | UnsetType | None = UNSET


class RotationJob(msgspec.Struct, frozen=True, kw_only=True):
    """Which job configuration is to rotate the keys of a vault."""

    job_config_id: Ident
    override_key_scheduler: bool | None = None
