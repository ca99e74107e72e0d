"""Clients as they are sent and shown."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header


class NewClient(msgspec.Struct, frozen=True, kw_only=True):
    """The body that makes a client for the caller, in the domain that he acts in."""

    name: str = ""


class ClientShown(Header, frozen=True, kw_only=True):
    """A client. `client_secret` is shown once, in the answer that made it."""

    client_id: str
    name: str
    user_id: str
    domain_id: str
    client_secret: str | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"<client {self.client_id}>"
