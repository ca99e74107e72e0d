"""A secret's row in memory: as changes handle it (`SecretRow`), and as reads and lists show it (`View`).

What the cloud says about a version is stored as one JSON text. What answers show of it is stored as it is shown, so
that a read, which is the hot path of this API, only has to put it in place. No SQL here; see `records.py`.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from claviger.cckm.azure.secrets.facets.records import Facet
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.azure.vaults.records import VaultDetails
from claviger.cckm.azure.vaults.rules import record_name
from claviger.store.contract import Row, Value

STORED = (
    "id, vault_num, name, version, latest, status, soft_deleted, gone, details, backup, backup_at, synced_at, "
    "created_by, modified_by, created_at, updated_at"
)
"""The columns that a row brings; `values_of` gives them in this order."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the cloud says about a version. Times are whole seconds since 1970."""

    azure_id: str
    content_type: str | None = None
    tags: dict[str, str] = {}
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


class SecretRow(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a secret, for changes. Times are epoch seconds; `origin` is `cckm`, `native` or `unknown`.

    `num` 0: not stored yet. `num`, `facet_id`, `domain_id`, `latest` and `sole` (the only row of its name in its vault)
    are kept by `records.py`, whatever is given. `deleted_by` is who deleted it through us, empty where that is not so.
    """

    id: str
    vault_num: int
    name: str
    version: str
    latest: bool = True
    sole: bool = True
    status: Status
    soft_deleted: bool
    gone: bool = False
    origin: str
    told: Told
    backup: str | None
    backup_at: float | None
    synced_at: float
    created_by: str
    modified_by: str
    created_at: float
    updated_at: float
    deleted_by: str = ""
    num: int = 0
    facet_id: int = 0
    domain_id: str = ""

    @property
    def name_key(self) -> str:
        """The name as Azure compares it."""
        return self.name.lower()

    @property
    def facet(self) -> Facet:
        """What it is counted by."""
        return Facet(
            self.domain_id,
            self.vault_num,
            self.status.value,
            self.soft_deleted,
            self.gone,
            self.told.enabled,
            self.told.managed,
            self.origin,
            self.latest,
            self.sole,
        )


class InVault(msgspec.Struct, frozen=True):
    """What a record says about its vault. `details` is the vault's own JSON."""

    id: str
    domain_id: str
    azure_name: str
    subscription_id: str
    location: str
    cloud_name: str
    details: str

    @property
    def name(self) -> str:
        """`azure_name::subscription_id`."""
        return record_name(self.azure_name, self.subscription_id)

    @property
    def soft_delete(self) -> bool:
        """Whether the vault keeps what is deleted."""
        return _said(self.details)[0]

    @property
    def tenant_id(self) -> str:
        """The tenant that it trusts."""
        return _said(self.details)[1]


class View(msgspec.Struct, frozen=True):
    """One version of a secret as it is read and listed, with its vault. `details` is JSON (`Details`)."""

    id: str
    vault_num: int
    name: str
    version: str
    latest: int
    status: str
    soft_deleted: int
    gone: int
    details: str
    backup: str | None
    backup_at: float | None
    synced_at: float
    created_by: str
    modified_by: str
    created_at: float
    updated_at: float
    vault: InVault


class Details(msgspec.Struct, frozen=True):
    """A row's `details`. `azure_param` is JSON, just as it is shown."""

    origin: str
    deleted_at: int | None
    purge_at: int | None
    azure_param: msgspec.Raw
    azure_created_at: int = 0
    azure_updated_at: int = 0


class _Attributes(msgspec.Struct, frozen=True, omit_defaults=True):
    recoveryLevel: str = ""  # noqa: N815 - the names of the wire
    recoverableDays: int | None = None  # noqa: N815
    enabled: bool | None = None
    created: int | None = None
    updated: int | None = None
    nbf: int | None = None
    exp: int | None = None


class _Param(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    contentType: str | None = None  # noqa: N815
    tags: dict[str, str] = {}
    managed: bool = False
    attributes: _Attributes = _Attributes()


_DETAILS = msgspec.json.Decoder(Details)
_PARAM = msgspec.json.Decoder(_Param)


def details_of(row: SecretRow) -> str:
    """The JSON that is stored of what the cloud says."""
    return encode_details(row.told, row.origin)


def encode_details(told: Told, origin: str) -> str:
    """The same of what is not a row yet: equal texts say that nothing has changed."""
    attributes = _Attributes(
        told.recovery_level,
        told.recoverable_days,
        told.enabled,
        told.created_at,
        told.updated_at,
        told.not_before,
        told.expires_at,
    )
    param = _Param(told.azure_id, told.content_type, told.tags, told.managed, attributes)
    shown = msgspec.Raw(msgspec.json.encode(param))
    kept = Details(origin, told.deleted_at, told.purge_at, shown, told.created_at, told.updated_at)
    return msgspec.json.encode(kept).decode()


def read_details(details: str) -> Details:
    """What `details_of` has made."""
    return _DETAILS.decode(details)


@lru_cache(maxsize=4096)
def _said(details: str) -> tuple[bool, str]:
    properties = msgspec.json.decode(details, type=VaultDetails).properties
    return properties.get("enableSoftDelete") is True, str(properties.get("tenantId") or "")


def row_of(row: Row) -> SecretRow:
    """A row of STORED, num, facet_id, sole, deleted_by and domain_id."""
    kept = _DETAILS.decode(row[8])
    param = _PARAM.decode(kept.azure_param)
    attributes = param.attributes
    told = Told(
        azure_id=param.id,
        content_type=param.contentType,
        tags=param.tags,
        managed=param.managed,
        enabled=attributes.enabled is not False,
        not_before=attributes.nbf,
        expires_at=attributes.exp,
        created_at=kept.azure_created_at,
        updated_at=kept.azure_updated_at,
        recovery_level=attributes.recoveryLevel,
        recoverable_days=attributes.recoverableDays,
        deleted_at=kept.deleted_at,
        purge_at=kept.purge_at,
    )
    return SecretRow(
        id=row[0],
        vault_num=row[1],
        name=row[2],
        version=row[3],
        latest=row[4] != 0,
        status=Status(row[5]),
        soft_deleted=row[6] != 0,
        gone=row[7] != 0,
        origin=kept.origin,
        told=told,
        backup=row[9],
        backup_at=row[10],
        synced_at=row[11],
        created_by=row[12],
        modified_by=row[13],
        created_at=row[14],
        updated_at=row[15],
        num=row[16],
        facet_id=row[17],
        sole=row[18] != 0,
        deleted_by=row[19],
        domain_id=row[20],
    )


def view_of(row: Row) -> View:
    """A row of STORED and of the columns of `InVault`."""
    return View(*row[:16], InVault(*row[16:]))  # type: ignore[call-arg]  # as many as there are


def values_of(row: SecretRow) -> list[Value]:
    """The values of STORED."""
    return [
        row.id,
        row.vault_num,
        row.name,
        row.version,
        row.latest,
        row.status.value,
        row.soft_deleted,
        row.gone,
        details_of(row),
        row.backup,
        row.backup_at,
        row.synced_at,
        row.created_by,
        row.modified_by,
        row.created_at,
        row.updated_at,
    ]
