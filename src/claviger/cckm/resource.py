"""What every record of the control plane shows first: its id, uri, account and times (CCKM contract §5)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from claviger.cckm.calls import ROOT_DOMAIN

APPLICATION = "ncryptify:gemalto:admin:apps:kylo"
DEV_ACCOUNT = "ncryptify:gemalto:admin:accounts:gemalto"
_NOT_IN_A_SLUG = re.compile(r"[^a-z0-9]+")


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """The fields with which every record begins. Structs of records derive from this."""

    id: str
    uri: str
    account: str
    application: str = APPLICATION
    dev_account: str = msgspec.field(default=DEV_ACCOUNT, name="devAccount")
    created_at: str = msgspec.field(name="createdAt")
    updated_at: str = msgspec.field(name="updatedAt")


def header(
    service: str, kind: str, ident: str, name: str, domain_id: str, created_at: float, updated_at: float
) -> dict[str, str]:
    """The arguments of a `Header`: `service` and `kind` are those of the uri, such as `cckm` and `azure-secret`."""
    return {
        "id": ident,
        "uri": uri(service, kind, ident, name),
        "account": account(domain_id),
        "created_at": timestamp(created_at),
        "updated_at": timestamp(updated_at),
    }


def uri(service: str, kind: str, ident: str, name: str) -> str:
    """`kylo:kylo:cckm:azure-secret:my-name-<id>`."""
    slug = _NOT_IN_A_SLUG.sub("-", name.lower()).strip("-")
    return f"kylo:kylo:{service}:{kind}:{slug}-{ident}" if slug else f"kylo:kylo:{service}:{kind}:{ident}"


def account(domain_id: str) -> str:
    """The account of a domain; the root domain's is `kylo`."""
    return f"kylo:kylo:admin:accounts:{'kylo' if domain_id == ROOT_DOMAIN else domain_id}"


@lru_cache(maxsize=4096)  # a record that is read is read again, and many came or were synchronised together
def timestamp(at: float) -> str:
    """Epoch seconds as RFC 3339 in UTC with microseconds."""
    return f"{datetime.fromtimestamp(at, UTC).isoformat(timespec='microseconds')[:-6]}Z"


@lru_cache(maxsize=4096)
def seconds(at: float) -> str:
    """Epoch seconds as RFC 3339 in UTC without a fraction, as times of the clouds are shown."""
    return f"{datetime.fromtimestamp(int(at), UTC).isoformat()[:-6]}Z"
