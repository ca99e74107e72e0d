"""The audit log as other parts use it: `note` within a change, `record` by itself, `buffer` for reads.

A noted entry is committed with its change or not at all. All entries of one commit are appended together, just before
it: one statement counts them, one adds them, one moves the head. The number of a record comes from the head as the
transaction shows it; what this process remembers of the head is only believed where the database has exactly the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NoReturn

from claviger.audit import records
from claviger.audit.entry import Entry, encoded
from claviger.audit.records import Leaf, Shared, object_key, shared_by
from claviger.audit.stamp import Quick, Stamped, StampedObject
from claviger.audit.tree import Frontier, leaf_hash
from claviger.core.errors import Busy, Conflict, Damaged, Refusal
from claviger.store.contract import Store, Tx

log = logging.getLogger("claviger.audit")

BUFFER_LIMIT = 10_000
BUFFER_WAIT_S = 0.07
"""How long the first of some buffered entries waits for more: the rest of what is promised is for the disk."""
WRITTEN_AT_ONCE = 1024
RETRY_S = 0.5
KNOWN_FACETS = 4096
UNAVAILABLE = "AuditUnavailable"
_QUICK = (Stamped, StampedObject)


class AuditLog:
    """Appends to the log. Several of them, also in several processes, may write to one database.

    `buffer` works between the beginning of `run` and `stop`. Everything but `note` belongs to the event loop.
    """

    def __init__(self, store: Store, *, buffer_limit: int = BUFFER_LIMIT) -> None:
        self._store = store
        self._buffer_limit = buffer_limit
        self._head: tuple[int, bytes] = (0, b"")  # only used on the store's writing thread
        self._facets: dict[Shared, int] = {}  # likewise
        self._waiting: deque[Leaf | Quick] = deque()
        self._wakened = asyncio.Event()
        self._writing = asyncio.Lock()
        self._open = False
        self._failure: Refusal | None = None

    # Changes.

    def note(self, tx: Tx, *entries: Entry | Quick) -> None:
        """Appends entries within a change, to be committed with it. May be called several times in one change.

        The entries get their numbers at the end of the transaction: the change cannot read them.
        """
        tx.at_end(self._append, [_leaf(entry) for entry in entries])

    async def record(self, *entries: Entry | Quick) -> None:
        """Appends entries by themselves; they are on disk when this returns.

        Raises Busy("AuditUnavailable") where they cannot be written: the call that they are about is to be refused.
        """
        leaves = [_leaf(entry) for entry in entries]
        try:
            await self._write(leaves)
        except (Busy, Conflict, Damaged) as failure:
            refuse(failure)

    async def _write(self, leaves: Sequence[Leaf]) -> None:
        await self._store.write(lambda tx: tx.at_end(self._append, leaves))

    def _append(self, tx: Tx, noted: list[Sequence[Leaf]]) -> None:
        """At the end of a transaction. Whatever stands in its way refuses the changes, and is told as what it is."""
        try:
            self._added(tx, noted)
        except Refusal as failure:
            refuse(failure)
        except Exception as failure:  # the tables of the log are not what they were
            log.exception("audit records could not be written")
            refuse(Damaged("AuditTable", problem=f"the audit log's tables are damaged: {type(failure).__name__}"))

    def _added(self, tx: Tx, noted: list[Sequence[Leaf]]) -> None:
        leaves = [leaf for some in noted for leaf in some]
        size, roots = self._head
        frontier = Frontier(size, roots)
        hashes = [frontier.append(leaf.hash) for leaf in leaves]
        moved = frontier.encoded()
        if not records.move_head(tx, size, roots, frontier.size, moved):  # somebody else wrote, or we were rolled back
            frontier = records.head_in(tx)
            size, roots = frontier.size, frontier.encoded()
            hashes = [frontier.append(leaf.hash) for leaf in leaves]
            moved = frontier.encoded()
            if not records.move_head(tx, size, roots, frontier.size, moved):
                raise Damaged(
                    "AuditHead", problem="the audit log has no head", fix="restore the database from a backup"
                )
        facets = records.count_facets(tx, [leaf.shared for leaf in leaves], self._facets)
        if len(self._facets) > KNOWN_FACETS:
            self._facets.clear()
        self._facets.update(facets)
        records.add(tx, size, leaves, hashes, facets)
        self._head = frontier.size, moved

    # Reads.

    def buffer(self, entry: Entry | Quick) -> None:
        """Takes an entry that is on disk some 100 ms later, by `run`. The quick way are those made by a `Stamp`.

        Raises Busy("AuditUnavailable") when too many wait, when writing them fails, and before `run` and after `stop`:
        the call that the entry is about is to be refused.
        """
        if self._failure is not None:
            refuse(self._failure)
        if not self._open:
            refuse(Busy("AuditStopped", problem="the audit log is not open"))
        if len(self._waiting) >= self._buffer_limit:
            refuse(Busy("AuditFull", problem="too many audit records wait to be written"))
        if not self._waiting:
            self._wakened.set()
        self._waiting.append(entry if isinstance(entry, _QUICK) else _leaf(entry))

    async def run(self) -> None:
        """Writes what was buffered, until cancelled. What cannot be written waits; meanwhile `buffer` refuses."""
        self._open = True
        loop = asyncio.get_running_loop()
        wait_s = BUFFER_WAIT_S
        while True:
            await self._wakened.wait()
            if self._failure is None:
                await asyncio.sleep(wait_s)
            self._wakened.clear()
            began = loop.time()
            try:
                await self.flush()
            except Refusal as failure:
                if self._failure is None:
                    log.error("audit records cannot be written, so reads are refused: %s", failure)
                self._failure = failure
                await asyncio.sleep(RETRY_S)
                self._wakened.set()
                continue
            wait_s = BUFFER_WAIT_S
            if self._waiting:  # the first of them may be as old as the writing
                self._wakened.set()
                wait_s = max(0.0, began + BUFFER_WAIT_S - loop.time())

    async def flush(self) -> None:
        """Writes what is buffered now, not what comes meanwhile. Raises what the store raises; nothing is lost by that.

        Where the database could not tell whether it had committed, entries may come to stand in the log twice.
        """
        # Whoever waits may be cancelled; the writing may not, or it would not be known what was written.
        await asyncio.shield(asyncio.create_task(self._flush()))

    async def _flush(self) -> None:
        async with self._writing:
            left = len(self._waiting)  # what comes meanwhile has its own time: else a busy server commits without pause
            while left:
                count = min(left, WRITTEN_AT_ONCE)
                left -= count
                some = list(islice(self._waiting, count))
                await self._write([each if isinstance(each, Leaf) else each.leaf() for each in some])
                for _ in range(count):
                    self._waiting.popleft()
            if self._failure is not None:
                log.info("audit records are written again")
            self._failure = None

    async def stop(self) -> None:
        """Takes nothing more and writes what is buffered. Raises what the store raises."""
        self._open = False
        await self.flush()


def refuse(cause: Refusal) -> NoReturn:
    """Refuses a call whose record cannot be written. Raises Busy("AuditUnavailable")."""
    if cause.reason == UNAVAILABLE:
        raise cause
    why = cause.facts.get("problem") or cause.reason
    message = f"the call was refused because its audit record could not be written ({why})"
    raise Busy(UNAVAILABLE, message=message, cause=cause.reason) from cause


def _leaf(entry: Entry | Quick) -> Leaf:
    """The entry as it will stand in the log. Raises TypeError for what is not an `Entry`."""
    if isinstance(entry, _QUICK):
        return entry.leaf()
    if type(entry) is not Entry:
        raise TypeError("the audit log takes an Entry")
    body = encoded(entry)
    return Leaf(entry.at, shared_by(entry), object_key(entry.object.id), leaf_hash(body), body)
