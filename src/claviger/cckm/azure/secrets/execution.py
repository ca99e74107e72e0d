"""One operation under way, from its committed intent to its outcome: done at once, or taken up after a crash.

`do` acts first, and asks where the answer leaves in doubt what happened. `finish` asks first, and acts only if nothing
happened (docs/decisions/0007-durable-operations.md). Either way the outcome, the record and the end of the intent are
one transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from claviger.audit.trail import DONE, about, silently, staged, turn_down
from claviger.cckm.azure.connections.cloud import AzureClouds
from claviger.cckm.azure.secrets import conclusions, records
from claviger.cckm.azure.secrets.acts import ACTS
from claviger.cckm.azure.secrets.asks import ASKS
from claviger.cckm.azure.secrets.cloud import CloudSecret, VaultSecrets
from claviger.cckm.azure.secrets.conclusions import Saved
from claviger.cckm.azure.secrets.rules import Operation
from claviger.cckm.azure.secrets.showing import KIND
from claviger.cckm.azure.secrets.work import (
    CREATE,
    RESTORE_ELSEWHERE,
    SETTLING_S,
    Doubt,
    Material,
    Outcome,
    Work,
    code_of,
    is_absent,
    unreachable,
)
from claviger.cckm.azure.vaults.records import VaultRow
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
from claviger.cckm.notices.rules import Type
from claviger.cckm.notices.wire import RefusedPurge
from claviger.cckm.resource import uri
from claviger.cckm.sealed import Item, Safe
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, Unavailable
from claviger.core.ids import new_uuid
from claviger.core.sensitive import Sensitive
from claviger.jobs.intents import Intents
from claviger.jobs.records import Intent
from claviger.store.contract import Store, Tx
from claviger.switches.board import Switches

T = TypeVar("T")

POLL_S = 1.0
_BEING_CHANGED = frozenset({"ObjectIsBeingDeleted", "ObjectIsBeingRecovered"})
_FINAL_CONFLICT = "ObjectIsDeletedButRecoverable"
# Of a deleted secret alone a plain 409 says that Azure is still about it; elsewhere that the name is taken.
_OF_DELETED = frozenset({Operation.HARD_DELETE.value, Operation.RECOVER.value})

log = logging.getLogger("claviger.cckm")


@dataclass(frozen=True)
class Ground:
    """What operations on secrets stand on. `echo` keeps values to show them again (CCKM contract, Azure §5.3)."""

    store: Store
    safe: Safe
    intents: Intents
    clouds: AzureClouds
    clock: Clock
    switches: Switches | None = None
    echo: bool = False
    notices: Notices | None = None

    async def reach(self, kind: str, point: str, name: str) -> None:
        """A point at which a test may end the process, or make it wait."""
        if self.switches is not None:
            await self.switches.meet("cckm", f"{kind}:{point}", name)

    def give_up(self, tx: Tx, intent: Intent) -> None:
        """Ends an intent with nothing done, within a change. Raises Conflict("TakenOver")."""
        self.intents.end(tx, intent)
        Safe.remove(tx, conclusions.INTENT, intent.id)


class Execution:
    """`was_sent` tells, once it has failed, whether a request may still be on its way."""

    def __init__(
        self,
        ground: Ground,
        kind: str,
        cloud: VaultSecrets,
        vault: VaultRow,
        intent: Intent,
        work: Work,
        material: Material,
    ) -> None:
        self._ground = ground
        self._kind = kind
        self._cloud = cloud
        self._vault = vault
        self._intent = intent
        self._work = work
        self._material = material
        self.was_sent = False
        self._final: Refusal = Conflict("NotDone", message="Azure refused what had been begun")

    async def do(self, wait_s: int) -> str:
        """Does it; the record's id. Raises the cloud's refusals, and Conflict("CloudDiffers") as `_conclude` does.

        Where Unavailable("CloudUndecided") is raised, the intent is left to the finisher.
        """
        await self.reached("intended")
        outcome = await self._acted(wait_s)
        await self.reached("acted")
        record_id = await self._conclude(outcome)
        await self.reached("concluded")
        return record_id

    async def finish(self) -> None:
        """Finishes what was left open. Raises the refusal that stands in the way; what is final ends the intent."""
        outcome = await self._ask()
        if outcome is None:
            if self._ground.intents.in_doubt(self._intent) and self._kind != Operation.HARD_DELETE.value:
                raise Unavailable(UNDECIDED, message="a request may still be on its way to Azure")
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

    async def keep(self, backup: Sensitive, versions: Sequence[CloudSecret]) -> None:
        """See `work.Steps`."""
        ground, now = self._ground, self._ground.clock.now()

        def change(tx: Tx) -> None:
            ground.intents.check_held(tx, self._intent)
            conclusions.keep_backup(tx, self._work, versions, now)

        with silently():  # on the way: the outcome has its record
            await ground.safe.write([(conclusions.BACKUP, self._work.slot, backup)], change)

    async def reached(self, point: str) -> None:
        """See `work.Steps`."""
        await self._ground.reach(self._kind, point, self._work.name)

    # ------------------------------------------------------------------ acting and asking

    async def _act(self) -> Outcome:
        try:
            return await ACTS[self._kind](self._cloud, self._work, self._material, self)
        except NotFound as refusal:
            if is_absent(refusal):
                raise
            raise unreachable(refusal) from None
        except Unavailable as refusal:
            self.was_sent = self.was_sent or refusal.reason == UNDECIDED
            raise

    async def _ask(self, *, is_certain: bool = False) -> Outcome | None:
        """What happened. Raises a refusal where that cannot be found out."""
        work = await self._with_known(self._work)
        doubt = Doubt(self._ground.clock.now(), is_certain)
        return await asked_in_time(ASKS[self._kind](self._cloud, work, self._material, doubt), "Azure")

    async def _with_known(self, work: Work) -> Work:
        if work.operation not in (CREATE, RESTORE_ELSEWHERE, Operation.RESTORE.value):
            return work
        known = await records.versions_of(
            self._ground.store, work.vault_id, work.name, until=work.known_until, live=work.operation != CREATE
        )
        own = [] if work.source is None else await records.versions_in(self._ground.store, work.source)
        return msgspec.structs.replace(work, known_versions=tuple(known), own_versions=tuple(own))

    async def _acted(self, wait_s: int) -> Outcome:
        """Does it. Whatever is certain to have failed ends the intent and is raised."""
        try:
            async with asyncio.timeout(ACT_LIMIT_S + wait_s):
                return await _patiently(self._act, wait_s)
        except TimeoutError:
            problem: Refusal = Unavailable(UNDECIDED, message="Azure did not answer in time")
        except Refusal as refusal:
            problem = refusal
        outcome = None
        if isinstance(problem, NotFound):
            outcome = await self._looked_for()
            problem = Conflict("CloudConflict", message=problem.facts.get("message"))
        elif problem.reason == UNDECIDED:
            outcome = await self._asked_in_doubt(problem)
        if outcome is None:
            await self._given_up(problem)
            raise problem
        return outcome

    def _tell_refused_purge(self, tx: Tx, refusal: Refusal) -> None:
        """Whoever wants to know of a purge that the cloud has refused is told, within the change that ends it."""
        work, notices = self._work, self._ground.notices
        if notices is None or self._kind != Operation.HARD_DELETE.value or not isinstance(refusal, Forbidden):
            return
        told = RefusedPurge(
            cloud="azure",
            id=work.secret_id,
            name=work.name,
            version=work.version,
            vault=self._vault.name,
            vault_id=self._vault.id,
            by=work.user_id,
            reason=str(refusal.facts.get("message", refusal.reason)),
        )
        subject = uri("cckm", KIND, work.secret_id, work.name)
        notices.emit(tx, work.domain_id, Type.REFUSED_PURGE, subject, told, object_key=work.secret_id)

    async def _given_up(self, problem: Refusal) -> None:
        """Ends the intent with nothing done, and the record of why."""

        def change(tx: Tx) -> None:
            self._ground.give_up(tx, self._intent)
            self._tell_refused_purge(tx, problem)

        await write_given_up(self._ground.store, change, problem)

    async def _looked_for(self) -> Outcome | None:
        """What became of a secret that Azure did not find: the record has to learn of it."""
        try:
            return await self._ask(is_certain=True)
        except Refusal:
            return None

    async def _asked_in_doubt(self, doubt: Refusal) -> Outcome:
        """What happened, where the answer did not say. Raises Unavailable, leaving the intent to the finisher."""
        try:
            outcome = await self._ask()
            if outcome is None and self._kind == Operation.HARD_DELETE.value:
                outcome = await self._purged_again()
        except (Refusal, TimeoutError):
            outcome = None
        if outcome is not None:
            return outcome
        raise await left_open(self._ground.intents, self._intent, doubt, "Azure")

    async def _purged_again(self) -> Outcome | None:
        """Purging twice does no harm, and tells what is purged from what is still being deleted."""
        try:
            async with asyncio.timeout(ASK_LIMIT_S):
                return await self._act()
        except NotFound:
            return await self._ask(is_certain=True)

    async def _acted_late(self) -> Outcome | None:
        """Does what did not happen in time; None where it is refused for good. Raises what may pass."""
        try:
            async with asyncio.timeout(ACT_LIMIT_S):
                return await self._act()
        except TimeoutError:
            self.was_sent = True
            raise Unavailable(UNDECIDED, message="Azure did not answer in time") from None
        except NotFound as refusal:
            outcome = await self._ask(is_certain=True)
            if outcome is not None:
                return outcome
            final: Refusal = refusal
        except (Conflict, Forbidden, Invalid) as refusal:
            if refusal.reason == "TakenOver":
                raise
            if self._settles(refusal):
                raise Unavailable("CloudSettling", message="Azure is still changing the secret's state") from None
            final = refusal
        self._final = final
        log.warning("%s was refused when it was finished: %s", self._intent.kind, final.reason)
        return None

    def _settles(self, refusal: Refusal) -> bool:
        """Whether a 409 will pass."""
        if refusal.reason != "CloudConflict" or self._ground.clock.now() > self._work.begun_at + SETTLING_S:
            return False
        return code_of(refusal) in _BEING_CHANGED or (self._kind in _OF_DELETED and code_of(refusal) != _FINAL_CONFLICT)

    # ------------------------------------------------------------------ the outcome

    async def _conclude(self, outcome: Outcome) -> str:
        """Saves the outcome and ends the intent, in one transaction; the record's id.

        Raises Conflict("CloudDiffers") where the cloud has something else than was wanted: the record says so then.
        """
        ground, work, now = self._ground, self._work, self._ground.clock.now()
        made_id = new_uuid()
        echoed = self._material.value if ground.echo and work.operation == CREATE else None
        sealed: list[Item] = []
        if outcome.backup is not None:
            sealed.append((conclusions.BACKUP, work.slot, outcome.backup))
        if echoed is not None:
            sealed.append((conclusions.VALUE, made_id, echoed))

        def change(tx: Tx) -> Saved:
            staged(DONE)
            ground.give_up(tx, self._intent)
            saved = conclusions.save(tx, self._vault, work, outcome, made_id, now)
            about(KIND, saved.record_id, work.name, self._vault.name)
            if not saved.as_wanted:
                differs = _differs(outcome)
                turn_down(differs, kind_of(differs).status)
            return saved

        saved = await ground.safe.write(sealed, change)
        if echoed is not None and saved.record_id != made_id:
            moved = [(conclusions.VALUE, saved.record_id, echoed)]
            with silently():
                await ground.safe.write(moved, lambda tx: Safe.remove(tx, conclusions.VALUE, made_id))
        if not saved.as_wanted:
            raise _differs(outcome)
        return saved.record_id


def _differs(outcome: Outcome) -> Conflict:
    told = "is not there now" if outcome.status is None else f"is {outcome.status.value} there"
    return Conflict("CloudDiffers", message=f"the secret was changed in Azure and {told}; the record says so now")


async def _patiently(act: Callable[[], Awaitable[T]], wait_s: int) -> T:
    """Tries again for up to `wait_s` while Azure is still changing the secret's state (409)."""
    give_up_at = steady() + wait_s
    while True:
        try:
            return await act()
        except Conflict as refusal:
            passes = refusal.reason == "CloudConflict" and code_of(refusal) != _FINAL_CONFLICT
            if not passes or steady() + POLL_S > give_up_at:
                raise
        await asyncio.sleep(POLL_S)


def steady() -> float:
    """The machine's steady time: waits are real, whatever the product's clock is moved to."""
    return asyncio.get_running_loop().time()
