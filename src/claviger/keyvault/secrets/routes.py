"""From a path to an operation on secrets, and from its result to the answer (Key Vault contract §2).

`match` reads a path, once, into a `Route`; `SecretRoutes.answer` runs the route's operation and encodes what it shows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from msgspec import UNSET

from claviger.audit.trail import telling
from claviger.core.errors import Conflict, Invalid
from claviger.core.paging import decode_mark, encode_mark
from claviger.keyvault.secrets import rules, wire
from claviger.keyvault.secrets.backup import Backups
from claviger.keyvault.secrets.operations import Secrets, Shown
from claviger.keyvault.secrets.records import Listed, Version
from claviger.keyvault.secrets.rules import Operation
from claviger.keyvault.secrets.wire import Attributes, DeletedSecretBundle, Dialect, SecretBundle
from claviger.keyvault.vaults.records import Vault
from claviger.lifecycle.retention import recovery_level

# A value of 25 600 bytes may be written as six-byte escapes, beside 15 tags of the same kind.
SMALL_BODY = 512 * 1024
# 500 versions of the largest value, in base64.
BACKUP_BODY = 24 * 1024 * 1024


class Route(msgspec.Struct, frozen=True):
    """What a path and a verb ask for. `body_limit` 0: the operation takes no body."""

    operation: Operation
    name: str | None = None
    version: str | None = None
    body_limit: int = 0


class Call(msgspec.Struct):
    """A granted call: the vault, the base URL that the client used, and what it asked.

    `shown_version` is that of the secret that a quick answer shows.
    """

    vault: Vault
    base_url: str
    link_url: str
    api_version: str
    dialect: Dialect
    route: Route
    query: Mapping[str, str]
    body: bytes = b""
    shown_version: str = ""


_ON_SECRET = {
    "PUT": (Operation.SET, SMALL_BODY),
    "GET": (Operation.GET, 0),
    "PATCH": (Operation.UPDATE, SMALL_BODY),
    "DELETE": (Operation.DELETE, 0),
}
_ON_VERSION = {"GET": (Operation.GET, 0), "PATCH": (Operation.UPDATE, SMALL_BODY)}
_ON_DELETED = {"GET": Operation.GET_DELETED, "DELETE": Operation.PURGE}
_BELOW_SECRET = {("GET", "versions"): Operation.LIST_VERSIONS, ("POST", "backup"): Operation.BACKUP}


def match(method: str, segments: Sequence[str]) -> Route:
    """The route of a decoded path without its trailing slash. Raises Invalid("Route") where there is none."""
    depth = len(segments)
    if depth and segments[0] == "secrets":
        route = _match_secrets(method, segments, depth)
    elif depth and segments[0] == "deletedsecrets":
        route = _match_deleted(method, segments, depth)
    else:
        route = None
    if route is None:
        raise Invalid("Route", method=method, segment=segments[-1][:200] if segments else "")
    return route


def _match_secrets(method: str, segments: Sequence[str], depth: int) -> Route | None:
    if depth == 2:
        if method == "POST" and segments[1] == "restore":
            return Route(Operation.RESTORE, body_limit=BACKUP_BODY)
        found = _ON_SECRET.get(method)
        return found and Route(found[0], segments[1], None, found[1])
    if depth == 1:
        return Route(Operation.LIST) if method == "GET" else None
    if depth == 3:
        below = _BELOW_SECRET.get((method, segments[2]))
        if below is not None:
            return Route(below, segments[1])
        found = _ON_VERSION.get(method) if rules.is_version(segments[2]) else None
        return found and Route(found[0], segments[1], segments[2], found[1])
    return None


def _match_deleted(method: str, segments: Sequence[str], depth: int) -> Route | None:
    if depth == 1:
        return Route(Operation.LIST_DELETED) if method == "GET" else None
    if depth == 2:
        operation = _ON_DELETED.get(method)
        return operation and Route(operation, segments[1])
    if depth == 3 and method == "POST" and segments[2] == "recover":
        return Route(Operation.RECOVER, segments[1])
    return None


class SecretRoutes:
    """Runs routes. Each method is HTTP in, operation, HTTP out; the answer is a body, or None for 204."""

    def __init__(self, secrets: Secrets, backups: Backups) -> None:
        self._secrets = secrets
        self._backups = backups
        self._handlers: Mapping[Operation, Callable[[Call], Awaitable[bytes | None]]] = {
            Operation.SET: self._set,
            Operation.GET: self._get,
            Operation.UPDATE: self._update,
            Operation.DELETE: self._delete,
            Operation.LIST: self._list,
            Operation.LIST_VERSIONS: self._list_versions,
            Operation.LIST_DELETED: self._list_deleted,
            Operation.GET_DELETED: self._get_deleted,
            Operation.RECOVER: self._recover,
            Operation.PURGE: self._purge,
            Operation.BACKUP: self._backup,
            Operation.RESTORE: self._restore,
        }

    def answer(self, call: Call) -> Awaitable[bytes | None]:
        """The JSON body of the answer; None where there is none to send. Raises what the operation refuses."""
        return self._handlers[call.route.operation](call)

    def get_now(self, call: Call) -> bytes | None:
        """What `answer` gives to a get, if it can be had without waiting; None otherwise."""
        shown = self._secrets.get_now(call.vault, _name(call), call.route.version)
        if shown is None:
            return None
        call.shown_version = shown.version.version
        return wire.encode(_bundle(call, shown.name, shown.version, shown))

    async def _set(self, call: Call) -> bytes:
        shown = await self._secrets.set(call.vault, _name(call), wire.decode_set(call.body))
        return wire.encode(_bundle(call, shown.name, shown.version, shown))

    async def _get(self, call: Call) -> bytes:
        shown = await self._secrets.get(call.vault, _name(call), call.route.version)
        telling(version=shown.version.version)
        return wire.encode(_bundle(call, shown.name, shown.version, shown))

    async def _update(self, call: Call) -> bytes:
        asked = wire.decode_update(call.body)
        shown = await self._secrets.update(call.vault, _name(call), call.route.version, asked)
        return wire.encode(_bundle(call, shown.name, shown.version))

    async def _delete(self, call: Call) -> bytes:
        return wire.encode(_deleted(call, await self._secrets.delete(call.vault, _name(call))))

    async def _get_deleted(self, call: Call) -> bytes:
        return wire.encode(_deleted(call, await self._secrets.get_deleted(call.vault, _name(call))))

    async def _recover(self, call: Call) -> bytes:
        shown = await self._secrets.recover(call.vault, _name(call))
        return wire.encode(_bundle(call, shown.name, shown.version))

    async def _purge(self, call: Call) -> None:
        await self._secrets.purge(call.vault, _name(call))

    async def _backup(self, call: Call) -> bytes:
        return wire.encode(wire.Backup(await self._backups.backup(call.vault, _name(call))))

    async def _restore(self, call: Call) -> bytes:
        try:
            shown = await self._backups.restore(call.vault, wire.decode_restore(call.body).value)
        except Conflict as refusal:
            taken = f"{refusal.facts.get('name')}/{refusal.facts.get('version')}"
            raise Conflict(refusal.reason, id=f"{call.base_url}/secrets/{taken}") from None
        return wire.encode(_bundle(call, shown.name, shown.version))

    async def _list(self, call: Call) -> bytes:
        count, after = _page(call)
        found = await self._secrets.list_live(call.vault, after, count + 1)
        items = [_item(call, each, versioned=False) for each in found[:count]]
        mark = found[count - 1].name.lower() if len(found) > count else None
        return wire.encode(wire.Page(items, _next_link(call, "secrets", mark, count)))

    async def _list_versions(self, call: Call) -> bytes:
        count, after = _page(call)
        name = _name(call)
        found = await self._secrets.list_versions(call.vault, name, after, count + 1)
        items = [_item(call, each, versioned=True) for each in found[:count]]
        mark = found[count - 1].version.version if len(found) > count else None
        return wire.encode(wire.Page(items, _next_link(call, f"secrets/{name}/versions", mark, count)))

    async def _list_deleted(self, call: Call) -> bytes:
        count, after = _page(call)
        found = await self._secrets.list_deleted(call.vault, after, count + 1)
        items = [_deleted_item(call, each) for each in found[:count]]
        mark = found[count - 1].name.lower() if len(found) > count else None
        return wire.encode(wire.Page(items, _next_link(call, "deletedsecrets", mark, count)))


def _name(call: Call) -> str:
    return call.route.name or ""


def _page(call: Call) -> tuple[int, str]:
    mark = call.query.get("$skiptoken")
    return rules.check_page_size(call.query.get("maxresults")), "" if mark is None else decode_mark(mark)


def _next_link(call: Call, path: str, mark: str | None, count: int) -> str | None:
    if mark is None:
        return None
    token = encode_mark(mark)
    return f"{call.link_url}/{path}?api-version={call.api_version}&$skiptoken={token}&maxresults={count}"


def _attributes(call: Call, version: Version) -> Attributes:
    vault, dialect = call.vault, call.dialect
    level = recovery_level(vault.soft_delete, vault.retention_days, vault.purge_protection)
    days = vault.retention_days if vault.soft_delete else 0
    return Attributes(
        version.enabled,
        version.not_before,
        version.expires_at,
        version.created_at,
        version.updated_at,
        level.removeprefix("Customized") if dialect is Dialect.OLDEST else level,
        days if dialect is Dialect.MODERN else UNSET,
    )


def _tags(version: Version) -> msgspec.Raw | msgspec.UnsetType:
    return UNSET if version.tags is None else msgspec.Raw(version.tags)


def _bundle(call: Call, name: str, version: Version, revealed: Shown | None = None) -> SecretBundle:
    value = revealed.value if revealed else None
    return SecretBundle(
        value=UNSET if value is None else value.reveal_text(),
        content_type=version.content_type,
        id=f"{call.base_url}/secrets/{name}/{version.version}",
        attributes=_attributes(call, version),
        tags=_tags(version),
    )


def _item(call: Call, listed: Listed, *, versioned: bool) -> SecretBundle:
    place = f"{listed.name}/{listed.version.version}" if versioned else listed.name
    return SecretBundle(
        content_type=listed.version.content_type,
        id=f"{call.base_url}/secrets/{place}",
        attributes=_attributes(call, listed.version),
        tags=_tags(listed.version),
    )


def _deleted(call: Call, shown: Shown) -> DeletedSecretBundle:
    """The id keeps its version here; in a list it does not (§2.1)."""
    saved = shown.deleted_at is not None
    return DeletedSecretBundle(
        recovery_id=f"{call.base_url}/deletedsecrets/{shown.name}" if saved else UNSET,
        deleted_date=UNSET if shown.deleted_at is None else shown.deleted_at,
        scheduled_purge_date=UNSET if shown.purge_at is None else shown.purge_at,
        content_type=shown.version.content_type,
        id=f"{call.base_url}/secrets/{shown.name}/{shown.version.version}",
        attributes=_attributes(call, shown.version),
        tags=_tags(shown.version),
    )


def _deleted_item(call: Call, listed: Listed) -> DeletedSecretBundle:
    return DeletedSecretBundle(
        recovery_id=f"{call.base_url}/deletedsecrets/{listed.name}",
        deleted_date=UNSET if listed.deleted_at is None else listed.deleted_at,
        scheduled_purge_date=UNSET if listed.purge_at is None else listed.purge_at,
        content_type=listed.version.content_type,
        id=f"{call.base_url}/secrets/{listed.name}",
        attributes=_attributes(call, listed.version),
        tags=_tags(listed.version),
    )
