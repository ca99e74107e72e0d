"""Subscriptions as they are on the wire (Azure contract §2)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header


class GetSubscriptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which connection to ask for subscriptions: its name or id."""

    connection: Annotated[str, msgspec.Meta(max_length=256)]


class FoundSubscription(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A subscription as the cloud shows it. The answer of discovery is a bare array of these."""

    id: str
    subscription_id: str
    display_name: str = ""
    state: str | UnsetType = UNSET
    subscription_policies: dict[str, Any] | UnsetType = UNSET
    authorization_source: str | UnsetType = UNSET
    tenant_id: str | UnsetType = UNSET


class Subscription(Header, frozen=True, kw_only=True):
    """A stored subscription. Clients read its times by either spelling, so both are there."""

    subscription_id: str = msgspec.field(name="subscriptionId")
    subscription_uri: str = msgspec.field(name="subscriptionUri")
    display_name: str = msgspec.field(name="displayName")
    state: str
    authorization_source: str = msgspec.field(name="authorizationSource")
    tenant_id: str = msgspec.field(name="tenantId")
    created_at_too: str = msgspec.field(name="created_at")
    updated_at_too: str = msgspec.field(name="updated_at")
