"""The trial of states: every cell of state and operation of the embedded OCI is brought about and asserted.

The tables are `figures.ocistatetables`, written from the contract by hand; `figures.ociscenes` brings a thing into each
state over the wire. A cell that refuses must do so with its code and leave the thing as it was, etag and all; one that
succeeds must show the state that the contract says, settle where the contract says, and have a new etag. Everything is
asked while transitional states last, and, of the states that stay, once more where they are gone at once; what is
deleted is asked before the sweeper has come by and after.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from figures.answers import Answer
from figures.databases import Database, Reports, on_each
from figures.findings import Findings
from figures.ociasked import Around, asked, looked
from figures.ocidesk import MANAGER, OciDesk, OciProduct, Unexpected, code_of
from figures.ocioperations import OPERATIONS
from figures.ociscenes import AES, BUCKET, ECDSA, SETTLE_S, Scene, Stage
from figures.ocistatetables import NEVER_AFTER_SCHEDULING, SHOWS, TABLES, Cell

NAME = "ocistates"
SIZE, QUICK_SIZE = 2, 1
"""How often each cell is asserted, each time in another order."""
KINDS = ("status", "code", "shown", "settled", "etag", "changed by what was refused", "not brought about")
BY_ECDSA = frozenset({"Sign", "Verify"})
NEEDS_HSM = frozenset({"BACKUP_IN_PROGRESS", "RESTORING"})
STAYS = frozenset({"ENABLED", "DISABLED", "ACTIVE", "PENDING_DELETION", "DELETED", "current", "old"}) | {
    *("CURRENT", "PREVIOUS", "PENDING", "DEPRECATED"),
}
"""States that there are where nothing takes its time."""
WAY = (
    *("CREATING", "ACTIVE", "UPDATING", "BACKUP_IN_PROGRESS", "SCHEDULING_DELETION", "PENDING_DELETION", "DELETED"),
    "RESTORING",
)
"""The states that one vault goes through, one after the other."""
SHOWN_BY = {
    "key": ("GetKey", "ListKeys"),
    "version": ("GetKeyVersion",),
    "vault": ("GetVault", "ListVaults"),
    "secret": ("GetSecret", "ListSecrets"),
}
"""The reads that show the state of what a table is about."""
WRAPPED = frozenset({"ImportKey", "ImportKeyVersion", "GetWrappingKey"})
"""What needs a vault's wrapping key, which takes long to make: it is made only where transitional states last."""
_WIRE = {"current": "ENABLED", "old": "ENABLED"}

Make = Callable[[str, str], Awaitable[Scene]]
"""A scene in a state, for operations of a sort."""


@dataclass
class StatesReport(Findings):
    """How the cells were."""

    seed: int
    database: str
    cells: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, object]:
        """For the report."""
        return {
            "seed": self.seed,
            "cells": dict(self.cells),
            "found": {kind: self.count(kind) for kind in KINDS},
            "findings": self.findings[:50],
        }

    def table(self) -> str:
        """Counts, a line each."""
        told = ", ".join(f"of a {kind} {count}" for kind, count in self.cells.items())
        within = f"in {self.cells.total()} cells (seed {self.seed})"
        lines = [
            f"{NAME}: cells of state and operation on {self.database}: {told}",
            *(f"  {kind:<29} {self.count(kind)} found {within}" for kind in KINDS),
        ]
        return "\n".join([*lines, *(f"  ! {kind}: {detail[:400]}" for kind, detail in self.findings[:10])])


def run(folder: Path, times: int, seed: int) -> Reports:
    """Every cell so many times, on each kind of database."""
    return on_each(lambda database: asyncio.run(run_on(database, folder, times, seed)))


