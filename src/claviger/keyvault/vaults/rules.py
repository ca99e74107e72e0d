"""What a vault may be called, where a right holds, and what each role and permission lets one do. Pure tables.

A vault answers to one of two models (Key Vault contract §8). With access policies, a principal has a list of
permissions on everything in the vault. With roles, a principal has roles at scopes: a role is a set of data actions, a
scope is a place in the tree subscription / resource group / vault / secret, and a role holds there and below.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import msgspec

from claviger.core.errors import Invalid, NotFound

SECRET_PERMISSIONS = ("get", "list", "set", "delete", "backup", "restore", "recover", "purge", "all")
PERMISSION_KINDS = ("keys", "secrets", "certificates", "storage")
SKUS = ("standard", "premium")

_VAULT_NAME = re.compile(r"[a-z](?:[a-z0-9]|-(?=[a-z0-9])){2,23}", re.ASCII | re.IGNORECASE)
_GROUP = re.compile(r"[0-9a-z._()-]{0,89}[0-9a-z_()-]", re.ASCII | re.IGNORECASE)
_LOCATION = re.compile(r"[0-9a-z]{1,40}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.ASCII)
_SECRET_NAME = re.compile(r"[0-9a-z-]{1,127}", re.ASCII)
_WORD = re.compile(r"[a-z]{1,40}", re.ASCII)


class Role(msgspec.Struct, frozen=True):
    """A built-in role. `data_actions` are patterns in which a star stands for anything."""

    id: str
    name: str
    data_actions: tuple[str, ...]


ROLES: tuple[Role, ...] = (
    Role("00482a5a-887f-4fb3-b363-3b7fe8e74483", "Key Vault Administrator", ("Microsoft.KeyVault/vaults/*",)),
    Role(
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        "Key Vault Secrets Officer",
        ("Microsoft.KeyVault/vaults/secrets/*",),
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
    ),
    # These two act on vaults and on role assignments, never on what a vault holds.
    Role("a68e7c17-0ab2-4c09-9a58-125dae29748c", "Key Vault Purge Operator", ()),
    Role("8b54135c-b56d-4d72-a534-26097cfdc8d8", "Key Vault Data Access Administrator", ()),
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
    if role is None:
        return False
    action = data_action.lower()
    return any(fnmatchcase(action, pattern.lower()) for pattern in role.data_actions)


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


def vault_scope(subscription_id: str, resource_group: str, vault: str) -> str:
    """The ARM path of a vault, as ARM writes it."""
    return (
        f"/subscriptions/{subscription_id}/resourceGroups/{resource_group}/providers/Microsoft.KeyVault/vaults/{vault}"
    )


def secret_scope(vault_path: str, secret: str) -> str:
    """The ARM path of one secret. Raises Invalid("SecretName")."""
    if _SECRET_NAME.fullmatch(secret.lower()) is None:
        raise Invalid("SecretName", name=secret[:200])
    return f"{vault_path}/secrets/{secret}"


def scopes_above(vault_path: str) -> frozenset[str]:
    """Every scope at which a role holds for a whole vault, in lower case: its own path and each one above it."""
    parts = vault_path.lower().split("/")
    return frozenset({"/", "/".join(parts[:3]), "/".join(parts[:5]), "/".join(parts)})


def check_scope(scope: str) -> str:
    """A scope in the form in which scopes are stored and compared: lower case, no trailing slash.

    Raises Invalid("Scope") for anything but a subscription, a resource group, a vault or a secret of a vault.
    """
    lower = scope.strip().lower()
    lower = lower.rstrip("/") or "/"
    parts = lower.split("/")
    known: tuple[str | re.Pattern[str], ...] = (
        "",
        "subscriptions",
        _UUID,
        "resourcegroups",
        _GROUP,
        "providers",
        "microsoft.keyvault",
        "vaults",
        _VAULT_NAME,
        "secrets",
        _SECRET_NAME,
    )
    if lower == "/":
        return lower
    if len(parts) not in {3, 5, 9, 11} or not all(_fits(part, rule) for part, rule in zip(parts, known, strict=False)):
        raise Invalid("Scope", scope=scope[:300])
    return lower


def _fits(part: str, rule: str | re.Pattern[str]) -> bool:
    return part == rule if isinstance(rule, str) else rule.fullmatch(part) is not None


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
