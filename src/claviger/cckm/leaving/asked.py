"""What a call asks for of what is leaving, read from its query; and how deletions are undone. Pure.

Filters of one cloud alone (`key_vault`, `secret_name`; `vault`, `key_name`), without those of the other, leave the
other out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from claviger.cckm.azure.secrets import showing as secrets
from claviger.cckm.azure.secrets.rules import LATEST_TIME
from claviger.cckm.azure.secrets.wire import epoch
from claviger.cckm.calls import Query
from claviger.cckm.errors import validation
from claviger.cckm.oci.keys import showing as keys
from claviger.cckm.oci.versions import showing as versions

Kind = Literal["soft-deleted", "restorable"]

SOFT_DELETED: Kind = "soft-deleted"
RESTORABLE: Kind = "restorable"
KINDS = (SOFT_DELETED, RESTORABLE)
SECRET, KEY, VERSION = secrets.KIND, keys.KIND, versions.KIND
OBJECT_KINDS = (SECRET, KEY, VERSION)
AZURE, OCI = "azure", "oci"
CLOUD_OF: Mapping[str, str] = {SECRET: AZURE, KEY: OCI, VERSION: OCI}
_OWN_FILTERS: Mapping[str, tuple[str, str]] = {AZURE: ("key_vault", "secret_name"), OCI: ("vault", "key_name")}


class Way(NamedTuple):
    """What undoes a deletion, and the permission for it."""

    operation: str
    permission: str


WAYS: Mapping[tuple[str, Kind], Way] = {
    (SECRET, SOFT_DELETED): Way("recover", "secretrecover"),
    (SECRET, RESTORABLE): Way("restore", "secretrestore"),
    (KEY, SOFT_DELETED): Way("cancel-deletion", "keycanceldelete"),
    (KEY, RESTORABLE): Way("restore", "keyrestore"),
    (VERSION, SOFT_DELETED): Way("cancel-deletion", "keycanceldelete"),
}
"""By what it is, and how it is leaving. A version that is deleted comes back with its key alone."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. Times are epoch seconds; `vaults` and `names` by cloud."""

    kind: Kind
    object_kinds: Sequence[str]
    final_before: int | None
    final_after: int | None
    by: Sequence[str]
    vaults: Mapping[str, Sequence[str]]
    names: Mapping[str, Sequence[str]]

    @property
    def dates(self) -> list[tuple[str, int]]:
        """The limits of the date at which it becomes final, each with how the date compares."""
        limits = (("<", self.final_before), (">=", self.final_after))
        return [(sign, at) for sign, at in limits if at is not None]


def asked_of(query: Query) -> Asked:
    """What a query asks for. Raises Invalid("Validation")."""
    kind = query.one("kind") or SOFT_DELETED
    if kind not in KINDS:
        raise validation({"kind": f"must be {' or '.join(KINDS)}"})
    objects = query.all("object_kind")
    if any(word not in OBJECT_KINDS for word in objects):
        raise validation({"object_kind": f"must be one of {', '.join(OBJECT_KINDS)}"})
    clouds = {cloud for cloud, names in _OWN_FILTERS.items() if any(query.all(name) for name in names)} or {AZURE, OCI}
    return Asked(
        kind=kind,
        object_kinds=[
            each
            for each in OBJECT_KINDS
            if (each, kind) in WAYS and each in (objects or OBJECT_KINDS) and CLOUD_OF[each] in clouds
        ],
        final_before=_time(query, "becomes_final_before"),
        final_after=_time(query, "becomes_final_after"),
        by=query.all("by"),
        vaults={cloud: query.all(vault) for cloud, (vault, _) in _OWN_FILTERS.items()},
        names={cloud: query.all(name) for cloud, (_, name) in _OWN_FILTERS.items()},
    )


def _time(query: Query, name: str) -> int | None:
    word = query.one(name)
    if word is None:
        return None
    at = epoch(word)
    if at is None or not 0 <= at <= LATEST_TIME:
        raise validation({name: "must be a time in RFC 3339, or seconds since 1970"})
    return at


def like_of(words: Sequence[str]) -> tuple[str, ...]:
    """Patterns of LIKE for names in small letters, with `!` to escape by; `*` stands for any characters."""
    escaped = [word.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_") for word in words]
    return tuple(word.replace("*", "%") for word in escaped)
