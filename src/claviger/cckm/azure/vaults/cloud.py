"""Vaults and managed HSMs as Resource Manager knows them, through the official SDK (CCKM contract, Azure §3.1).

Each is a dict with the fields name, azure_vault_id, type, location, tags and properties; properties are as Azure
answers them, in its own spelling.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from claviger.cckm.azure.connections.cloud import AzureCloud
from claviger.core.errors import Invalid, NotFound

Kind = Literal["vaults", "managedHSMs"]
T = TypeVar("T")

DEFAULT_LIMIT = 10
MOST_AT_ONCE = 1000
_MOST_MARK = 8192
_MOST_PARAMETERS = 20
_SUBSCRIPTION = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ARM_ID = re.compile(
    rf"/subscriptions/(?P<subscription>{_SUBSCRIPTION.pattern})/resourceGroups/(?P<group>[^/?#%]{{1,90}})"
    r"/providers/Microsoft\.KeyVault/(?P<kind>vaults|managedHSMs)/(?P<name>[A-Za-z0-9-]{1,127})",
    re.IGNORECASE,
)


class VaultPage(msgspec.Struct, frozen=True):
    """One page. `mark` is what the next page is asked with; None on the last one."""

    vaults: list[dict[str, Any]]
    mark: str | None


async def list_vaults(
    cloud: AzureCloud, subscription_id: str, *, limit: int = DEFAULT_LIMIT, mark: str | None = None
) -> VaultPage:
    """A page of a subscription's key vaults. `limit` counts for the first page, all others have its size.

    Raises as `AzureCloud.ask` does, and Invalid("InvalidParam").
    """
    return await _page(cloud, "vaults", subscription_id, limit, mark)


async def list_managed_hsms(
    cloud: AzureCloud, subscription_id: str, *, limit: int = DEFAULT_LIMIT, mark: str | None = None
) -> VaultPage:
    """A page of a subscription's managed HSM pools. As `list_vaults`."""
    return await _page(cloud, "managedHSMs", subscription_id, limit, mark)


async def get_vault(cloud: AzureCloud, azure_vault_id: str) -> dict[str, Any]:
    """One vault or managed HSM by its ARM id. Raises as `AzureCloud.ask` does, and Invalid("InvalidParam")."""
    found = _ARM_ID.fullmatch(azure_vault_id)
    if found is None:
        raise Invalid("InvalidParam", message="azure_vault_id is not the id of a vault or a managed HSM")
    client = cloud.management(found["subscription"])
    of = client.vaults if found["kind"].lower() == "vaults" else client.managed_hsms

    async def one() -> Any:
        return await of.get(found["group"], found["name"])

    answer = await cloud.ask(one, cloud.arm_budget(found["subscription"]))
    if answer is None:  # the SDK's reading of a 204
        raise NotFound("CloudNotFound", message=f"Azure has no managed HSM {found['name']}")
    return _shown(answer.as_dict())


async def _page(cloud: AzureCloud, kind: Kind, subscription_id: str, limit: int, mark: str | None) -> VaultPage:
    if not _SUBSCRIPTION.fullmatch(subscription_id):
        raise Invalid("InvalidParam", message="subscription_id is not a subscription's id")
    if not 1 <= limit <= MOST_AT_ONCE:
        raise Invalid("InvalidParam", message=f"limit must be from 1 to {MOST_AT_ONCE}")
    client = cloud.management(subscription_id)
    of: Any = client.vaults if kind == "vaults" else client.managed_hsms
    # A mark is only the query of Azure's link; host and path are ours, so that no caller chooses what is asked.
    path = f"{cloud.endpoints.arm}/subscriptions/{subscription_id}/providers/Microsoft.KeyVault/{kind}"
    link = f"{path}?{_query_of(mark)}" if mark else None

    async def one_page() -> tuple[list[dict[str, Any]], str | None]:
        pages = of.list_by_subscription(top=limit).by_page(continuation_token=link)
        items = [_shown(item.as_dict()) async for item in await anext(pages)]
        return items, pages.continuation_token

    items, following = await cloud.ask(one_page, cloud.arm_budget(subscription_id))
    return VaultPage(items, _mark_of(following) if following else None)


def _mark_of(link: str) -> str | None:
    """What of a link is the mark of its page; None where Azure's link carries none, and so leads nowhere."""
    query = urlsplit(link).query
    return base64.urlsafe_b64encode(query.encode()).rstrip(b"=").decode() if query else None


def _query_of(mark: str) -> str:
    """The query that a mark stands for. Raises Invalid("InvalidParam")."""
    try:
        if len(mark) > _MOST_MARK:
            raise ValueError
        raw = base64.b64decode(mark.encode("ascii") + b"=" * (-len(mark) % 4), altchars=b"-_", validate=True)
        pairs = parse_qsl(raw.decode(), strict_parsing=True, max_num_fields=_MOST_PARAMETERS)
    except (ValueError, binascii.Error):
        raise Invalid("InvalidParam", message="nextLink is not one that this server gave") from None
    return urlencode(pairs)


def _shown(answer: Mapping[str, Any]) -> dict[str, Any]:
    """A vault as CCKM names its fields. A managed HSM tells its address as hsmUri and its sku outside."""
    properties = dict(answer.get("properties") or {})
    if "sku" in answer and "sku" not in properties:
        properties["sku"] = answer["sku"]
    return {
        "name": answer.get("name", ""),
        "azure_vault_id": answer.get("id", ""),
        "type": answer.get("type", ""),
        "location": answer.get("location", ""),
        "tags": answer.get("tags"),
        "properties": properties,
    }
