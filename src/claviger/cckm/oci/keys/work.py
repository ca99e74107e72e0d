"""One operation on a key: what was decided (`Work`), how it is done (`Trade`), and what came of it (`Outcome`).

`acts.py` does it in the cloud; `asks.py` finds out afterwards whether it was done; `conclusions.py` writes into the
records what is so. What is done to versions, and uploads, are further trades of the same kind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

import msgspec

from claviger.audit.trail import Kept
from claviger.cckm.oci.keys.cloud import CloudKey, CloudVersion, VaultKeys
from claviger.cckm.oci.vaults.records import OciVault
from claviger.core.errors import Conflict, Forbidden, NotFound, Refusal, Unavailable
from claviger.core.sensitive import Sensitive
from claviger.store.contract import Tx

KIND = "oci-key-"
"""How the kinds of intents begin."""
CREATE = "create"
TOKEN_S = 23 * 3600.0
"""So long after the first time a request with the same token may be sent again (OCI contract §2: 24 hours)."""
SKEW_S = 300.0
SETTLING_S = 600.0


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on one key of one vault. It is stored in the open, so it holds no key material.

    `key_id` is the record's id, of a key that is to be made the one that its record is to get; `version_id` is that of
    a version, of whatever is done to one. `ocid` and `version_ocid` are OCI's identifiers, empty for what is to be
    made. `details` is what OCI is told by the SDK's names, `before` what was recorded of the same. `known_ocids` were
    there already when something was to be made. `backup` is the place of a backup. `token` is OCI's retry token;
    `trail` is of the call that wanted it.
    """

    operation: str
    vault_id: str
    domain_id: str
    user_id: str
    name: str
    key_id: str
    ocid: str = ""
    version_id: str = ""
    version_ocid: str = ""
    details: dict[str, Any] = {}
    before: dict[str, Any] = {}
    known_ocids: tuple[str, ...] = ()
    days: int = 0
    deletes_at: float | None = None
    compartment_ocid: str = ""
    compartment_name: str | None = None
    backup: str = ""
    source_key_id: str = ""
    source_key_name: str = ""
    source_key_tier: str = ""
    token: str = ""
    begun_at: float = 0.0
    trail: Kept = Kept()

    @property
    def record(self) -> tuple[str, str]:
        """Kind and id of the record that it is about."""
        return ("oci-key-version", self.version_id) if self.version_id else ("oci-key", self.key_id)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What is so in the cloud now. `versions` are those that were looked at; with `is_all`, all that there are.

    `differs` says that somebody else has made it so, and not as it was wanted.
    """

    key: CloudKey | None = None
    versions: tuple[CloudVersion, ...] = ()
    is_all: bool = False
    differs: bool = False


class Material(msgspec.Struct, frozen=True):
    """Key material as OCI takes it, wrapped to the vault's key by an algorithm; opened just for the work."""

    wrapped: Sensitive | None = None
    algorithm: str = ""


class Doubt(msgspec.Struct, frozen=True):
    """Why the cloud is asked. `by_reading`: the token can no longer tell whether the request was done."""

    now: float
    by_reading: bool = False


class Saved(msgspec.Struct, frozen=True):
    """The record that an operation was about, and whether the cloud has what was wanted."""

    record_id: str
    as_wanted: bool = True


class Steps(Protocol):
    """What an act reports while it is under way."""

    def now(self) -> float:
        """The time, in epoch seconds."""
        ...

    async def keep_backup(self) -> None:
        """Notes that the backup lies in its place now. Raises Conflict("TakenOver") and what the database does."""
        ...

    async def reached(self, point: str) -> None:
        """Names a point at which a test may end the process."""
        ...


Act = Callable[[VaultKeys, Work, Material, Steps], Awaitable[Outcome]]
"""Does it. Every changing call is sent once; what it raises is judged by the execution."""
Ask = Callable[[VaultKeys, Work, Doubt], Awaitable["Outcome | None"]]
"""Finds out what happened without doing anything; None: nothing did. Raises Unavailable("CloudSettling")."""
Save = Callable[[Tx, OciVault, Work, Outcome, float], Saved]
"""Brings the records to what the outcome says, within the change that ends the intent."""


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of operation is done, asked after and saved.

    `again` says when it may be sent again though an earlier request may yet arrive: by `token`, for as long as OCI
    knows that; `always`, since twice is as good as once; or only once it was `asked` after for a while.
    """

    act: Act
    ask: Ask
    save: Save
    again: Literal["token", "always", "asked"] = "token"

    def may_repeat(self, work: Work, now: float) -> bool:
        """Whether sending it once more is safe by itself."""
        return self.again == "always" or (self.again == "token" and now < work.begun_at + TOKEN_S)


def code_of(refusal: Refusal) -> str:
    """OCI's own word for what is wrong."""
    return str(refusal.facts.get("code", ""))


def passed_on(refusal: Refusal) -> Refusal:
    """A cloud's refusal as callers get it: its 404 is no 404 of ours, which would say that there is no record."""
    if not isinstance(refusal, NotFound):
        return refusal
    message, code = refusal.facts.get("message"), code_of(refusal)
    if refusal.reason == "CloudHidden":  # a right may be missing (CCKM contract, OCI §12)
        return Forbidden("CloudRefused", message=message, code=code)
    return Conflict("CloudConflict", message=message, code=code)


def settling(what: str = "OCI is still changing the key's state") -> Unavailable:
    """What happened cannot be told yet."""
    return Unavailable("CloudSettling", message=what)


def undecided(refusal: Refusal) -> Unavailable:
    """A refusal of something that only comes after: it was done."""
    return Unavailable("CloudUndecided", message=refusal.facts.get("message", "OCI cannot be asked"))
