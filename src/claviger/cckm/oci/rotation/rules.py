"""When a key is rotated by its job, and of what its new material is (CCKM contract, OCI §5.10, and §9.3). Pure.

A job rotates a key that is linked to it, ENABLED, and whose current version is at least `rotation_after` old and
expires within `expire_in`; without such a period, every key that is linked, each time the job runs. OCI knows no
expiry: the job's `expiration` says how long a version lives, and without it none ever expires.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping

from claviger.cckm.oci.keys.rules import UPLOADED

NATIVE, LOCAL = "native", "ciphertrust"
"""Where new material is from: OCI makes it, or a fresh local key is made here and uploaded."""
ELSEWHERE: Mapping[str, str] = {
    "hsm-luna": "a Luna HSM",
    "dsm": "a Data Security Manager",
    "external-cm": "another CipherTrust Manager",
}
SOURCE_LABEL, CONFIG_LABEL = "auto_rotate_key_source", "job_config_id"
LONGEST_STEM = 150
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_NAMESPACE = uuid.UUID("5b0c0f0e-8a1e-4b53-9d5c-6c1e3f2a7b10")


def source_problem(source: str, algorithm: str) -> str | None:
    """What is wrong with a source of material for a key of an algorithm, or None."""
    if source == NATIVE:
        return None
    if source == LOCAL:
        if algorithm in UPLOADED:
            return None
        return f"must be {NATIVE}: OCI takes uploads of {' and '.join(sorted(UPLOADED))} keys alone"
    lacks = ELSEWHERE.get(source)
    known = f"must be {NATIVE} or {LOCAL}"
    return known if lacks is None else f"{known}: this server has no connection to {lacks}"


def is_due(current_since: float, rotation_after_s: float | None, now: float) -> bool:
    """Whether a key is to be rotated whose current version has been there since then."""
    return rotation_after_s is None or now >= current_since + rotation_after_s


def is_expiring(current_since: float, life_s: float | None, expire_in_s: float | None, now: float) -> bool:
    """Whether a current version that has been there since then expires soon enough to be replaced (contract §9.3).

    Without `expire_in_s` every one does; without `life_s` it never expires.
    """
    return expire_in_s is None or (life_s is not None and now + expire_in_s >= current_since + life_s)


def version_id(run_id: str, key_id: str) -> str:
    """The id of the record of the version that a run gives a key: always the same, so it is given one only once."""
    return str(uuid.uuid5(_NAMESPACE, f"{run_id}/{key_id}"))


def local_name(key_name: str, key_id: str, run_id: str) -> str:
    """The name of the local key that a run makes for a key."""
    stem = _NOT_IN_A_NAME.sub("-", key_name)[:LONGEST_STEM].strip("-") or "key"
    return f"{stem}-{key_id[:8]}-{run_id}"
