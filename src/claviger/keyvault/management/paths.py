"""Which operation a method and a path ask for, and what a caller needs for it: the table of the management API.

Paths are compared without case, as Resource Manager does. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from claviger.core.errors import Invalid, NotFound
from claviger.keyvault.management.rules import GRAPH, KEY_VAULT, RESOURCES, check_namespace
from claviger.keyvault.management.shown import deleted_path
from claviger.keyvault.vaults.rules import group_scope, is_uuid, vault_scope

At = Literal["", "subscription", "group", "vault", "deleted"]


class Route(msgspec.Struct, frozen=True):
    """One operation. `action` is needed at the scope that `at` names; without one, the operation sees to it itself."""

    method: str
    template: tuple[str, ...]
    name: str
    action: str = ""
    at: At = ""

    @property
    def namespace(self) -> str:
        """Whose versions count. The requests to Graph carry none."""
        if self.template[0] == "graph":
            return GRAPH
        return KEY_VAULT if KEY_VAULT.lower() in self.template else RESOURCES


class Found(msgspec.Struct, frozen=True):
    """A route with the variable parts of its path, as the client wrote them; a subscription in lower case."""

    route: Route
    given: Mapping[str, str]

    @property
    def subscription(self) -> str | None:
        """The subscription in the path."""
        return self.given.get("subscription")

    @property
    def scope(self) -> str:
        """The ARM path at which the route's action is needed."""
        given = self.given
        match self.route.at:
            case "group":
                return group_scope(given["subscription"], given["group"])
            case "vault":
                return vault_scope(given["subscription"], given["group"], given["vault"])
            case "deleted":
                return deleted_path(given["subscription"], given["location"], given["vault"])
        return f"/subscriptions/{given['subscription']}" if "subscription" in given else "/"


def _route(method: str, path: str, name: str, action: str = "", at: At = "") -> Route:
    return Route(method, tuple(path.split("/")), name, action, at)


_ONE = "subscriptions/{subscription}"
_GROUP = f"{_ONE}/resourcegroups/{{group}}"
_VAULTS = f"{_ONE}/providers/microsoft.keyvault"
_IN_GROUP = f"{_GROUP}/providers/microsoft.keyvault"
_VAULT = f"{_IN_GROUP}/vaults/{{vault}}"
_DELETED = f"{_VAULTS}/locations/{{location}}/deletedvaults/{{vault}}"
_GROUPS = "Microsoft.Resources/subscriptions/resourceGroups"

