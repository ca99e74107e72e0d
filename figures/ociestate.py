"""Compares the whole estate of the embedded OCI with the model: what lists and reads show, what the database keeps."""

from __future__ import annotations

import random
from typing import Any, Protocol

from figures.ocidesk import OciDesk, code_of
from figures.ocimodel import Key, Model, Thing, Vault
from figures.ocioperations import prefix_of
from figures.ocisteps import moment, reading

DELETED_LOOKED_AT = 5
"""Of what is deleted, and of the keys in it, so many are looked at each time."""
Etags = dict[str, dict[str, tuple[int, str]]]
"""OCID -> etag -> the revision and the state that it stands for."""


class Counts(Protocol):
    """Where findings and comparisons go."""

    comparisons: int
    findings: list[tuple[str, str]]


async def compare_estate(desk: OciDesk, model: Model, report: Counts, dice: random.Random, *, etags: Etags) -> None:
    """Every vault, every key of a vault that is not deleted, every version of them; of what is deleted a few."""
    report.comparisons += 1
    comparison = _Comparison(desk, model, report, dice, etags)
    await comparison.of_vaults()
    living = [vault for vault in model.vaults if vault.own(model.now) != "DELETED"]
    ended = [vault for vault in model.vaults if vault.own(model.now) == "DELETED"]
    for vault in living:
        await comparison.of_vault(vault)
    for vault in dice.sample(ended, min(len(ended), DELETED_LOOKED_AT)):
        await comparison.of_ended(vault)


async def compare_material(desk: OciDesk, model: Model, report: Counts) -> None:
    """After a sweep: there is sealed material of exactly the versions that are not deleted."""
    rows = await desk.house.store.read("SELECT id FROM oci_key_versions WHERE sealed IS NOT NULL")
    kept = {str(row[0]) for row in rows}
    versions = [version for key in model.all_keys() for version in key.versions]
    right = {version.ident for version in versions if version.shown(model.now) != "DELETED"}
    for what, idents in (("destroyed early", right - kept), ("kept too long", kept - right)):
        report.findings += [("material", f"{what} at {model.now}: {ident}") for ident in sorted(idents)]


class _Comparison:
    def __init__(self, desk: OciDesk, model: Model, report: Counts, dice: random.Random, etags: Etags) -> None:
        self._desk = desk
        self._model = model
        self._report = report
        self._dice = dice
        self._etags = etags

    def _same(self, what: str, shown: object, right: object) -> None:
        if shown != right:
            told = f"{what} at {self._model.now} shows {shown!r} instead of {right!r}"
            self._report.findings.append(("estate", told))

    async def of_vaults(self) -> None:
        """ListVaults of every compartment, by time and by name."""
        now = self._model.now
        for compartment in self._desk.product.compartments.values():
            here = [vault for vault in self._model.vaults if vault.compartment == compartment]
            for by in ("TIMECREATED", "DISPLAYNAME"):
                listed = await self._desk.listed(
                    "ListVaults", limit=self._dice.choice((2, 7, 1000)), compartmentId=compartment, sortBy=by
                )
                shown = [(one["id"], one["lifecycleState"], one["displayName"], one["vaultType"]) for one in listed]
                right = [(one.ident, one.own(now), one.name, one.kind) for one in self._ordered(here, by)]
                self._same(f"ListVaults by {by}", shown, right)

    def _ordered(self, things: list[Any], by: str) -> list[Any]:
        """Newest first; or by name, the oldest of a name first (§2)."""
        if by == "TIMECREATED":
            return sorted(things, key=lambda one: -one.number)
        return sorted(things, key=lambda one: (one.name, one.number))

    async def of_vault(self, vault: Vault) -> None:
        """One that is not deleted."""
        await self._one(vault, vault.own(self._model.now), {"displayName": vault.name})
        prefix = prefix_of(vault.ident)
        usage = await self._desk.must("GetVaultUsage", vault.ident)
        self._same("GetVaultUsage", usage, self._model.usage(vault))
        for compartment in self._desk.product.compartments.values():
            here = [key for key in vault.keys if key.compartment == compartment]
            by, limit = self._dice.choice(("TIMECREATED", "DISPLAYNAME")), self._dice.choice((1, 3, 1000))
            listed = await self._desk.listed(
                "ListKeys", limit=limit, vault=prefix, compartmentId=compartment, sortBy=by
            )
            shown = [(one["id"], one["lifecycleState"], one["displayName"], one["algorithm"]) for one in listed]
            ordered = self._ordered(here, by)
            right = [(key.ident, key.shown(self._model.now), key.name, key.algorithm) for key in ordered]
            self._same(f"ListKeys by {by}", shown, right)
        ended = [key for key in vault.keys if key.shown(self._model.now) == "DELETED"]
        few = self._dice.sample(ended, min(len(ended), DELETED_LOOKED_AT))
        for key in [key for key in vault.keys if key not in ended] + few:
            await self._key(key)

    async def of_ended(self, vault: Vault) -> None:
        """One that is deleted: its hosts list nothing any more, and what was in it is shown as DELETED."""
        await self._one(vault, "DELETED", {})
        listing = await self._desk.ask(
            "ListKeys", vault=prefix_of(vault.ident), query={"compartmentId": vault.compartment}
        )
        self._same("ListKeys of a deleted vault", (listing.status, code_of(listing)), (404, "NotAuthorizedOrNotFound"))
        for key in self._dice.sample(vault.keys, min(len(vault.keys), DELETED_LOOKED_AT)):
            await self._key(key)

    async def _key(self, key: Key) -> None:
        now = self._model.now
        fixed = {"displayName": key.name, "compartmentId": key.compartment, "currentKeyVersion": key.current.ident}
        await self._one(key, key.shown(now), {**fixed, "protectionMode": key.mode})
        listed = await self._desk.listed("ListKeyVersions", key.ident, vault=prefix_of(key.ident), limit=3)
        shown = [(one["id"], one["lifecycleState"], one["timeOfDeletion"]) for one in listed]
        right = [(one.ident, one.shown(now), _date(one)) for one in reversed(key.versions)]
        self._same("ListKeyVersions", shown, right)
        version = self._dice.choice(key.versions)
        await self._one(version, version.shown(now), {"origin": "INTERNAL", "isAutoRotated": False})

    async def _one(self, thing: Thing, state: str, fields: dict[str, object]) -> None:
        """One read of one thing, and its etag: the same as long as nothing changes, and another one afterwards."""
        name, idents, vault = reading(thing)
        answer = await self._desk.ask(name, *idents, vault=vault, quickly=self._dice.random() < 0.5)
        if answer.status != 200:
            self._same(name, (answer.status, answer.body[:200]), 200)
            return
        told = answer.json()
        right = {"lifecycleState": state, "timeOfDeletion": _date(thing), **fields}
        self._same(name, {field: told[field] for field in right}, right)
        known = self._etags.setdefault(thing.ident, {})
        mark, etag = (thing.revision, state), answer.headers["etag"]
        if known.setdefault(etag, mark) != mark or sum(other == mark for other in known.values()) > 1:
            found = f"{name} at {self._model.now}: {etag} for {mark}, known {known}"
            self._report.findings.append(("etag", found))


def _date(thing: Thing) -> str | None:
    return None if thing.deletes_at is None else moment(thing.deletes_at)
