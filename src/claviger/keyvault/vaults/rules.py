"""What may be done to a vault in which state, what it may be called, and what each role lets one do. Pure tables.

What is in a vault answers to one of two models (Key Vault contract §8). With access policies, a principal has a list of
permissions on everything in the vault. With roles, a principal has roles at scopes: a role is a set of data actions, a
scope is a place in the tree subscription / resource group / vault / secret, and a role holds there and below. The vault
itself, as a resource, always answers to roles: to their actions, at the same scopes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from fnmatch import fnmatchcase

import msgspec

from claviger.core.errors import Forbidden, Invalid, NotFound
from claviger.lifecycle.retention import is_final
from claviger.lifecycle.transitions import TransitionTable, absent, conflict

SECRET_PERMISSIONS = ("get", "list", "set", "delete", "backup", "restore", "recover", "purge", "all")
PERMISSION_KINDS = ("keys", "secrets", "certificates", "storage")
SKUS = ("standard", "premium")

_VAULT_NAME = re.compile(r"[a-z](?:[a-z0-9]|-(?=[a-z0-9])){2,23}", re.ASCII | re.IGNORECASE)
_GROUP = re.compile(r"[0-9a-z._()-]{0,89}[0-9a-z_()-]", re.ASCII | re.IGNORECASE)
_LOCATION = re.compile(r"[0-9a-z]{1,40}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.ASCII)
_SECRET_NAME = re.compile(r"[0-9a-z-]{1,127}", re.ASCII)
_WORD = re.compile(r"[a-z]{1,40}", re.ASCII)


class State(Enum):
    """Where the name of a vault stands."""

    ABSENT = "absent"
    LIVE = "live"
    DELETED = "deleted"


class Operation(Enum):
    """What changes a vault, by the names of the service's own log."""

    PUT = "VaultPut"
    PATCH = "VaultPatch"
    DELETE = "VaultDelete"
    GET_DELETED = "VaultGetDeleted"
    RECOVER = "VaultRecover"
    PURGE = "VaultPurge"


_GONE = absent("VaultNotFound")
_NOT_DELETED = absent("DeletedVaultNotFound")

# A vault without soft delete goes from LIVE to ABSENT; which of the two is the vault's own setting.
TRANSITIONS: TransitionTable[Operation, State] = TransitionTable(
    {
        Operation.PUT: {
            State.ABSENT: State.LIVE,
            State.LIVE: State.LIVE,
            State.DELETED: conflict("VaultTaken"),
        },
        Operation.PATCH: {State.ABSENT: _GONE, State.LIVE: State.LIVE, State.DELETED: _GONE},
        Operation.DELETE: {State.ABSENT: _GONE, State.LIVE: State.DELETED, State.DELETED: _GONE},
        Operation.GET_DELETED: {
            State.ABSENT: _NOT_DELETED,
            State.LIVE: _NOT_DELETED,
            State.DELETED: State.DELETED,
        },
        Operation.RECOVER: {
            State.ABSENT: absent("NothingToRecover"),
            State.LIVE: State.LIVE,  # a recover that is sent twice
            State.DELETED: State.LIVE,
        },
        Operation.PURGE: {State.ABSENT: _NOT_DELETED, State.LIVE: _NOT_DELETED, State.DELETED: State.ABSENT},
    }
)


def state_of(deleted_at: int | None, purge_at: int | None, now: float) -> State:
    """The state of a stored vault at `now`. Past its purge date it is ABSENT even before a sweep has come by."""
    if deleted_at is None:
        return State.LIVE
    return State.ABSENT if is_final(purge_at, now) else State.DELETED


def check_purge(purge_protection: bool, name: str) -> None:
    """Refuses a purge by hand where the vault is protected; only the end of the retention purges it."""
    if purge_protection:
        raise Forbidden("VaultPurgeProtected", vault=name)


