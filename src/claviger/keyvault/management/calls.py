"""A call of the management API that has been let in, what it may see, and the answers that many operations share.

Reading goes by the estate, the snapshot that the call came with. A vault of another tenant is as if there were none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from claviger.core.errors import Forbidden, NotFound
from claviger.core.paging import decode_mark, encode_mark
from claviger.keyvault.challenge import Caller
from claviger.keyvault.estate import Estate
from claviger.keyvault.groups.records import Group
from claviger.keyvault.management import rules, wire
from claviger.keyvault.management.operations import By
from claviger.keyvault.management.paths import Found
from claviger.keyvault.management.places import Place
from claviger.keyvault.management.properties import VaultPath
from claviger.keyvault.vaults.operations import DEFAULT_SUBSCRIPTION
from claviger.keyvault.vaults.records import Vault
from claviger.keyvault.vaults.rules import group_scope, vault_scope

RETRY_AFTER_S = 1


class Call(msgspec.Struct):
    """A request that was let in."""

    found: Found
    estate: Estate
    caller: Caller
    place: Place
    path: str
    query: dict[str, str]
    api_version: str
    body: bytes = b""

    @property
    def scope(self) -> str:
        """The ARM path of the subscription."""
        return f"/subscriptions/{self.found.given['subscription']}"

    def given(self, name: str) -> str:
        """A variable part of the path."""
        return self.found.given[name]

    def permits(self, scope: str, action: str) -> bool:
        """Whether the caller has an action at a scope."""
        return self.estate.permits(self.caller, scope, action)

    def refused(self, action: str, scope: str) -> Forbidden:
        """The refusal of an action that the caller does not have."""
        return Forbidden(
            "AuthorizationFailed", appid=self.caller.appid, oid=self.caller.oid, action=action, scope=scope
        )


class Answer(msgspec.Struct, frozen=True):
    """A status, something to be JSON or None for no body, and headers."""

    status: int
    value: Any = None
    headers: tuple[tuple[bytes, bytes], ...] = ()


def link(url: str, query: Mapping[str, str]) -> str:
    """A URL with a query, whose names begin with `$` as Azure writes them."""
    return url + "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())


def known_subscriptions(estate: Estate) -> frozenset[str]:
    """Every subscription there is: one is there as soon as something or somebody is in it."""
    return estate.subscriptions() | {DEFAULT_SUBSCRIPTION}


def accepted(place: str) -> Answer:
    """What goes on behind its answer, and where to ask how it stands."""
    retry = (b"retry-after", str(RETRY_AFTER_S).encode())
    return Answer(202, None, ((b"location", place.encode()), retry))


def listed(values: Sequence[Any]) -> Answer:
    """A listing that is never longer than a page."""
    return Answer(200, wire.Page(value=list(values)))


def page(call: Call, found: Iterable[tuple[str, Any]]) -> Answer:
    """The page that `$top` and `$skiptoken` ask for, of values under the keys by which they are sorted."""
    top = rules.check_top(call.query.get("$top"))
    mark = call.query.get("$skiptoken")
    after = decode_mark(mark) if mark else ""
    left = sorted((each for each in found if each[0] > after), key=lambda each: each[0])
    values = [value for _, value in left[:top]]
    if len(left) <= top:
        return listed(values)
    query = {"api-version": call.api_version}
    query |= {name: call.query[name] for name in ("$filter", "$top") if name in call.query}
    query["$skiptoken"] = encode_mark(left[top - 1][0])
    return Answer(200, wire.Page(value=values, next_link=link(call.place.base_url + call.path, query)))


def sees(call: Call, scope: str) -> bool:
    """Whether the caller has any role at a scope, above it or below it."""
    return call.estate.sees(call.caller, scope)


def require_sight(call: Call, action: str) -> None:
    """Lets in who has any role in the subscription. Raises Forbidden("AuthorizationFailed")."""
    if not sees(call, call.scope):
        raise call.refused(action, call.scope)


def group_of(call: Call) -> Group:
    """The path's resource group. Raises NotFound("GroupNotFound")."""
    found = call.estate.group(call.given("subscription"), call.given("group"))
    if found is None:
        raise NotFound("GroupNotFound", group=call.given("group")[:90])
    return found


def is_ours(call: Call, vault: Vault) -> bool:
    """Whether a vault is of the caller's tenant."""
    return vault.tenant_id == call.caller.tid


def live_vaults(call: Call) -> Iterable[Vault]:
    """The live vaults of the subscription, of every tenant."""
    subscription = call.given("subscription")
    vaults = call.estate.vaults()
    return (vault for vault in vaults if vault.deleted_at is None and vault.subscription_id == subscription)


def seen_vaults(call: Call) -> Iterable[Vault]:
    """The vaults of the path's subscription, or of its group, that the caller may read."""
    action = "Microsoft.KeyVault/vaults/read"
    if "group" not in call.found.given:
        require_sight(call, action)
        vaults = live_vaults(call)
    else:
        scope = group_scope(call.given("subscription"), call.given("group"))
        if not sees(call, scope):
            raise call.refused(action, scope)
        name = group_of(call).name.lower()
        vaults = (vault for vault in live_vaults(call) if vault.resource_group.lower() == name)
    return [vault for vault in vaults if is_ours(call, vault) and call.permits(vault.path, action)]


def passes(vault: Vault, kept: dict[str, str]) -> bool:
    """Whether a vault is among what the clauses of a `$filter` leave."""
    tags: dict[str, str] = msgspec.json.decode(vault.tags) if vault.tags else {}
    has = {
        "resourcetype": rules.VAULT_TYPE,
        "name": vault.name,
        "location": vault.location,
        "resourcegroup": vault.resource_group,
    }
    if not all(has[name].lower() == value.lower() for name, value in kept.items() if name in has):
        return False
    tag = kept.get("tagname")
    return (tag is None or tag in tags) and ("tagvalue" not in kept or kept["tagvalue"] == tags.get(tag or ""))


def vault_of(call: Call) -> Vault:
    """The path's vault, live. Raises NotFound("VaultNotFound")."""
    path = path_of(call)
    found = call.estate.vault(path.name)
    if found is None or found.deleted_at is not None or not path.is_of(found) or not is_ours(call, found):
        raise NotFound("VaultNotFound", vault=path.name[:100], group=path.group[:90])
    return found


def path_of(call: Call) -> VaultPath:
    """Which vault the path names."""
    return VaultPath(call.given("subscription"), call.given("group"), call.given("vault"))


def by_caller(call: Call) -> By:
    """The caller, as changes of the path's vault want to know it."""
    path = path_of(call)
    scope = vault_scope(path.subscription_id, path.group, path.name)
    return By(call.caller.tid, call.permits(scope, "Microsoft.Authorization/roleAssignments/write"))


def may_delete(call: Call, vault: Vault) -> bool:
    """Whether the caller may delete a vault."""
    return is_ours(call, vault) and call.permits(vault.path, "Microsoft.KeyVault/vaults/delete")
