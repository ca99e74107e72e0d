"""Secrets as they are on the wire (Azure contract §5). A value that comes in is wrapped at once and never printed.

What a record does not have is left out of it. The same words have two spellings in places, since clients of different
age are served: both are read, and answers give the one that the contract rules for.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.azure.secrets.rules import LATEST_TIME
from claviger.cckm.errors import validation
from claviger.cckm.resource import Header
from claviger.core.sensitive import Sensitive

_DIGITS = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,12})?(?:[Zz]|[+-]\d\d:\d\d)?|\d{4}-\d\d-\d\d", re.ASCII
)
_NOT_A_TIME = "must be seconds since 1970 or a time in RFC 3339"

Ident = Annotated[str, msgspec.Meta(max_length=512)]
Moment = int | float | Annotated[str, msgspec.Meta(max_length=64)]


class AzureAttributes(msgspec.Struct, frozen=True, kw_only=True, rename={"recovery_level": "recoveryLevel"}):
    """The attributes of a secret's version, as answers show them. Times are whole seconds since 1970."""

    recovery_level: str | UnsetType = UNSET
    recoverable_days: int | UnsetType = msgspec.field(default=UNSET, name="recoverableDays")
    enabled: bool = True
    created: int | UnsetType = UNSET
    updated: int | UnsetType = UNSET
    nbf: int | UnsetType = UNSET
    exp: int | UnsetType = UNSET


class AzureParam(msgspec.Struct, frozen=True, kw_only=True, rename={"content_type": "contentType"}):
    """What Azure keeps of a secret, as answers show it. The value is put in by who shows it, where it is echoed."""

    value: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    content_type: str | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET
    managed: bool | UnsetType = UNSET
    attributes: AzureAttributes

    def __repr__(self) -> str:
        return f"AzureParam(id={self.id!r})"


class SecretRecord(Header, frozen=True, kw_only=True):
    """A secret's record: one version of a name in a vault (Azure contract §5.1)."""

    key_vault: str
    key_vault_id: str
    region: str
    secret_name: str
    version: str
    status: str
    deleted: bool
    gone: bool
    soft_delete_enabled: bool
    secret_soft_deleted_in_azure: bool
    key_soft_deleted_in_azure: bool
    backup: str | UnsetType = UNSET
    backup_at: str | UnsetType = UNSET
    synced_at: str = msgspec.field(name="syncedAt")
    created_by: str
    modified_by: str
    cloud_name: str
    tenant: str
    azure_created_at: str | UnsetType = UNSET
    azure_updated_at: str | UnsetType = UNSET
    key_material_origin: str
    azure_param: AzureParam


class NewAttributes(msgspec.Struct, frozen=True, kw_only=True):
    """Attributes that a caller may give. `created` and `updated` are Azure's to say; what is sent there is ignored.

    `recoverableDays` and `recoveryLevel` describe the vault: they are checked and have no effect.
    """

    enabled: bool | UnsetType = UNSET
    nbf: Moment | UnsetType = UNSET
    exp: Moment | UnsetType = UNSET
    recoverable_days: int | UnsetType = msgspec.field(default=UNSET, name="recoverableDays")
    recovery_level: Ident | UnsetType = msgspec.field(default=UNSET, name="recoveryLevel")
    created: Any = UNSET
    updated: Any = UNSET

    def times(self, place: str = "attributes") -> tuple[int | None, int | None]:
        """`nbf` and `exp` as seconds since 1970. Raises Invalid("Validation"), which names the fields in `place`."""
        problems: dict[str, str] = {}
        found: list[int | None] = []
        for name, given in (("nbf", self.nbf), ("exp", self.exp)):
            at = None if given is UNSET else epoch(given)
            if at is None and given is not UNSET:
                problems[f"{place}.{name}"] = _NOT_A_TIME
            found.append(at)
        if problems:
            raise validation(problems)
        return found[0], found[1]


class NewAzureParam(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a new secret in Azure. Older clients spell `contentType` with an underscore."""

    value: Sensitive
    attributes: NewAttributes = NewAttributes()
    content_type: str | UnsetType = msgspec.field(default=UNSET, name="contentType")
    content_type_of_old: str | UnsetType = msgspec.field(default=UNSET, name="content_type")
    tags: dict[str, str] | UnsetType = UNSET

    @property
    def kind(self) -> str | None:
        """The content type, in whichever spelling it was sent."""
        return _first(self.content_type, self.content_type_of_old)


class CreateSecret(msgspec.Struct, frozen=True, kw_only=True):
    """What the creation of a secret takes. `key_vault` is the name or id of a vault's record."""

    secret_name: Ident
    key_vault: Ident
    azure_param: NewAzureParam


class ValueElsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """What some clients send with a change although it cannot be changed there."""

    value: Sensitive | UnsetType = UNSET


class UpdateSecret(msgspec.Struct, frozen=True, kw_only=True):
    """What a change of a secret's attributes takes, at the top level; absent means unchanged.

    `tags` take the place of all tags. A value is read only to be refused: another value is another version.
    """

    attributes: NewAttributes | UnsetType = UNSET
    content_type: str | UnsetType = msgspec.field(default=UNSET, name="contentType")
    content_type_of_old: str | UnsetType = msgspec.field(default=UNSET, name="content_type")
    tags: dict[str, str] | UnsetType = UNSET
    value: Sensitive | UnsetType = UNSET
    azure_param: ValueElsewhere | UnsetType = UNSET

    @property
    def kind(self) -> str | None:
        """The content type, in whichever spelling it was sent; None for unchanged."""
        return _first(self.content_type, self.content_type_of_old)

    @property
    def has_value(self) -> bool:
        """Whether a value was sent, in either place."""
        return self.value is not UNSET or (self.azure_param is not UNSET and self.azure_param.value is not UNSET)


class RestoreSecret(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore takes: the vault to restore into, by name or id; the original one where it is absent."""

    key_vault: Ident | None = None


def _first(new: str | UnsetType, old: str | UnsetType) -> str | None:
    if new is not UNSET:
        return new
    return None if old is UNSET else old


def epoch(given: float | str) -> int | None:
    """A time as whole seconds since 1970: a number, a number in text, or RFC 3339 (contract §5.4); None for others.

    A time without an offset is in UTC, a date is its midnight, a fraction of a second is dropped.
    """
    if isinstance(given, str):
        return int(given) if _DIGITS.fullmatch(given) else _moment(given)
    return int(given) if abs(given) <= 10 * LATEST_TIME else None


def _moment(text: str) -> int | None:
    if not _MOMENT.fullmatch(text):
        return None
    try:
        at = datetime.fromisoformat(re.sub(r"\.\d+", "", text).upper())
    except ValueError:
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
