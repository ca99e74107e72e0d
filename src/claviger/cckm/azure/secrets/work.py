"""One operation on a secret: what was decided (`Work`), what doing it takes, and what came of it (`Outcome`).

`acts.py` does it in the cloud; `asks.py` finds out afterwards whether it was done; `conclusions.py` writes into the
records what is so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from claviger.audit.trail import Kept
from claviger.cckm.azure.secrets.cloud import CloudSecret
from claviger.cckm.azure.secrets.rules import Operation, Status
from claviger.core.errors import Refusal, Unavailable
from claviger.core.sensitive import Sensitive

CREATE = "create"
RESTORE_ELSEWHERE = "restore-elsewhere"
KINDS = (
    CREATE,
    RESTORE_ELSEWHERE,
    *(operation.value for operation in Operation if operation is not Operation.REMOVE),
)
SKEW_S = 300
SETTLING_S = 600
EVERY_VERSION = 100_000


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on one name of one vault. It is stored in the open, so it holds no value.

    `version`, `deleted_at` and `updated_at` (both by Azure's clock) say which secret is meant, and as what it was
    known: one that came to the name later is left alone. Versions whose rows came after `known_until` are not known;
    `own_versions` are those that `source`, the backup to restore from, is of. `has_others`: other versions of the name
    are recorded as live. `slot` is where a fresh backup goes. `trail` is of the call that wanted it.
    """

    operation: str
    vault_id: str
    domain_id: str
    user_id: str
    name: str
    secret_id: str = ""
    version: str = ""
    deleted_at: int | None = None
    updated_at: int = 0
    gone: bool = False
    has_others: bool = False
    known_until: int = 0
    known_versions: tuple[str, ...] = ()
    own_versions: tuple[str, ...] = ()
    content_type: str | msgspec.UnsetType | None = msgspec.UNSET
    tags: dict[str, str] | msgspec.UnsetType | None = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    not_before: int | msgspec.UnsetType | None = msgspec.UNSET
    expires_at: int | msgspec.UnsetType | None = msgspec.UNSET
    keeps_deleted: bool = True
    slot: str = ""
    source: str | None = None
    begun_at: float = 0.0
    trail: Kept = Kept()


class Outcome(msgspec.Struct, frozen=True):
    """What is so in the cloud now. `status` None: the version that was meant is not there.

    `backup` is a fresh one. `versions` are all that live, where they were looked at. `differs` says that somebody else
    has made it so, and not as it was wanted.
    """

    status: Status | None
    secret: CloudSecret | None = None
    backup: Sensitive | None = None
    versions: tuple[CloudSecret, ...] = ()
    differs: bool = False


class Material(msgspec.Struct, frozen=True):
    """The secret things that a work needs, opened just for it: the value to set, the backup to restore."""

    value: Sensitive | None = None
    backup: Sensitive | None = None


class Doubt(msgspec.Struct, frozen=True):
    """Why the cloud is asked. `is_certain`: it has answered 404 to the change itself, so nothing was done."""

    now: float
    is_certain: bool = False


class Steps(Protocol):
    """What an act reports while it is under way."""

    async def keep(self, backup: Sensitive, versions: Sequence[CloudSecret]) -> None:
        """Stores a backup before what it is for; `versions` are in it, where they are known.

        Raises Conflict("TakenOver") and what the database does.
        """
        ...

    async def reached(self, point: str) -> None:
        """Names a point at which a test may end the process."""
        ...


def code_of(refusal: Refusal) -> str:
    """Azure's own word for what is wrong."""
    return str(refusal.facts.get("code", ""))


def is_absent(refusal: Refusal) -> bool:
    """Whether a 404 is about the secret, and not about the vault, or from something that is not Azure at all."""
    return code_of(refusal) == "SecretNotFound"


def unreachable(refusal: Refusal) -> Unavailable:
    """A refusal that says nothing about the secret, as one that does not take the record for gone."""
    return Unavailable("CloudUnreachable", message=refusal.facts.get("message", "Azure cannot be asked"))