async def run_on(database: Database, folder: Path, times: int, seed: int, share: float = 1.0) -> StatesReport:
    """The same on one, below `folder`; with a `share` below 1 only so many of the cells, by chance."""
    report = StatesReport(seed, database.kind)
    product = OciProduct(folder / f"{NAME}-{database.kind.lower()}", database)
    for number in range(times):
        for settle_s in (SETTLE_S, 0):
            product.settle_s = settle_s
            async with product.running() as desk:
                dice = random.Random(f"{seed}/{number}/{settle_s}")
                await Trial(desk, report, dice, share, passing=settle_s > 0).run()
    return report


class Trial:
    """All cells once. `passing` says whether transitional states last."""

    def __init__(
        self, desk: OciDesk, report: StatesReport, dice: random.Random, share: float, *, passing: bool
    ) -> None:
        self._desk = desk
        self._report = report
        self._dice = dice
        self._share = share
        self._passing = passing
        self._stage = Stage(desk)
        self._vault = Scene("")
        pem = desk.product.signers[MANAGER].public_pem
        self._around = Around(self._stage.production, self._stage.staging, self._stage.place("spare"), pem)

    async def run(self) -> None:
        """Every table."""
        stage, product = self._stage, self._desk.product
        bucket = {"name": BUCKET, "compartmentId": stage.production}
        await self._desk.ask("CreateBucket", product.namespace, body=bucket)  # there from the second time on
        self._vault = await stage.vault()
        stage.settled()
        await stage.filled(self._vault)

        async def secret(state: str, _: str) -> Scene:
            return await stage.secret_in(state, self._vault)

        async def secret_version(state: str, _: str) -> Scene:
            return await stage.secret_version_in(state, self._vault)

        makes = {"key": self._key, "version": self._version, "secret": secret, "secret version": secret_version}
        for kind, make in makes.items():
            await self._assert_table(kind, make)
        await self._assert_vaults()

    # ------------------------------------------------------------------ making

    async def _key(self, state: str, sort: str) -> Scene:
        shape, mode = (ECDSA if sort == "ECDSA" else AES), ("SOFTWARE" if sort == "SOFTWARE" else "HSM")
        disabled = state in ("PENDING_DELETION", "CANCELLING_DELETION") and self._dice.random() < 0.5
        return await self._stage.key_in(state, vault=self._vault, shape=shape, mode=mode, disabled=disabled)

    async def _version(self, state: str, sort: str) -> Scene:
        return await self._stage.version_in(state, vault=self._vault, shape=ECDSA if sort == "ECDSA" else AES)

    async def _wrap(self, vault: Scene) -> None:
        """Wraps material to the vault's wrapping key, as a client does that imports an AES key (§7.2)."""
        told = await self._desk.must("GetWrappingKey", vault=vault.prefix)
        public = load_pem_public_key(told["publicKey"].encode())
        assert isinstance(public, RSAPublicKey)
        wrapped = public.encrypt(os.urandom(32), OAEP(MGF1(SHA256()), SHA256(), None))
        self._around = replace(self._around, wrapped=base64.b64encode(wrapped).decode())

    @staticmethod
    def _sort(cell: Cell) -> str:
        """Which kind of key the operation of a cell wants."""
        if cell.operation in BY_ECDSA:
            return "ECDSA"
        return "SOFTWARE" if cell.operation == "ExportKey" and cell.state not in NEEDS_HSM else "HSM"

    # ------------------------------------------------------------------ asserting

    def _of(self, kind: str) -> dict[str, list[Cell]]:
        """The cells of a table by state, of the states that there are, in any order."""
        found: dict[str, list[Cell]] = {}
        for cell in self._dice.sample(TABLES[kind], round(self._share * len(TABLES[kind]))):
            at_once = cell.state in STAYS and not (cell.status == 200 and cell.operation in WRAPPED)
            if self._passing or at_once:
                found.setdefault(cell.state, []).append(cell)
        return found

    async def _assert_table(self, kind: str, make: Make) -> None:
        """Each accepted change on a thing of its own; all else in a state on one thing: nothing moves it."""
        for state, cells in self._of(kind).items():
            own = [cell for cell in cells if cell.status == 200 and cell.operation in SHOWS]
            try:
                for sort in sorted({self._sort(cell) for cell in cells}):
                    shared = [cell for cell in cells if cell not in own and self._sort(cell) == sort]
                    scene = await make(state, sort) if shared else Scene("")
                    for cell in shared:
                        await self._assert(kind, cell, scene)
                    if state == "DELETED":
                        await self._desk.sweep()
                        for cell in shared:
                            await self._assert(kind, cell, scene)
                for cell in own:
                    await self._assert(kind, cell, await make(state, self._sort(cell)))
            except Unexpected as problem:
                self._report.findings.append(("not brought about", f"{state} ({kind}): {problem}"))

    async def _assert_vaults(self) -> None:
        """One vault goes through all states; each accepted change of a vault on one of its own."""
        stage, by_state = self._stage, self._of("vault")
        if not by_state:
            return
        for state, cells in by_state.items():
            for cell in cells:
                if _is_change_of_vault(cell):
                    scene = await stage.vault()
                    if state != "CREATING":
                        stage.settled()
                        await stage.vault_to(scene, state)
                    await self._assert("vault", cell, scene)
        scene = await stage.vault()
        for state in WAY:
            await self._take(scene, state)
            here = [cell for cell in by_state.get(state, ()) if not _is_change_of_vault(cell)]
            for cell in here:
                await self._assert("vault", cell, await self._part(scene, cell))
            if state == "DELETED":
                await self._desk.sweep()
                for cell in here:
                    await self._assert("vault", cell, await self._part(scene, cell))

    async def _take(self, scene: Scene, state: str) -> None:
        """Takes the vault from one state of the way to the next."""
        if state == "ACTIVE":
            self._stage.settled()
            await self._stage.filled(scene)
        elif state == "DELETED" or (state == "PENDING_DELETION" and self._passing):
            self._stage.settled(days=30 if state == "DELETED" else 0)
        elif state != "CREATING" and (self._passing or state == "PENDING_DELETION"):
            if state in ("UPDATING", "BACKUP_IN_PROGRESS", "SCHEDULING_DELETION"):
                self._stage.settled()
            await self._stage.vault_to(scene, state)

    async def _part(self, scene: Scene, cell: Cell) -> Scene:
        """What of the vault an operation is tried on; a fresh one, where it is going to be changed."""
        name = cell.operation
        if cell.status != 200 or name not in SHOWS or name in ("CreateKey", "CreateSecret"):
            return replace(scene.others[name], others={}) if name in scene.others else scene
        if OPERATIONS[name].plane == "secrets":
            return await self._stage.secret_in("ACTIVE", scene)
        state = {"EnableKey": "DISABLED", "CancelKeyDeletion": "PENDING_DELETION"}.get(name, "ENABLED")
        return await self._stage.key_in(state, vault=scene)

    async def _assert(self, kind: str, cell: Cell, scene: Scene) -> None:
        """Asks, and compares with the cell."""
        self._report.cells[kind] += 1
        if cell.status == 200 and cell.operation in ("ImportKey", "ImportKeyVersion"):
            await self._wrap(scene)
        before = await self._look(cell, scene)
        names_version = kind == "version"
        if kind == "vault" and cell.operation == "CreateSecret":
            scene = replace(scene, secret_name=f"s-{self._dice.getrandbits(64):x}")
        request = asked(cell.operation, scene, self._around, names_version=names_version)
        answer = await self._desk.ask(
            cell.operation,
            *request.idents,
            body=request.body,
            query=request.query,
            vault=request.vault,
            quickly=self._dice.random() < 0.5,
        )
        if answer.status != cell.status:
            self._found("status", kind, cell, f"{answer.status} {answer.body[:200]!r}")
            return
        if code_of(answer) != cell.code:
            self._found("code", kind, cell, code_of(answer))
        if cell.status == 200 and cell.operation in SHOWS:
            await self._assert_change(kind, cell, scene, before, answer)
            return
        after = await self._look(cell, scene)
        if (after.body, after.headers.get("etag")) != (before.body, before.headers.get("etag")):
            self._found("changed by what was refused", kind, cell, f"{before.body!r} {after.body!r}")
        if cell.status == 200 and cell.operation in SHOWN_BY.get(kind, ()):
            told = _shown_in(answer, cell, scene)
            if told != _WIRE.get(cell.state, cell.state):
                self._found("shown", kind, cell, f"{told}")

    async def _assert_change(self, kind: str, cell: Cell, scene: Scene, before: Answer, answer: Answer) -> None:
        """What an accepted change shows, and where that settles."""
        at_once, settles = SHOWS[cell.operation]
        made = self._made(cell, scene, answer)
        after = await self._look(cell, scene)
        state = state_of(before)
        rests = {"CREATING": "ACTIVE" if cell.operation == "UpdateVault" else "ENABLED"}.get(state, state)
        if cell.operation == "CancelKeyDeletion":
            rests = scene.remembered
        expected = at_once or state
        shown = state_of(answer) if answer.body else state_of(after) if self._passing else expected
        if shown != expected:
            self._found("shown", kind, cell, f"{shown} instead of {expected}")
        if "Schedule" in cell.operation and shown in NEVER_AFTER_SCHEDULING:
            self._found("shown", kind, cell, f"{shown} after scheduling")
        new = (after.headers.get("etag"), answer.headers.get("etag"))
        if made is None and before.headers.get("etag") in new:
            self._found("etag", kind, cell, "did not change")
        self._stage.settled()
        settled = await self._desk.ask(*made[:1], *made[1], vault=made[2]) if made else await self._look(cell, scene)
        if state_of(settled) != (settles or rests):
            self._found("settled", kind, cell, f"in {state_of(settled)} instead of {settles or rests}")
        date = None if not settled.body else settled.json().get("timeOfDeletion")
        waits = state_of(settled) == "PENDING_DELETION" or cell.operation == "ScheduleSecretVersionDeletion"
        if (date is not None) != waits:
            self._found("settled", kind, cell, f"in {state_of(settled)!r} with timeOfDeletion {date}")

    @staticmethod
    def _made(cell: Cell, scene: Scene, answer: Answer) -> tuple[str, tuple[str, ...], str] | None:
        """How to read what an operation has made; None where it made nothing."""
        if cell.operation in ("CreateKey", "ImportKey"):
            return "GetKey", (answer.json()["id"],), scene.prefix
        if cell.operation in ("CreateKeyVersion", "ImportKeyVersion"):
            return "GetKeyVersion", (scene.key, answer.json()["id"]), scene.prefix
        return ("GetSecret", (answer.json()["id"],), "") if cell.operation == "CreateSecret" else None

    async def _look(self, cell: Cell, scene: Scene) -> Answer:
        name, idents, vault = looked(cell.operation, scene)
        return await self._desk.ask(name, *idents, vault=vault)

    def _found(self, what: str, kind: str, cell: Cell, detail: str) -> None:
        told = f"{cell.operation} in {cell.state} ({kind}, {'slow' if self._passing else 'at once'}): {detail}"
        self._report.findings.append((what, told))


def _is_change_of_vault(cell: Cell) -> bool:
    return cell.status == 200 and cell.operation in SHOWS and OPERATIONS[cell.operation].plane == "control"


def state_of(answer: Answer) -> str:
    """The state that an answer shows; empty where it shows none."""
    if answer.status != 200 or not answer.body:
        return ""
    told = answer.json()
    return str(told.get("lifecycleState", "")) if isinstance(told, dict) else ""


def _shown_in(answer: Answer, cell: Cell, scene: Scene) -> str | None:
    """The state that a read shows of the scene's own thing; None where a list does not have it."""
    idents = {"ListKeys": scene.key, "ListVaults": scene.vault_id, "ListSecrets": scene.secret}
    if cell.operation in idents:
        return next((each["lifecycleState"] for each in answer.json() if each["id"] == idents[cell.operation]), None)
    return state_of(answer)
