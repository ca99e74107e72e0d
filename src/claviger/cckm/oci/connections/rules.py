"""What a connection to OCI says, and what is wrong with it (CCKM contract, common §7.4). Pure.

`realm_domain` and `server_certificate` are ours: where the realm is, and the one authority to trust there. They make a
connection lead to the embedded OCI, and are left out for Oracle's own.
"""

from __future__ import annotations

import re

import msgspec

from claviger.cckm.oci.realm import REALM_DOMAIN, is_domain, is_region
from claviger.core.sensitive import Sensitive

OCI = "oci"
MOST_NAME = 255
MOST_TEXT = 2048
MOST_PEM = 64 * 1024
MOST_KEY = 8 * 1024
"""Characters of a private key: enough for RSA of 8192 bits. Larger ones take minutes to be checked."""
MOST_ENTRIES = 64
LONGEST_OCID = 255

_NAME = re.compile(r"[^/?#\x00-\x1f\x7f]+")
_OCID = re.compile(r"ocid1\.[a-z0-9]+\.[a-z0-9-]+\.[a-z0-9.-]*\.?[a-z0-9._-]+", re.IGNORECASE)
_FINGERPRINT = re.compile(r"(?:[0-9a-f]{2}:){15}[0-9a-f]{2}")


class OciDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that a connection says of itself, without its key."""

    user_ocid: str
    tenancy_ocid: str
    fingerprint: str
    region: str
    realm_domain: str = ""
    server_certificate: str = ""
    description: str = ""
    meta: dict[str, object] = msgspec.field(default_factory=dict)
    labels: dict[str, object] = msgspec.field(default_factory=dict)
    products: list[str] = msgspec.field(default_factory=lambda: ["cckm"])

    @property
    def domain(self) -> str:
        """The domain of its realm."""
        return self.realm_domain or REALM_DOMAIN


class Credentials(msgspec.Struct, frozen=True):
    """What a connection proves itself with: a private key in PEM, and the pass phrase of an encrypted one."""

    private_key: Sensitive
    pass_phrase: Sensitive | None = None


class OciConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A stored connection. `revision` grows with each change of credentials or addresses. Times are epoch seconds."""

    id: str
    domain_id: str
    name: str
    service: str = OCI
    cloud_name: str = OCI
    details: OciDetails
    revision: int
    created_at: float
    updated_at: float
    last_connection_ok: bool | None = None
    last_connection_error: str | None = None
    last_connection_at: float | None = None


def is_ocid(text: str, kind: str = "") -> bool:
    """Whether this can be Oracle's identifier, of a kind where one is named. Nothing is read from it."""
    shaped = len(text) <= LONGEST_OCID and _OCID.fullmatch(text) is not None
    return shaped and (not kind or text.lower().startswith(f"ocid1.{kind}."))


def name_problem(name: str) -> str | None:
    """What is wrong with a connection's name, or None."""
    if len(name) > MOST_NAME or not _NAME.fullmatch(name) or name != name.strip():
        return f"may have up to {MOST_NAME} characters, none of them /, ? or #, and no space at either end"
    return None


def problems_of(details: OciDetails) -> dict[str, str]:
    """What is wrong with a connection's fields, by field."""
    found: dict[str, str] = {}
    if not is_ocid(details.user_ocid, "user"):
        found["user_ocid"] = "must be a user's OCID"
    if not is_ocid(details.tenancy_ocid, "tenancy"):
        found["tenancy_ocid"] = "must be a tenancy's OCID"
    if not _FINGERPRINT.fullmatch(details.fingerprint):
        found["fingerprint"] = "must be 16 pairs of hex digits in lower case with colons between them"
    if not is_region(details.region):
        found["region"] = "must be a region's name, such as us-ashburn-1"
    if details.realm_domain and not is_domain(details.realm_domain):
        found["realm_domain"] = "must be a domain in lower case, and perhaps a port"
    if len(details.server_certificate) > MOST_PEM:
        found["server_certificate"] = f"may have up to {MOST_PEM} characters"
    if len(details.description) > MOST_TEXT:
        found["description"] = f"may have up to {MOST_TEXT} characters"
    for field in ("meta", "labels", "products"):
        if len(getattr(details, field)) > MOST_ENTRIES:
            found[field] = f"may have up to {MOST_ENTRIES} entries"
    if len(msgspec.json.encode(details.meta)) > MOST_PEM:
        found["meta"] = "is too large"
    return found