ROUTES = (
    _route("GET", "graph/v1.0/me", "get_me"),
    _route("GET", "graph/v1.0/serviceprincipals", "list_principals"),
    _route("GET", "subscriptions", "list_subscriptions"),
    _route("GET", "tenants", "list_tenants"),
    _route("GET", _ONE, "get_subscription"),
    _route("GET", f"{_ONE}/locations", "list_locations"),
    _route("GET", f"{_ONE}/resourcegroups", "list_groups"),
    _route("GET", _GROUP, "get_group", f"{_GROUPS}/read", "group"),
    _route("HEAD", _GROUP, "check_group", f"{_GROUPS}/read", "group"),
    _route("PUT", _GROUP, "put_group", f"{_GROUPS}/write", "group"),
    _route("PATCH", _GROUP, "patch_group", f"{_GROUPS}/write", "group"),
    _route("DELETE", _GROUP, "delete_group", f"{_GROUPS}/delete", "group"),
    _route("GET", f"{_ONE}/resources", "list_resources"),
    _route("GET", f"{_GROUP}/resources", "list_resources"),
    _route("GET", f"{_ONE}/providers", "list_providers"),
    _route("GET", f"{_ONE}/providers/{{namespace}}", "get_provider"),
    _route(
        "POST",
        f"{_ONE}/providers/{{namespace}}/register",
        "get_provider",
        "Microsoft.KeyVault/register/action",
        "subscription",
    ),
    _route("GET", f"{_VAULTS}/vaults", "list_vaults"),
    _route("GET", f"{_IN_GROUP}/vaults", "list_vaults"),
    _route("GET", f"{_VAULTS}/deletedvaults", "list_deleted", "Microsoft.KeyVault/deletedVaults/read", "subscription"),
    _route("GET", f"{_VAULTS}/managedhsms", "list_nothing"),
    _route("GET", f"{_VAULTS}/deletedmanagedhsms", "list_nothing"),
    _route("GET", f"{_IN_GROUP}/managedhsms", "list_nothing"),
    _route("GET", f"{_IN_GROUP}/managedhsms/{{hsm}}", "get_hsm", "Microsoft.KeyVault/managedHSMs/read", "group"),
    _route(
        "POST",
        f"{_VAULTS}/checknameavailability",
        "check_name",
        "Microsoft.KeyVault/checkNameAvailability/read",
        "subscription",
    ),
    _route("GET", _DELETED, "get_deleted", "Microsoft.KeyVault/locations/deletedVaults/read", "deleted"),
    _route("POST", f"{_DELETED}/purge", "purge", "Microsoft.KeyVault/locations/deletedVaults/purge/action", "deleted"),
    _route(
        "GET",
        f"{_VAULTS}/locations/{{location}}/operationresults/{{operation}}",
        "operation_result",
        "Microsoft.KeyVault/locations/operationResults/read",
        "subscription",
    ),
    _route("GET", _VAULT, "get_vault", "Microsoft.KeyVault/vaults/read", "vault"),
    _route("PUT", _VAULT, "put_vault", "Microsoft.KeyVault/vaults/write", "vault"),
    _route("PATCH", _VAULT, "patch_vault", "Microsoft.KeyVault/vaults/write", "vault"),
    _route("DELETE", _VAULT, "delete_vault", "Microsoft.KeyVault/vaults/delete", "vault"),
    _route(
        "PUT",
        f"{_VAULT}/accesspolicies/{{kind}}",
        "change_policies",
        "Microsoft.KeyVault/vaults/accessPolicies/write",
        "vault",
    ),
    _route("GET", f"{_VAULT}/privateendpointconnections", "list_links", "Microsoft.KeyVault/vaults/read", "vault"),
    _route("GET", f"{_VAULT}/privatelinkresources", "list_links", "Microsoft.KeyVault/vaults/read", "vault"),
)


def match(method: str, path: str) -> Found:
    """The operation that a method and a decoded path ask for.

    Raises NotFound("Page" | "NamespaceUnknown" | "TypeUnknown"), Invalid("Verb" | "Subscription" | "Encoding").
    """
    if not path.isprintable():  # no database has to be asked for a name that holds a NUL
        raise Invalid("Encoding")
    segments = [segment for segment in path.split("/") if segment]
    others: set[str] = set()
    for route in ROUTES:
        given = _given(route.template, segments)
        if given is None:
            continue
        if route.method == method:
            if "subscription" in given:
                given["subscription"] = _subscription(given["subscription"])
            return Found(route, given)
        others.add(route.method)
    if others:
        raise Invalid("Verb", verb=method[:20], allowed=", ".join(sorted(others)))
    raise _nothing_at(segments)


def _given(template: Sequence[str], segments: Sequence[str]) -> dict[str, str] | None:
    if len(template) != len(segments):
        return None
    given: dict[str, str] = {}
    for expected, segment in zip(template, segments, strict=True):
        if expected[0] == "{":
            given[expected[1:-1]] = segment
        elif expected != segment.lower():
            return None
    return given


def _subscription(text: str) -> str:
    if not is_uuid(text):
        raise Invalid("Subscription", subscription=text[:100])
    return text.lower()


def _nothing_at(segments: Sequence[str]) -> NotFound:
    lower = [segment.lower() for segment in segments]
    if "providers" in lower[:-2]:
        at = lower.index("providers")
        namespace = check_namespace(segments[at + 1])
        return NotFound("TypeUnknown", namespace=namespace, type=segments[at + 2][:100])
    return NotFound("Page")
