"""Consumed clouds and properties as on the wire (CCKM contract §11, which names no fields but `value`)."""

from __future__ import annotations

import msgspec


class CloudUnits(msgspec.Struct, frozen=True):
    """How many accounts in clouds the domain has under management."""

    total: int
    azure: int
    oci: int


class PropertyShown(msgspec.Struct, frozen=True):
    """A property of the product."""

    name: str
    value: str
    description: str
