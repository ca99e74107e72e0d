"""What names, ids and trees of identity may be, and how many of each there may be. Pure.

The limits of names and of depth are the real service's; those of counts keep the snapshot of identity small.
"""

from __future__ import annotations

import re

from claviger.core.errors import Invalid
from claviger.ocikms.identity.regions import KEYS

COMPARTMENT_STATES = ("CREATING", "ACTIVE", "INACTIVE", "DELETING", "DELETED")
TAG_NAMESPACE_STATES = ("ACTIVE", "INACTIVE", "DELETING", "DELETED")
VERBS = ("inspect", "read", "use", "manage")

MAX_DEPTH = 6
"""Compartments below one another, the tenancy not counted."""
MAX_TENANCIES = 100
MAX_COMPARTMENTS = 1_000
MAX_USERS = 1_000
MAX_API_KEYS = 3
MAX_GRANTS = 100
MAX_TAG_NAMESPACES = 100
MAX_TAGS = 100
MAX_DESCRIPTION = 400
ROOT_PATH = "/"
MAX_OCID_LENGTH = 255

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)
_USER_NAME = re.compile(r"[A-Za-z0-9._@+/-]{1,100}", re.ASCII)
_TAG_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_UNIQUE = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_NAMESPACE = re.compile(r"[A-Za-z0-9_-]{1,60}", re.ASCII)


def check_name(name: str) -> str:
    """`name` itself, of a tenancy or compartment. Raises Invalid("Name")."""
    return _checked(name, _NAME, "1-100 letters, digits, periods, hyphens and underscores")


def check_user_name(name: str) -> str:
    """`name` itself, of a user. Raises Invalid("Name")."""
    return _checked(name, _USER_NAME, "1-100 letters, digits and . _ @ + / -")


def check_tag_name(name: str) -> str:
    """`name` itself, of a tag or tag namespace. Raises Invalid("Name")."""
    return _checked(name, _TAG_NAME, "1-100 letters, digits, hyphens and underscores")


def _checked(name: str, pattern: re.Pattern[str], rule: str) -> str:
    if pattern.fullmatch(name) is None or is_ocid(name) or name in (".", ".."):
        raise Invalid("Name", name=name[:120], rule=f"{rule}, and not an OCID")
    return name


def check_description(text: str) -> str:
    """`text` itself. Raises Invalid("Description")."""
    if len(text) > MAX_DESCRIPTION or "\0" in text:
        raise Invalid("Description", rule=f"up to {MAX_DESCRIPTION} characters, none of them NUL")
    return text


def check_region(region: str) -> str:
    """`region` itself, or the one that has this key. Raises Invalid("RegionUnknown")."""
    lower = region.lower()
    for name, key in KEYS.items():
        if lower in (name, key.lower()):
            return name
    fix = "name a region of the commercial realm, such as eu-frankfurt-1"
    raise Invalid("RegionUnknown", region=region[:60], fix=fix)


def check_namespace(namespace: str) -> str:
    """`namespace` itself, of Object Storage. Raises Invalid("Namespace")."""
    if _NAMESPACE.fullmatch(namespace) is None:
        raise Invalid("Namespace", namespace=namespace[:60], rule="1-60 letters, digits, hyphens and underscores")
    return namespace


def is_ocid(word: str) -> bool:
    """Whether a word means an OCID, and not a name."""
    return word.startswith("ocid1.")


def check_ocid(kind: str, ocid: str) -> str:
    """`ocid` itself, of a kind that is in no region. Raises Invalid("OcidMalformed") where it cannot be Oracle's."""
    start = f"ocid1.{kind}.oc1.."
    unique = ocid.removeprefix(start)
    if not ocid.startswith(start) or len(ocid) > MAX_OCID_LENGTH or _UNIQUE.fullmatch(unique) is None:
        raise Invalid("OcidMalformed", ocid=ocid[:MAX_OCID_LENGTH], rule=f"{start} and up to 100 letters and digits")
    return ocid


def check_verb(verb: str) -> str:
    """The verb in lower case. Raises Invalid("VerbUnknown")."""
    if verb.lower() not in VERBS:
        raise Invalid("VerbUnknown", verb=verb[:20], rule=f"one of {', '.join(VERBS)}")
    return verb.lower()
