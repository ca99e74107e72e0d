"""Vaults of OCI as the control plane knows them: what may be permitted in one; limits (CCKM contract, OCI §3, §4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from claviger.cckm.errors import validation
from claviger.cckm.oci.connections.rules import is_ocid
from claviger.cckm.oci.realm import is_region
from claviger.core.errors import Conflict

MOST_VAULTS = 10_000
"""Of one domain. A list of them is filtered and sorted in memory."""
MOST_AT_ONCE = 200
LONGEST_IDENT = 256

ACTIONS_ON: Mapping[str, str] = {
    "keys": "view keycreate keyupload keyupdate keydelete keycanceldelete keyrestore deletebackup keyrotatetonative "
    "keyrotatetobyok keysynchronize keyremove",
    "external keys": "viewhyokkey hyokkeycreate hyokkeyupdate hyokkeyblockunblock hyokkeydelete hyokkeyrotate",
    "reports": "reportview reportcreate reportdelete reportdownload",
}
ACTIONS = frozenset(" ".join(ACTIONS_ON.values()).split())
"""All that can be permitted in an OCI vault."""
VIEW = "view"

_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,256}")


def check_discovery(compartment_ocid: str, region: str) -> None:
    """Raises Invalid("Validation") for what cannot be asked for."""
    problems = {}
    if not (is_ocid(compartment_ocid, "compartment") or is_ocid(compartment_ocid, "tenancy")):
        problems["compartment_id"] = "must be the OCID of a compartment or of the tenancy"
    if not is_region(region):
        problems["region"] = "must be a region's name, such as us-ashburn-1"
    if problems:
        raise validation(problems)


def check_added(ocids: Sequence[str], region: str) -> list[str]:
    """The vaults that a request to add names, each once. Raises Invalid("Validation")."""
    problems = {}
    if not is_region(region):
        problems["region"] = "must be a region's name, such as us-ashburn-1"
    if not ocids:
        problems["vault_id"] = "must name at least one vault"
    elif len(ocids) > MOST_AT_ONCE:
        problems["vault_id"] = f"must name at most {MOST_AT_ONCE} vaults"
    elif not all(is_ocid(ocid, "vault") for ocid in ocids):
        problems["vault_id"] = "must be OCIDs of vaults"
    elif len(set(ocids)) != len(ocids):
        problems["vault_id"] = "names a vault twice"
    if problems:
        raise validation(problems)
    return list(ocids)


def check_bucket(name: str | None, namespace: str | None) -> tuple[str, str]:
    """A bucket for backups; both parts or neither. Raises Invalid("Validation")."""
    if bool(name) != bool(namespace):
        missing = "bucket_namespace" if name else "bucket_name"
        raise validation({missing: "is required with the other one"})
    for field, text in (("bucket_name", name), ("bucket_namespace", namespace)):
        if text and not _BUCKET.fullmatch(text):
            raise validation({field: "may have 1 to 256 letters, digits, dots, hyphens and underscores"})
    return name or "", namespace or ""


def check_room(present: int, more: int) -> None:
    """Raises Conflict("TooManyVaults") where a domain cannot manage so many more."""
    if present + more > MOST_VAULTS:
        raise Conflict("TooManyVaults", message=f"a domain can manage at most {MOST_VAULTS} vaults")
