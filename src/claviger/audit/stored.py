"""Verifies the log in a database: all that an export has, and that columns and counts say what records say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from claviger.audit import records
from claviger.audit.entry import Recorded
from claviger.audit.records import Row, Shared, object_key, shared_by
from claviger.audit.signed_note import PublicKey
from claviger.audit.verify import Checker, Finding, Found, Report
from claviger.core.errors import Damaged
from claviger.store.contract import Store

PAGE = 5_000
FACETS = 10_000


async def verify_stored(store: Store, key: PublicKey, notes: Iterable[str] = ()) -> Report:
    """Verifies the log of a database with a public key and what witnesses have kept. Raises Busy where it is away."""
    checker = Checker(key)
    try:
        checker.expect(notes)
        await check_stored(store, checker)
    except Found as found:
        return checker.report(found.finding)
    return checker.report(None)


async def check_stored(store: Store, checker: Checker) -> None:
    """Feeds the log to a checker, also while a server goes on writing. Raises Found, and Busy."""
    await _Reading(store, checker).run()


class _Reading:
    def __init__(self, store: Store, checker: Checker) -> None:
        self._store = store
        self._checker = checker
        self._facets: dict[int, Shared] = {}
        self._found: Counter[int] = Counter()

    async def run(self) -> None:
        checker = self._checker
        try:
            head = await records.head(self._store)
        except (ValueError, TypeError):
            raise Found(Finding("the head of the log is broken")) from None
        if await records.rows_before(self._store, 0):
            raise Found(Finding("there are records with a number below 0"))
        signed = -1
        while True:  # by pages of checkpoints, and within one by pages of records
            notes = await records.checkpoints_after(self._store, signed, PAGE)
            for size, note in notes:
                if size > head.size:
                    break
                await self._records_up_to(size)
                checker.checkpoint(size, note)
            if len(notes) < PAGE or notes[-1][0] > head.size:
                break
            signed = notes[-1][0]
        await self._records_up_to(head.size)
        extra = await self._page(head.size - 1, 1)
        beyond = [size for size, _ in await records.checkpoints_after(self._store, head.size, 1)]
        if (extra or beyond) and await self._rests(head.size):
            if extra:
                raise checker.found_in(head.size, "is none of the log's: its head says that it ends before")
            raise checker.cut_short(beyond[0])
        checker.end(head.size, head.encoded())
        await self._compare_counts(head.size)

    async def _rests(self, size: int) -> bool:
        """Whether the log has not grown: then nothing may be behind its head."""
        return (await records.head(self._store)).size == size

    async def _records_up_to(self, size: int) -> None:
        checker = self._checker
        while checker.size < size:
            rows = await self._page(checker.size - 1, min(PAGE, size - checker.size))
            if not rows:
                raise checker.found_in(checker.size, "is missing")
            if any(row.facet_id not in self._facets for row in rows):
                await self._read_facets()
            for row in rows:
                if row.seq >= size:  # the ones between are missing
                    raise checker.found_in(checker.size, "is missing")
                self._check(row)

    def _check(self, row: Row) -> None:
        seq, at, facet_id, key, hashes, body = row
        if type(body) is not bytes or type(hashes) is not bytes:
            raise self._checker.found_in(seq, "is of the wrong type")
        entry = self._checker.record(seq, body, hashes)
        if at != entry.at or key != object_key(entry.object.id) or self._facets.get(facet_id) != shared_by(entry):
            raise self._checker.found_in(seq, f"is filed as something that it is not ({self._misfiled(row, entry)})")
        self._found[facet_id] += 1

    def _misfiled(self, row: Row, entry: Recorded) -> str:
        if row.at != entry.at:
            return "its time"
        return "its object" if row.object_key != object_key(entry.object.id) else "what it is filtered by"

    async def _page(self, seq: int, most: int) -> list[Row]:
        """A page, or, where something in it cannot even be read, the finding."""
        try:
            return await records.rows_after(self._store, seq, most)
        except Damaged as damaged:
            raise Found(
                Finding(f"the database cannot be read: {damaged.facts.get('problem', damaged.reason)}")
            ) from None
        except UnicodeError:
            if most == 1:
                raise self._checker.found_in(seq + 1, "cannot be read") from None
        rows: list[Row] = []
        for at in range(most):
            try:
                rows += await records.rows_after(self._store, seq + at, 1)
            except UnicodeError:
                if rows:
                    return rows
                raise self._checker.found_in(seq + 1, "cannot be read") from None
        return rows

    async def _read_facets(self) -> None:
        after = max(self._facets, default=-(2**62))
        try:
            while found := await records.facets_after(self._store, after, FACETS):
                self._facets |= {facet_id: shared for facet_id, shared, _ in found}
                after = found[-1][0]
        except UnicodeError:
            raise Found(Finding("the table of what records share cannot be read")) from None

    async def _compare_counts(self, size: int) -> None:
        """Counts may only be ahead, and only while somebody writes."""
        after = -(2**62)
        try:
            while found := await records.facets_after(self._store, after, FACETS):
                for facet_id, shared, count in found:
                    counted = self._found[facet_id]
                    if counted > count or (counted < count and await self._rests(size)):
                        who = shared.username or "nobody"
                        raise Found(Finding(f"the count of records “{shared.action}” by {who} is wrong"))
                after = found[-1][0]
        except UnicodeError:
            raise Found(Finding("the table of what records share cannot be read")) from None