class Role(msgspec.Struct, frozen=True):
    """A built-in role. All are patterns in which a star stands for anything.

    `actions`, without `not_actions`, are for vaults as resources; `data_actions` for what is in them.
    """

    id: str
    name: str
    data_actions: tuple[str, ...]
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()


_READ_VAULTS = (
    "Microsoft.Authorization/*/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "Microsoft.KeyVault/checkNameAvailability/read",
    "Microsoft.KeyVault/deletedVaults/read",
    "Microsoft.KeyVault/locations/*/read",
    "Microsoft.KeyVault/vaults/*/read",
    "Microsoft.KeyVault/operations/read",
)

ROLES: tuple[Role, ...] = (
    Role(
        "00482a5a-887f-4fb3-b363-3b7fe8e74483",
        "Key Vault Administrator",
        ("Microsoft.KeyVault/vaults/*",),
        _READ_VAULTS,
    ),
    Role(
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        "Key Vault Secrets Officer",
        ("Microsoft.KeyVault/vaults/secrets/*",),
        _READ_VAULTS,
    ),
    Role(
        "4633458b-17de-408a-b874-0445c86b69e6",
        "Key Vault Secrets User",
        (
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ),
    ),
    Role(
        "21090545-7ca7-4776-b22c-e363652d74d2",
        "Key Vault Reader",
        ("Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/secrets/readMetadata/action"),
        _READ_VAULTS,
    ),
    # The others act on vaults as resources and on role assignments, never on what a vault holds.
    Role(
        "a68e7c17-0ab2-4c09-9a58-125dae29748c",
        "Key Vault Purge Operator",
        (),
        (
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.KeyVault/deletedVaults/read",
            "Microsoft.KeyVault/locations/*/read",
            "Microsoft.KeyVault/locations/deletedVaults/purge/action",
        ),
    ),
    Role(
        "8b54135c-b56d-4d72-a534-26097cfdc8d8",
        "Key Vault Data Access Administrator",
        (),
        (
            "Microsoft.Authorization/*/read",
            "Microsoft.Resources/subscriptions/read",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.KeyVault/vaults/*/read",
        ),
    ),
    Role(
        "f25e0fa2-a7c8-4377-a976-54943a77a395",
        "Key Vault Contributor",
        (),
        (
            "Microsoft.Authorization/*/read",
            "Microsoft.KeyVault/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ),
        ("Microsoft.KeyVault/locations/deletedVaults/purge/action",),
    ),
    Role("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", (), ("*",)),
    Role(
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "Contributor",
        (),
        ("*",),
        ("Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"),
    ),
    Role("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", (), ("*/read",)),
)
_ROLE_BY_ID: Mapping[str, Role] = {role.id: role for role in ROLES}
_ROLE_BY_NAME: Mapping[str, Role] = {role.name.lower(): role for role in ROLES}


def find_role(name_or_id: str) -> Role:
    """The role of this name or id, also as an ARM path, in any case. Raises NotFound("RoleUnknown")."""
    word = name_or_id.rsplit("/", 1)[-1].strip().lower()
    role = _ROLE_BY_ID.get(word) or _ROLE_BY_NAME.get(word) or _ROLE_BY_NAME.get(f"key vault {word}")
    if role is None:
        raise NotFound("RoleUnknown", role=name_or_id[:100], known=", ".join(known.name for known in ROLES))
    return role


def role_allows(role_id: str, data_action: str) -> bool:
    """Whether a role has a data action; a role that is not in the table has none."""
    role = _ROLE_BY_ID.get(role_id)
    return role is not None and _covers(role.data_actions, data_action)


def role_permits(role_id: str, action: str) -> bool:
    """Whether a role has an action on vaults as resources; a role that is not in the table has none."""
    role = _ROLE_BY_ID.get(role_id)
    return role is not None and _covers(role.actions, action) and not _covers(role.not_actions, action)


def _covers(patterns: Iterable[str], action: str) -> bool:
    """`a/*/read` covers `a/read` too, as Azure's role for readers of vaults takes for granted."""
    lower = action.lower()
    for pattern in patterns:
        plain = pattern.lower()
        if fnmatchcase(lower, plain) or fnmatchcase(lower, plain.replace("/*/", "/")):
            return True
    return False


def permits(permissions: Iterable[str], permission: str) -> bool:
    """Whether a policy's secret permissions include one. `all` has never included purge."""
    held = {word.lower() for word in permissions}
    return permission in held or ("all" in held and permission != "purge")


def check_permissions(permissions: Iterable[str]) -> tuple[str, ...]:
    """The secret permissions in lower case, each once, in the table's order. Raises Invalid("Permission")."""
    asked = {word.strip().lower() for word in permissions}
    unknown = sorted(asked.difference(SECRET_PERMISSIONS))
    if unknown:
        raise Invalid("Permission", permission=unknown[0][:40], known=" ".join(SECRET_PERMISSIONS))
    return tuple(word for word in SECRET_PERMISSIONS if word in asked)


def check_vault_name(name: str) -> str:
    """`name` itself. 3 to 24 letters, digits and single hyphens, a letter first, no hyphen last (contract §10).

    Raises Invalid("VaultName").
    """
    if _VAULT_NAME.fullmatch(name) is None:
        raise Invalid("VaultName", name=name[:100], rule="3-24 letters, digits, single hyphens; a letter first")
    return name


def check_resource_group(name: str) -> str:
    """`name` itself. Raises Invalid("ResourceGroup")."""
    if _GROUP.fullmatch(name) is None:
        raise Invalid("ResourceGroup", name=name[:100])
    return name


def check_location(name: str) -> str:
    """A location's short form: `West US` is `westus`. Raises Invalid("Location")."""
    short = name.replace(" ", "").lower()
    if _LOCATION.fullmatch(short) is None:
        raise Invalid("Location", location=name[:100])
    return short


def check_uuid(text: str, what: str) -> str:
    """A UUID in lower case. Raises Invalid("Uuid") naming `what` it was for."""
    lower = text.strip().lower()
    if _UUID.fullmatch(lower) is None:
        raise Invalid("Uuid", what=what, given=text[:100])
    return lower


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID in any case."""
    return _UUID.fullmatch(text.lower()) is not None


def group_scope(subscription_id: str, resource_group: str) -> str:
    """The ARM path of a resource group, as ARM writes it."""
    return f"/subscriptions/{subscription_id}/resourceGroups/{resource_group}"


def vault_scope(subscription_id: str, resource_group: str, vault: str) -> str:
    """The ARM path of a vault, as ARM writes it."""
    return f"{group_scope(subscription_id, resource_group)}/providers/Microsoft.KeyVault/vaults/{vault}"


def secret_scope(vault_path: str, secret: str) -> str:
    """The ARM path of one secret. Raises Invalid("SecretName")."""
    if _SECRET_NAME.fullmatch(secret.lower()) is None:
        raise Invalid("SecretName", name=secret[:200])
    return f"{vault_path}/secrets/{secret}"


def scopes_above(vault_path: str) -> frozenset[str]:
    """Every scope at which a role holds for a whole vault, in lower case: its own path and each one above it."""
    parts = vault_path.lower().split("/")
    return frozenset({"/", "/".join(parts[:3]), "/".join(parts[:5]), "/".join(parts)})


def check_kind_permissions(permissions: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """A whole permissions object of an access policy: secrets by the table, the other kinds as plain words."""
    checked: dict[str, list[str]] = {}
    for kind, words in permissions.items():
        if kind not in PERMISSION_KINDS:
            raise Invalid("Permission", permission=kind[:40], known=" ".join(PERMISSION_KINDS))
        if kind == "secrets":
            checked[kind] = list(check_permissions(words))
            continue
        lower = list(dict.fromkeys(word.lower() for word in words))
        if len(lower) > len(SECRET_PERMISSIONS) * 4 or not all(_WORD.fullmatch(word) for word in lower):
            raise Invalid("Permission", permission=kind, known="words")
        checked[kind] = lower
    return checked
