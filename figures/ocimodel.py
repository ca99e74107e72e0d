"""A model of OCI's vaults, keys and versions, small and by itself: what each call must answer, and what is there then.

Written from the contract alone (§3 to §5, §8, §9), with no code of the product; time and choices are arguments. A
method that stands for a call answers what is `Expected` of it and changes the model as the call changes the cloud; what
a call makes is given its OCID afterwards. Times are whole epoch seconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

DAY_S = 86_400
LEAST_S, MOST_S, TOLERANCE_S = 7 * DAY_S, 30 * DAY_S, 60
LIVE = frozenset({"ACTIVE", "UPDATING", "BACKUP_IN_PROGRESS"})
"""States of a vault in which its keys can be used."""


@dataclass(frozen=True)
class Expected:
    """What a call is answered with. `shows` is the state in the body, None where the body has none."""

    status: int = 200
    code: str = ""
    shows: str | None = None
    deletes_at: int | None = None


GONE = Expected(404, "NotAuthorizedOrNotFound")
WRONG_STATE = Expected(409, "IncorrectState")
CONFLICT = Expected(409, "Conflict")
WRONG_VALUE = Expected(400, "InvalidParameter")
FINE = Expected()


@dataclass(kw_only=True)
class Thing:
    """What has a life: a state that stays, and one that passes. `revision` counts the changes."""

    number: int
    ident: str = ""
    state: str
    passing: str = ""
    until: int = 0
    deletes_at: int | None = None
    revision: int = 0

    def own(self, now: int) -> str:
        """The state that it shows, whatever it lies in."""
        if self.passing and now < self.until:
            return self.passing
        due = self.state == "PENDING_DELETION" and self.deletes_at is not None and self.deletes_at <= now
        return "DELETED" if due else self.state

    def shown(self, now: int) -> str:
        """The state that it shows, with what it lies in."""
        return self.own(now)

    def change(self, now: int, settle_s: int, passing: str, state: str | None = None) -> None:
        """Moves to a state, through a passing one."""
        self.state = state or self.state
        self.passing, self.until = passing, now + settle_s
        self.revision += 1


@dataclass(kw_only=True)
class Vault(Thing):
    """A vault with its keys, oldest first."""

    compartment: str
    name: str
    kind: str
    keys: list[Key] = field(default_factory=list)


@dataclass(kw_only=True)
class Key(Thing):
    """A key with its versions, oldest first; the last one is the current one."""

    vault: Vault
    compartment: str
    name: str
    algorithm: str
    mode: str
    previous: str = ""
    by_vault: bool = False
    versions: list[Version] = field(default_factory=list)

    @property
    def current(self) -> Version:
        """The version that is used where none is named."""
        return self.versions[-1]

    def shown(self, now: int) -> str:
        """A key of a deleted vault is deleted."""
        return "DELETED" if self.vault.own(now) == "DELETED" else self.own(now)


@dataclass(kw_only=True)
class Version(Thing):
    """One version of a key."""

    key: Key

    def shown(self, now: int) -> str:
        """A version of a deleted key is deleted."""
        return "DELETED" if self.key.shown(now) == "DELETED" else self.own(now)


class Model:
    """The whole estate. `settle_s` is how long passing states last that begin from now on."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.settle_s = 0
        self.vaults: list[Vault] = []
        self._numbers = itertools.count()

    def all_keys(self) -> Iterator[Key]:
        """All of them."""
        return (key for vault in self.vaults for key in vault.keys)

    def _date(self, asked: int | None) -> int | None:
        """When something is deleted of which that is asked; None for a date outside the window (§8.2)."""
        if asked is None:
            return self.now + MOST_S
        is_in = self.now + LEAST_S - TOLERANCE_S <= asked <= self.now + MOST_S + TOLERANCE_S
        return asked if is_in else None

    # ------------------------------------------------------------------ vaults

    def create_vault(self, compartment: str, name: str, kind: str) -> tuple[Expected, Vault]:
        """CreateVault."""
        vault = Vault(number=next(self._numbers), state="ACTIVE", compartment=compartment, name=name, kind=kind)
        vault.change(self.now, self.settle_s, "CREATING")
        self.vaults.append(vault)
        return Expected(shows="CREATING"), vault

    def update_vault(self, vault: Vault, name: str) -> Expected:
        """UpdateVault: in ACTIVE or CREATING only."""
        shown = vault.own(self.now)
        if shown not in ("ACTIVE", "CREATING"):
            return WRONG_STATE
        vault.name = name
        vault.revision += 1
        return Expected(shows=shown)

    def schedule_vault(self, vault: Vault, asked: int | None) -> Expected:
        """ScheduleVaultDeletion, with all keys that are not scheduled yet (§8.4)."""
        if vault.own(self.now) != "ACTIVE":
            return WRONG_STATE
        at = self._date(asked)
        if at is None:
            return WRONG_VALUE
        own = [key.deletes_at for key in vault.keys if key.state == "PENDING_DELETION" and not key.by_vault]
        if any(date is not None and date > at for date in own):
            return CONFLICT
        for key in vault.keys:
            if key.state in ("ENABLED", "DISABLED"):
                key.previous, key.by_vault, key.deletes_at = key.state, True, at
                key.change(self.now, self.settle_s, "SCHEDULING_DELETION", "PENDING_DELETION")
        vault.deletes_at = at
        vault.change(self.now, self.settle_s, "SCHEDULING_DELETION", "PENDING_DELETION")
        return Expected(shows="SCHEDULING_DELETION", deletes_at=at)

    def cancel_vault(self, vault: Vault) -> Expected:
        """CancelVaultDeletion: ACTIVE at once; the keys that were pulled along come back as they were (§8.3)."""
        if vault.own(self.now) != "PENDING_DELETION":
            return WRONG_STATE
        for key in vault.keys:
            if key.by_vault:
                self._bring_back(key)
        vault.deletes_at = None
        vault.change(self.now, 0, "", "ACTIVE")
        return Expected(shows="ACTIVE")

    def move_vault(self, vault: Vault, compartment: str) -> Expected:
        """ChangeVaultCompartment; its keys stay where they are."""
        if vault.own(self.now) != "ACTIVE":
            return WRONG_STATE
        vault.compartment = compartment
        vault.change(self.now, self.settle_s, "UPDATING")
        return FINE

    # ------------------------------------------------------------------ keys

    def create_key(
        self, vault: Vault, compartment: str, name: str, algorithm: str, mode: str, *, is_shaped: bool = True
    ) -> tuple[Expected, Key | None]:
        """CreateKey; `is_shaped` False has a shape that there is not."""
        shown = vault.own(self.now)
        if shown != "ACTIVE" or not is_shaped:
            return {"DELETED": GONE, "ACTIVE": WRONG_VALUE}.get(shown, WRONG_STATE), None
        given = {"vault": vault, "compartment": compartment, "name": name, "algorithm": algorithm, "mode": mode}
        key = Key(number=next(self._numbers), state="ENABLED", **given)  # type: ignore[arg-type]  # all by their names
        key.change(self.now, self.settle_s, "CREATING")
        self._add_version(key)
        vault.keys.append(key)
        return Expected(shows="CREATING"), key

    def _add_version(self, key: Key) -> Version:
        version = Version(number=next(self._numbers), state="ENABLED", key=key)
        version.change(self.now, self.settle_s, "CREATING")
        key.versions.append(version)
        return version

    def _refused(self, key: Key, *allowed: str) -> Expected | None:
        """Why a key cannot be changed now: its vault must be ACTIVE, itself in one of the allowed states (§8.5)."""
        fits = key.vault.own(self.now) == "ACTIVE" and key.shown(self.now) in allowed
        return None if fits else WRONG_STATE

    def update_key(self, key: Key, name: str) -> Expected:
        """UpdateKey; an empty name is none."""
        refused = self._refused(key, "ENABLED", "CREATING")
        if refused or not name:
            return refused or WRONG_VALUE
        key.name = name
        key.revision += 1
        return Expected(shows=key.shown(self.now))

    def enable_key(self, key: Key) -> Expected:
        """EnableKey."""
        return self._switch(key, "DISABLED", "ENABLING", "ENABLED")

    def disable_key(self, key: Key) -> Expected:
        """DisableKey."""
        return self._switch(key, "ENABLED", "DISABLING", "DISABLED")

    def _switch(self, key: Key, of: str, passing: str, to: str) -> Expected:
        refused = self._refused(key, of)
        if refused:
            return refused
        key.change(self.now, self.settle_s, passing, to)
        return Expected(shows=passing)

    def schedule_key(self, key: Key, asked: int | None) -> Expected:
        """ScheduleKeyDeletion: the state before is remembered."""
        refused = self._refused(key, "ENABLED", "DISABLED")
        at = self._date(asked)
        if refused or at is None:
            return refused or WRONG_VALUE
        key.previous, key.by_vault, key.deletes_at = key.state, False, at
        key.change(self.now, self.settle_s, "SCHEDULING_DELETION", "PENDING_DELETION")
        return Expected(shows="SCHEDULING_DELETION", deletes_at=at)

    def cancel_key(self, key: Key) -> Expected:
        """CancelKeyDeletion; never while the vault waits for its own (§8.3)."""
        refused = self._refused(key, "PENDING_DELETION")
        if refused:
            return refused
        self._bring_back(key)
        return Expected(shows="CANCELLING_DELETION")

    def _bring_back(self, key: Key) -> None:
        state, key.previous, key.by_vault, key.deletes_at = key.previous, "", False, None
        key.change(self.now, self.settle_s, "CANCELLING_DELETION", state)

    def move_key(self, key: Key, compartment: str) -> Expected:
        """ChangeKeyCompartment."""
        refused = self._refused(key, "ENABLED", "DISABLED")
        if refused:
            return refused
        key.compartment = compartment
        key.change(self.now, self.settle_s, "UPDATING")
        return FINE

    # ------------------------------------------------------------------ versions

    def rotate(self, key: Key) -> tuple[Expected, Version | None]:
        """CreateKeyVersion: the new version is the current one."""
        refused = self._refused(key, "ENABLED")
        if refused:
            return refused, None
        key.revision += 1
        return Expected(shows="CREATING"), self._add_version(key)

    def schedule_version(self, version: Version, asked: int | None) -> Expected:
        """ScheduleKeyVersionDeletion: never of the current one (§5)."""
        refused = self._refused(version.key, "ENABLED", "DISABLED")
        if refused or version is version.key.current or version.shown(self.now) != "ENABLED":
            return WRONG_STATE
        at = self._date(asked)
        if at is None:
            return WRONG_VALUE
        version.deletes_at = at
        version.change(self.now, self.settle_s, "SCHEDULING_DELETION", "PENDING_DELETION")
        return Expected(shows="SCHEDULING_DELETION", deletes_at=at)

    def cancel_version(self, version: Version) -> Expected:
        """CancelKeyVersionDeletion."""
        refused = self._refused(version.key, "ENABLED", "DISABLED")
        if refused or version.shown(self.now) != "PENDING_DELETION":
            return WRONG_STATE
        version.deletes_at = None
        version.change(self.now, self.settle_s, "CANCELLING_DELETION", "ENABLED")
        return Expected(shows="CANCELLING_DELETION")

    # ------------------------------------------------------------------ use

    def use(self, key: Key, version: Version | None, algorithm: str, *, opens: bool = True) -> Expected:
        """A call of the crypto plane that wants a key of this algorithm (§9).

        `version` None is the current one. `opens` False is for a ciphertext that does not open; where that is because
        it names another key's version, no version's state matters.
        """
        shown = key.shown(self.now)
        if shown == "DELETED":
            return GONE
        if key.vault.own(self.now) not in LIVE or shown != "ENABLED":
            return WRONG_STATE
        used = version or key.current
        if used.key is not key:
            return WRONG_VALUE
        if used.shown(self.now) not in ("ENABLED", "CREATING"):  # a rotation interrupts nobody (§8.5)
            return GONE if used.shown(self.now) == "DELETED" else WRONG_STATE
        return FINE if key.algorithm == algorithm and opens else WRONG_VALUE

    def usage(self, vault: Vault) -> dict[str, int]:
        """GetVaultUsage: what is deleted is not counted, what waits for it is (§6.2)."""
        told = dict.fromkeys(("keyCount", "keyVersionCount", "softwareKeyCount", "softwareKeyVersionCount"), 0)
        for key in vault.keys:
            if key.shown(self.now) != "DELETED":
                kind = "key" if key.mode == "HSM" else "softwareKey"
                told[f"{kind}Count"] += 1
                told[f"{kind}VersionCount"] += sum(version.shown(self.now) != "DELETED" for version in key.versions)
        return told

    def dates(self, wanted: Callable[[int], bool]) -> list[int]:
        """All dates of deletion that are `wanted`."""
        things: list[Thing] = [*self.vaults, *self.all_keys()]
        things += [version for key in self.all_keys() for version in key.versions]
        return sorted({each.deletes_at for each in things if each.deletes_at is not None and wanted(each.deletes_at)})
