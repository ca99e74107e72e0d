"""Versions, limits and small grammars of the management API. Pure tables and checks (Key Vault contract §10)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from claviger.core.errors import Invalid, NotFound

KEY_VAULT = "Microsoft.KeyVault"
RESOURCES = "Microsoft.Resources"
GRAPH = "Graph"
VAULT_TYPE = f"{KEY_VAULT}/vaults"

KEY_VAULT_VERSIONS = (
    "2014-12-19-preview",
    "2015-06-01",
    "2016-10-01",
    "2018-02-14-preview",
    "2018-02-14",
    "2019-09-01",
    "2020-04-01-preview",
    "2021-04-01-preview",
    "2021-06-01-preview",
    "2021-10-01",
    "2021-11-01-preview",
    "2022-02-01-preview",
    "2022-07-01",
    "2022-11-01",
    "2023-02-01",
    "2023-07-01",
    "2024-04-01-preview",
    "2024-11-01",
    "2024-12-01-preview",
    "2025-05-01",
    "2026-02-01",
    "2026-03-01-preview",
    "2026-04-01-preview",
    "2026-04-01",
    "2026-05-15",
)
"""Every version that clients are known to send; answers are those of 2023-07-01, but for the default below."""
ROLES_BY_DEFAULT_SINCE = "2026-02-01"
METADATA_VERSIONS = ("2015-01-01", "2017-12-01", "2018-05-01", "2019-05-01", "2020-06-01", "2022-09-01")
RESOURCES_VERSIONS = ("2014-01-01", "2026-12-31")
"""Resource Manager itself has had dozens; any day between these two is taken for one."""

LOCATIONS: Mapping[str, str] = {
    "local": "Local",
    "eastus": "East US",
    "eastus2": "East US 2",
    "westus": "West US",
    "westus2": "West US 2",
    "westus3": "West US 3",
    "centralus": "Central US",
    "northeurope": "North Europe",
    "westeurope": "West Europe",
    "uksouth": "UK South",
    "francecentral": "France Central",
    "germanywestcentral": "Germany West Central",
    "swedencentral": "Sweden Central",
    "switzerlandnorth": "Switzerland North",
    "southeastasia": "Southeast Asia",
    "eastasia": "East Asia",
    "japaneast": "Japan East",
    "australiaeast": "Australia East",
    "brazilsouth": "Brazil South",
    "canadacentral": "Canada Central",
    "centralindia": "Central India",
}
"""The locations that are listed; a vault or a group may say any other name."""

MAX_BODY = 2_097_152
MAX_POLICIES = 1_024
MAX_TAGS = 50
MAX_TAG_NAME = 512
MAX_TAG_VALUE = 256
MAX_PAGE = 1_000
MAX_FILTER = 1_000

_DAY = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?:-[a-z]{1,16})?", re.ASCII)
_CLAUSE = re.compile(r"([A-Za-z]{1,40})\s+eq\s+'((?:[^']|'')*)'", re.ASCII)
_FILTERS = frozenset({"resourcetype", "name", "location", "resourcegroup", "tagname", "tagvalue"})


def check_api_version(given: str | None, namespace: str) -> str:
    """The version itself. Raises Invalid("ApiVersionMissing" | "ApiVersionUnknown" | "ProviderVersionUnknown")."""
    if namespace == GRAPH:
        return ""
    if not given:
        raise Invalid("ApiVersionMissing")
    if namespace == KEY_VAULT:
        if given not in KEY_VAULT_VERSIONS:
            raise Invalid("ProviderVersionUnknown", given=given[:64], known=", ".join(KEY_VAULT_VERSIONS))
        return given
    first, last = RESOURCES_VERSIONS
    if _DAY.fullmatch(given) is None or not first <= given[:10] <= last:
        raise Invalid("ApiVersionUnknown", given=given[:64], known=f"any between {first} and {last}")
    return given


def has_roles_by_default(api_version: str) -> bool:
    """Whether a vault made with this version, saying nothing of it, goes by roles."""
    return api_version[:10] >= ROLES_BY_DEFAULT_SINCE


def check_tags(tags: Mapping[str, str] | None) -> None:
    """Raises Invalid("Property") for tags over Resource Manager's limits."""
    for name, text in (tags or {}).items():
        if not name or len(name) > MAX_TAG_NAME or len(text) > MAX_TAG_VALUE:
            raise Invalid("Property", property="tags")
    if len(tags or {}) > MAX_TAGS:
        raise Invalid("Property", property="tags")


def check_top(given: str | None) -> int:
    """The page size asked for, `MAX_PAGE` where none was or more. Raises Invalid("Top")."""
    if given is None:
        return MAX_PAGE
    if not (given.isascii() and given.isdigit() and len(given) <= 9 and int(given) >= 1):
        raise Invalid("Top", given=given[:40])
    return min(int(given), MAX_PAGE)


def read_filter(text: str | None) -> dict[str, str]:
    """The clauses of a `$filter`, names in lower case: `name eq 'x' and …`. Raises Invalid("Filter") for any other."""
    if not text:
        return {}
    if len(text) > MAX_FILTER:
        raise Invalid("Filter", given=text[:100])
    clauses: dict[str, str] = {}
    for part in re.split(r"\s+and\s+", text.strip()):
        match = _CLAUSE.fullmatch(part.strip())
        name = match[1].lower() if match else ""
        if match is None or name not in _FILTERS or name in clauses:
            raise Invalid("Filter", given=text[:100])
        clauses[name] = match[2].replace("''", "'")
    return clauses


def check_namespace(name: str) -> str:
    """A resource provider's namespace in its own spelling. Raises NotFound("NamespaceUnknown")."""
    for known in (KEY_VAULT, RESOURCES):
        if name.lower() == known.lower():
            return known
    raise NotFound("NamespaceUnknown", namespace=name[:100])
