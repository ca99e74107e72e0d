"""What a client knows of its vault in OCI: what was acknowledged, and the one change that was under way.

Pure, and apart from the product: what a change does is told by `figures.ocimodel`. `judge` compares what a server shows
after a crash with the journal as it was before the change that nobody answered and as it is with that done; nothing
else may be there, and no half of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from figures.ocimodel import DAY_S, Expected, Key, Model, Vault, Version

MOST_KEYS, MOST_VERSIONS, MOST_SECRETS, MOST_CONTENTS = 5, 6, 3, 8


class Known(Protocol):
    """What has an OCID, which is empty until it was told."""

    ident: str


@dataclass
class Secret:
    """A secret with its contents, oldest first. Its OCID is unknown until it was told."""

    name: str
    key: int
    contents: list[str]
    state: str = "ACTIVE"
    deletes_at: int | None = None
    ident: str = ""


@dataclass(frozen=True)
class KeySeen:
    """A key as a server shows it; `versions` are OCID, state and date, the newest first."""

    state: str
    compartment: str
    name: str
    deletes_at: str | None
    current: str
    versions: tuple[tuple[str, str, str | None], ...]


@dataclass(frozen=True)
class SecretSeen:
    """A secret as a server shows it; `contents` by number, None where they are out of reach."""

    name: str
    state: str
    deletes_at: str | None
    count: int
    contents: tuple[str, ...] | None


@dataclass(frozen=True)
class Seen:
    """A vault and all that is in it, by OCID. Without an OCID there is no vault."""

    ident: str = ""
    state: str = ""
    compartment: str = ""
    name: str = ""
    deletes_at: str | None = None
    keys: Mapping[str, KeySeen] = field(default_factory=dict)
    secrets: Mapping[str, SecretSeen] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """The journal that what was seen amounts to; `finding` says what is wrong: lost, or half-written."""

    journal: Journal
    finding: str = ""
    detail: str = ""


class Journal:
    """One vault, its keys and its secrets. Copied before each change."""

    def __init__(self, now: int, compartments: tuple[str, ...]) -> None:
        self.model = Model(now)
        self.compartments = compartments
        self.secrets: list[Secret] = []

    @property
    def vault(self) -> Vault | None:
        """The vault, once it was made."""
        return self.model.vaults[0] if self.model.vaults else None

    def key(self, number: int) -> Key:
        """A key by its number, which all copies of a journal have in common."""
        return next(key for key in self.model.all_keys() if key.number == number)

    def version(self, number: int) -> Version:
        """A version by its number."""
        return next(one for key in self.model.all_keys() for one in key.versions if one.number == number)

    def seen(self) -> Seen:
        """What a server shows that stands where the journal does."""
        vault, now = self.vault, self.model.now
        if vault is None:
            return Seen()
        keys = {
            key.ident: KeySeen(
                key.shown(now),
                key.compartment,
                key.name,
                moment(key.deletes_at),
                key.current.ident,
                tuple((one.ident, one.shown(now), moment(one.deletes_at)) for one in reversed(key.versions)),
            )
            for key in vault.keys
        }
        secrets = {one.ident: self._secret_seen(one) for one in self.secrets}
        place = vault.ident, vault.own(now), vault.compartment, vault.name, moment(vault.deletes_at)
        return Seen(*place, keys, secrets)

    def _secret_seen(self, secret: Secret) -> SecretSeen:
        vault = self.vault
        is_open = vault is not None and vault.own(self.model.now) == "ACTIVE"
        is_open = is_open and self.key(secret.key).shown(self.model.now) == "ENABLED" and secret.state == "ACTIVE"
        contents = tuple(secret.contents) if is_open else None
        return SecretSeen(secret.name, secret.state, moment(secret.deletes_at), len(secret.contents), contents)

    def take_idents(self, seen: Seen) -> bool:
        """Gives what has no OCID yet the one that is new in `seen`; whether there is exactly one for it."""
        vault = self.vault
        if vault is None:
            return True
        vault.ident = vault.ident or seen.ident
        pairs: tuple[tuple[Sequence[Known], Mapping[str, object]], ...] = (
            (vault.keys, seen.keys),
            (self.secrets, seen.secrets),
        )
        for things, shown in pairs:
            fresh = set(shown) - {thing.ident for thing in things}
            for thing in things:
                if not thing.ident:
                    if len(fresh) != 1:
                        return False
                    thing.ident = fresh.pop()
        for key in vault.keys:
            if not key.current.ident and key.ident in seen.keys:
                key.current.ident = seen.keys[key.ident].current
        return True


@dataclass(frozen=True)
class Change:
    """One call. `apply` does to a journal what the call does to the cloud; `name` and the rest are the request."""

    name: str
    idents: tuple[str, ...]
    body: Mapping[str, Any] | None
    vault: str
    apply: Callable[[Journal], Expected]


def judge(before: Journal, after: Journal | None, seen: Seen) -> Verdict:
    """Whether `seen` is what was acknowledged, or that with the change under way done in full."""
    for allowed in (before, after):
        if allowed is None:
            continue
        settled = deepcopy(allowed)
        if settled.take_idents(seen) and settled.seen() == seen:
            return Verdict(settled)
    acknowledged = before.seen()
    known = {*acknowledged.keys, *acknowledged.secrets, acknowledged.ident}
    gone = known - {*seen.keys, *seen.secrets, seen.ident}
    finding = "lost" if gone or after is None else "half-written"
    told = {"before": repr(acknowledged), "after": after and repr(after.seen()), "seen": repr(seen)}
    return Verdict(before, finding, json.dumps(told))


def moment(at: int | None) -> str | None:
    """A time as the wire shows it (§2)."""
    return None if at is None else f"{datetime.fromtimestamp(at, UTC).isoformat()[:19]}.000Z"


def is_full(journal: Journal) -> bool:
    """Whether the vault holds as much as is looked at in fair time."""
    vault = journal.vault
    return vault is not None and sum(len(key.versions) for key in vault.keys) >= MOST_KEYS * MOST_VERSIONS * 2 // 3


LATER_S = 12 * DAY_S
"""How far ahead deletions are asked for, at least: no date comes while the trial runs."""
