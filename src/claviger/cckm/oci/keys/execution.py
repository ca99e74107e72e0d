"""One operation under way, from its committed intent to its outcome: done at once, or taken up after a crash.

`do` acts first, and asks where the answer leaves in doubt what happened. `finish` asks first, and acts only if nothing
happened (docs/decisions/0007-durable-operations.md). Unlike Azure, OCI knows a request again by its token: what is in
doubt is sent once more, at once, where that is safe. Outcome, record and the end of the intent are one transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from claviger.audit.trail import DONE, about, silently, staged, turn_down
from claviger.cckm.errors import kind_of
from claviger.cckm.execution import (
    ACT_LIMIT_S,
    ASK_LIMIT_S,
    UNDECIDED,
    asked_in_time,
    left_open,
    write_given_up,
)
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.oci.connections.cloud import OciClouds
from claviger.cckm.oci.keys import announcing, conclusions
from claviger.cckm.oci.keys.cloud import VaultKeys
from claviger.cckm.oci.keys.work import KIND as KINDS
from claviger.cckm.oci.keys.work import SETTLING_S, Doubt, Material, Outcome, Saved, Trade, Work, code_of, passed_on
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.sealed import Safe
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, Unavailable
from claviger.jobs.intents import Intents
from claviger.jobs.records import Intent
from claviger.store.contract import Store, Tx
from claviger.switches.board import Switches

_TOKEN_USED = "InvalidatedRetryToken"  # noqa: S105 - OCI's word
_PASSES = frozenset({"IncorrectState"})
_HIDES = frozenset({"NotAuthorizedOrNotFound"})

log = logging.getLogger("claviger.cckm")


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Ground:
    """What operations on keys stand on. `poke` tells the refresher that there may be something to look at."""

    store: Store
    safe: Safe
    intents: Intents
    clouds: OciClouds
    clock: Clock
    switches: Switches | None = None
    notices: Notices | None = None
    poke: Callable[[], None] = _nothing

    async def reach(self, operation: str, point: str, name: str) -> None:
        """A point at which a test may end the process, or make it wait: `oci-key-<operation>:<point>`."""
        if self.switches is not None:
            await self.switches.meet("cckm", f"{KINDS}{operation}:{point}", name)

    def give_up(self, tx: Tx, intent: Intent) -> None:
        """Ends an intent with nothing done, within a change. Raises Conflict("TakenOver")."""
        self.intents.end(tx, intent)
        Safe.remove(tx, conclusions.MATERIAL, intent.id)


class Execution:
    """`was_sent` tells, once it has failed, whether a request may still be on its way."""

    def __init__(
        self,
        ground: Ground,
        trade: Trade,
        cloud: VaultKeys,
        vault: OciVault,
        intent: Intent,
        work: Work,
        material: Material,
    ) -> None:
        self._ground = ground
        self._trade = trade
        self._cloud = cloud
        self._vault = vault
        self._intent = intent
        self._work = work
        self._material = material
        self.was_sent = False
        self._final: Refusal = Conflict("NotDone", message="OCI refused what had been begun")

    async def do(self) -> str:
        """Does it; the record's id. Raises the cloud's refusals, and Conflict("CloudDiffers") as `_conclude` does.

        Where Unavailable("CloudUndecided") is raised, the intent is left to the finisher.
        """
        await self.reached("intended")
        outcome = await self._acted()
        await self.reached("acted")
        record_id = await self._conclude(outcome)
        await self.reached("concluded")
        return record_id

    async def finish(self) -> None:
        """Finishes what was left open. Raises the refusal that stands in the way; what is final ends the intent."""
        outcome = await self._found_out()
        if outcome is None:
            is_safe = self._trade.may_repeat(self._work, self.now())
            if not is_safe and self._ground.intents.in_doubt(self._intent):
                raise Unavailable(UNDECIDED, message="a request may still be on its way to OCI")
            outcome = await self._acted_late()
        if outcome is None:
            await self._given_up(self._final)
            return
        try:
            await self._conclude(outcome)
        except Conflict as refusal:
            if refusal.reason != "CloudDiffers":
                raise

    # ------------------------------------------------------------------ what acts report

    def now(self) -> float:
        """See `work.Steps`."""
        return self._ground.clock.now()

    async def keep_backup(self) -> None:
        """See `work.Steps`."""
        ground, now = self._ground, self.now()

        def change(tx: Tx) -> None:
            ground.intents.check_held(tx, self._intent)
            conclusions.keep_backup(tx, self._work, now)

        with silently():  # on the way: the outcome has its record
            await ground.store.write(change)

    async def reached(self, point: str) -> None:
        """See `work.Steps`."""
        await self._ground.reach(self._work.operation, point, self._work.name)

    # ------------------------------------------------------------------ acting and asking

    async def _act(self, limit_s: float) -> Outcome:
        try:
            async with asyncio.timeout(limit_s):
                return await self._trade.act(self._cloud, self._work, self._material, self)
        except TimeoutError:
            self.was_sent = True
            raise Unavailable(UNDECIDED, message="OCI did not answer in time") from None
        except Unavailable as refusal:
            self.was_sent = self.was_sent or refusal.reason == UNDECIDED
            raise

    async def _ask(self, *, by_reading: bool = False) -> Outcome | None:
        """What happened. Raises a refusal where that cannot be found out."""
        now = self.now()
        doubt = Doubt(now, by_reading or not self._trade.may_repeat(self._work, now))
        return await asked_in_time(self._trade.ask(self._cloud, self._work, doubt), "OCI")

    async def _found_out(self) -> Outcome | None:
        """What happened; None also where OCI does not show the key: acting on it tells why."""
        try:
            return await self._ask()
        except NotFound:
            return None

    async def _acted(self) -> Outcome:
        """Does it. Whatever is certain to have failed ends the intent and is raised."""
        try:
            return await self._act(ACT_LIMIT_S)
        except Refusal as refusal:
            problem = refusal
        outcome = None
        if problem.reason == UNDECIDED:
            outcome = await self._asked_in_doubt(problem)
        elif code_of(problem) == _TOKEN_USED:
            outcome = await self._read()
        if outcome is None:
            problem = passed_on(problem)
            await self._given_up(problem)
            raise problem
        return outcome

    async def _read(self) -> Outcome | None:
        try:
            return await self._ask(by_reading=True)
        except Refusal:
            return None

    async def _asked_in_doubt(self, doubt: Refusal) -> Outcome:
        """What happened, where the answer did not say. Raises Unavailable, leaving the intent to the finisher."""
        try:
            outcome = await self._ask()
            if outcome is None and self._trade.may_repeat(self._work, self.now()):
                outcome = await self._act(ASK_LIMIT_S)
        except Refusal:
            outcome = None
        if outcome is not None:
            return outcome
        raise await left_open(self._ground.intents, self._intent, doubt, "OCI")

    async def _acted_late(self) -> Outcome | None:
        """Does what did not happen in time; None where it is refused for good. Raises what may pass."""
        try:
            return await self._act(ACT_LIMIT_S)
        except NotFound as refusal:
            final: Refusal = passed_on(refusal)
        except (Conflict, Forbidden, Invalid) as refusal:
            if refusal.reason == "TakenOver":
                raise
            if code_of(refusal) == _TOKEN_USED:
                outcome = await self._ask(by_reading=True)
                if outcome is not None:
                    return outcome
            if self._settles(refusal):
                raise Unavailable("CloudSettling", message="OCI is still changing the key's state") from None
            final = refusal
        self._final = final
        log.warning("%s was refused when it was finished: %s", self._intent.kind, final.reason)
        return None

    def _settles(self, refusal: Refusal) -> bool:
        """Whether a 409 may pass."""
        return code_of(refusal) in _PASSES and self.now() <= self._work.begun_at + SETTLING_S

    # ------------------------------------------------------------------ the outcome

    async def _given_up(self, problem: Refusal) -> None:
        """Ends the intent with nothing done, and the record of why; what contradicts a record has it looked at."""
        now, contradicts = self.now(), isinstance(problem, Conflict) or code_of(problem) in _HIDES

        def change(tx: Tx) -> None:
            self._ground.give_up(tx, self._intent)
            if contradicts:
                conclusions.look_soon(tx, self._work, now)
            announcing.refused(tx, self._ground.notices, self._vault, self._work, problem)

        await write_given_up(self._ground.store, change, problem)
        self._ground.poke()

    async def _conclude(self, outcome: Outcome) -> str:
        """Saves the outcome and ends the intent, in one transaction; the record's id.

        Raises Conflict("CloudDiffers") where the cloud has something else than was wanted: the record says so then.
        """
        ground, work, now = self._ground, self._work, self.now()

        def change(tx: Tx) -> Saved:
            staged(DONE)
            ground.give_up(tx, self._intent)
            saved = self._trade.save(tx, self._vault, work, outcome, now)
            about(work.record[0], saved.record_id, work.name, self._vault.name)
            if saved.as_wanted:
                announcing.concluded(tx, ground.notices, self._vault, work, outcome)
            else:
                differs = _differs(outcome)
                turn_down(differs, kind_of(differs).status)
            return saved

        saved = await ground.store.write(change)
        ground.poke()
        if not saved.as_wanted:
            raise _differs(outcome)
        return saved.record_id


def _differs(outcome: Outcome) -> Conflict:
    found = outcome.key or next(iter(outcome.versions), None)
    told = "is not there now" if found is None else f"is {found.state} there"
    return Conflict("CloudDiffers", message=f"it was changed in OCI meanwhile and {told}; the record says so now")
