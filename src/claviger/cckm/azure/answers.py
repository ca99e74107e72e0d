"""Reads what Azure says into structs of ours: what it leaves out or calls null is absent, what we do not know goes."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from claviger.core.errors import Unavailable

S = TypeVar("S", bound=msgspec.Struct)


def understood(told: dict[str, Any], kind: type[S]) -> S:
    """`told` as `kind`. Raises Unavailable("CloudUndecided") where Azure's answer does not look as documented."""
    try:
        return msgspec.convert(_without_null(told), kind, strict=False)
    except msgspec.ValidationError:
        raise Unavailable("CloudUndecided", message="Azure's answer was not understood") from None


def _without_null(told: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_null(value) if isinstance(value, dict) else value
        for name, value in told.items()
        if value is not None
    }
