"""Makes checkpoints: signs how many records there are and the root of their tree, and shows that to witnesses.

Before it signs, it looks: what was signed before, in the database, by this process or as a witness saw it, must be the
beginning of what is there now. A log that was rewritten or rolled back is not signed again.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import uuid
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from claviger.audit import records
from claviger.audit.signed_note import SEED_LENGTH, Checkpoint, PublicKey, Signer, checkpoint_of
from claviger.audit.tree import Frontier, Span, consistency_spans, extends, nodes_of, proof_of, root_of, whole_subtrees
from claviger.audit.witness import Witness
from claviger.core.clock import Clock
from claviger.core.errors import Damaged, Refusal
from claviger.core.sensitive import Sensitive
from claviger.store.contract import Store

log = logging.getLogger("claviger.audit")

KEY_NAME = "audit-signing-key"
EVERY_COUNT = 10_000
EVERY_S = 60.0
LOOK_S = 1.0


class KeyBox(Protocol):
    """Keeps small secrets of the server, sealed, by name."""

    async def ensure(self, name: str, make: Callable[[], Sensitive]) -> Sensitive:
        """What is kept under the name, made by `make` if nothing is; all who ask at once get the same."""
        ...


class _StoredKey(msgspec.Struct):
    name: str
    seed: str


def _new_key() -> Sensitive:
    seed = base64.b64encode(os.urandom(SEED_LENGTH)).decode()
    return Sensitive(msgspec.json.encode(_StoredKey(f"claviger/audit/{uuid.uuid4()}", seed)))


class Checkpoints:
    """Signs for one database. Several of them may; each makes only what is missing."""

    def __init__(
        self,
        store: Store,
        box: KeyBox,
        clock: Clock,
        witnesses: Sequence[Witness] = (),
        *,
        every_count: int = EVERY_COUNT,
        every_s: float = EVERY_S,
    ) -> None:
        self._store = store
        self._box = box
        self._clock = clock
        self._witnesses = witnesses
        self._every_count = every_count
        self._every_s = every_s
        self._signer: Signer | None = None
        self._making = asyncio.Lock()
        self._latest: Checkpoint | None = None
        self._unshown: set[str] = set()
        self._due_at = 0.0

    async def signer(self) -> Signer:
        """The log's key, made when first needed. Raises Damaged("SealBroken")."""
        if self._signer is None:
            kept = await self._box.ensure(KEY_NAME, _new_key)
            stored = msgspec.json.decode(kept.reveal(), type=_StoredKey)
            self._signer = Signer(stored.name, Sensitive(base64.b64decode(stored.seed)))
        return self._signer

    async def public_key(self) -> PublicKey:
        """What checkpoints are checked with. Its name is the origin of the log."""
        return (await self.signer()).public

    async def make(self) -> str | None:
        """The signed checkpoint of all records there are now, shown to the witnesses; None for an empty log.

        Raises Damaged("AuditRewritten") when the log does not begin with what was signed before.
        """
        async with self._making:
            signer = await self.signer()
            last = await records.last_checkpoint(self._store)  # before the head: that only grows meanwhile
            head = await records.head(self._store)
            if not head.size:
                await self._compare(head, signer.public, last)
                return None
            root = head.root()
            fresh = Checkpoint(signer.public.name, head.size, root, int(self._clock.now()))
            await self._compare(head, signer.public, last)
            note = last[1] if last is not None and last[0] == head.size else None
            if note is None:
                made = signer.signed(fresh.text())
                await self._store.write(lambda tx: records.add_checkpoint(tx, head.size, self._clock.now(), made))
                note = made
            self._latest = fresh
            self._due_at = self._clock.monotonic() + self._every_s
            await self._show(note)
            return note

    async def _compare(self, head: Frontier, key: PublicKey, last: tuple[int, str] | None) -> None:
        """Sees that everything that was signed before is the beginning of what is there. Raises Damaged."""
        earlier = [] if self._latest is None else [self._latest]
        if last is not None:
            earlier.append(_read(key, last[1], "the last checkpoint"))
        for witness in self._witnesses:
            try:
                note = await witness.last()
            except Refusal as refusal:
                log.warning("the witness %s cannot be asked: %s", witness.name, refusal)
                continue
            if note is not None:
                earlier.append(_read(key, note, f"the last checkpoint of the witness {witness.name}"))
        if head.size:
            known = await records.node_hashes(self._store, whole_subtrees(Span(0, head.size)))
            if len(known) != head.size.bit_count() or root_of(head.size, known) != head.root():
                raise _rewritten("its records do not add up to its head")
        for each in earlier:
            if each.size > head.size:
                raise _rewritten(f"it has {head.size} records, and {each.size} were signed")
            spans = consistency_spans(each.size, head.size)
            hashes = await records.node_hashes(self._store, nodes_of(spans))
            try:
                proof = proof_of(spans, hashes)
            except KeyError:
                raise _rewritten("records are missing") from None
            if not extends(each.size, head.size, each.root, head.root(), proof):
                raise _rewritten(f"its first {each.size} records are not those that were signed")

    async def _show(self, note: str) -> None:
        for witness in self._witnesses:
            try:
                if await witness.last() != note:
                    await witness.show(note)
                self._unshown.discard(witness.name)
            except Refusal as refusal:
                self._unshown.add(witness.name)
                log.error("the witness %s did not take a checkpoint: %s", witness.name, refusal)

    def failing_witnesses(self) -> int:
        """How many witnesses have not taken the last checkpoint that they were shown."""
        return sum(each.is_failing or each.name in self._unshown for each in self._witnesses)

    async def close(self) -> None:
        """Ends what witnesses have under way, in seconds."""
        for witness in self._witnesses:
            await witness.close()

    async def run(self) -> None:
        """Makes a checkpoint whenever there are `every_count` new records, or any `every_s` later, until cancelled."""
        refused = ""
        while True:
            try:
                if await self._is_due():
                    await self.make()
                refused = ""
            except Refusal as refusal:
                if str(refusal) != refused:  # once, not at every look
                    log.error("the audit log could not be signed: %s", refusal)
                refused = str(refusal)
            await asyncio.sleep(LOOK_S)

    async def _is_due(self) -> bool:
        late = self._clock.monotonic() >= self._due_at
        if self._latest is None:  # nothing is known yet
            return True
        fresh = (await records.head(self._store)).size - self._latest.size
        return fresh >= self._every_count or (late and (fresh != 0 or bool(self._unshown)))


def _read(key: PublicKey, note: str, what: str) -> Checkpoint:
    try:
        checkpoint = checkpoint_of(key.opened(note))
    except Damaged as damaged:
        raise _rewritten(f"{what} {damaged.facts.get('problem', 'is broken')}") from None
    if checkpoint.origin != key.name:
        raise _rewritten(f"{what} is of another log")
    return checkpoint


def _rewritten(problem: str) -> Damaged:
    fix = "find out who changed the database: `claviger audit verify` names the place; nothing is signed until then"
    return Damaged("AuditRewritten", problem=problem, fix=fix)
