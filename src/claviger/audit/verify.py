"""Verifies an audit log without trusting whoever keeps it: all that is needed is the records and the public key.

`Checker` is fed records, checkpoints and the end, in their order, and recomputes everything: each record's canonical
form and hash, every node of the tree, every checkpoint's signature and root, and what a witness saw. It stops at the
first thing that is wrong. It is fed by `stored.py` from a database, by `export.py` from a file.

What is promised: a record that a checkpoint covers, ours or one that a witness has, cannot be changed, moved, left out
or added without this finding it. Records behind the last checkpoint only have their hashes, which anybody can compute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from claviger.audit.entry import Recorded, decoded
from claviger.audit.signed_note import Checkpoint, PublicKey, checkpoint_of
from claviger.audit.tree import HASH_LENGTH, Frontier, leaf_hash
from claviger.core.errors import Damaged


class Finding(msgspec.Struct, frozen=True):
    """The first thing that is wrong.

    `seq` is the first record that is bad or missing, None where it is not a record; `until` is set where the tampering
    can only be narrowed down to the records from `seq` to `until`.
    """

    problem: str
    seq: int | None = None
    until: int | None = None

    def __str__(self) -> str:
        if self.seq is None:
            return self.problem
        if self.until is None or self.until == self.seq:
            return f"record {self.seq} {self.problem}"
        return f"of the records {self.seq} to {self.until} at least one {self.problem}"


class Found(Exception):
    """Ends a verification with its finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


class Report(msgspec.Struct, kw_only=True):
    """What a verification came to. The first `signed_count` records are covered by a checkpoint, and so on."""

    record_count: int
    checkpoint_count: int
    signed_count: int
    witnessed_count: int
    origin: str
    root: bytes
    finding: Finding | None = None
    warnings: list[str] = []

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return self.finding is None


def _checked(key: PublicKey, note: str, what: str) -> Checkpoint:
    try:
        checkpoint = checkpoint_of(key.opened(note))
    except Damaged as damaged:
        raise Found(Finding(f"{what} {damaged.facts['problem']}")) from None
    if checkpoint.origin != key.name:
        raise Found(Finding(f"{what} is of another log, {checkpoint.origin}"))
    return checkpoint


class Checker:
    """One verification. Every method raises Found at the first thing that is wrong."""

    def __init__(self, key: PublicKey) -> None:
        self.size = 0
        self.checkpoint_count = 0
        self.signed_count = 0
        self.witnessed_count = 0
        self._key = key
        self._frontier = Frontier()
        self._seen: dict[int, list[Checkpoint]] = defaultdict(list)
        self._last_seen = 0
        self._doubt: tuple[Finding, Finding] | None = None

    def expect(self, notes: Iterable[str]) -> None:
        """What witnesses have kept; to be given before anything else."""
        for number, note in enumerate(notes, 1):
            seen = _checked(self._key, note, f"checkpoint {number} of the witness")
            self._seen[seen.size].append(seen)
            self._last_seen = max(self._last_seen, seen.size)
        self._compare_seen()

    def record(self, seq: int, body: bytes, hashes: bytes) -> Recorded:
        """The next record, and the hashes stored with it; what the record says."""
        if seq != self.size:
            raise self._found("is missing" if seq > self.size else "is there twice", self.size)
        try:
            entry = decoded(body)
        except Damaged as damaged:
            raise self._found(str(damaged.facts["problem"]), seq) from None
        leaf = leaf_hash(body)
        completed = self._frontier.append(leaf)
        if hashes != completed:
            self._differs(seq, hashes, completed)
        self.size = seq + 1
        if self.size in self._seen:
            self._compare_seen()
        return entry

    def _differs(self, seq: int, hashes: bytes, completed: bytes) -> None:
        if hashes[:HASH_LENGTH] != completed[:HASH_LENGTH]:
            raise self._found("is not what its hash was made of", seq)
        first = max(self.signed_count, self.witnessed_count)
        if len(hashes) == len(completed):
            places = range(0, len(hashes), HASH_LENGTH)
            wrong = next(at for at in places if hashes[at : at + HASH_LENGTH] != completed[at : at + HASH_LENGTH])
            first = max(first, seq + 1 - (1 << wrong // HASH_LENGTH))
        if self._doubt is None:  # which of the two it is, the next checkpoint tells
            own = Finding("has changed hashes of the records before it, which are as they were signed", seq)
            self._doubt = own, Finding("was put here or changed together with its own hash", first, seq)

    def found_in(self, seq: int, problem: str) -> Found:
        """What is wrong with a record beyond its place in the tree; or what was wrong before it."""
        return self._found(problem, seq)

    def _found(self, problem: str, seq: int | None = None, until: int | None = None) -> Found:
        """The finding, unless there was doubt about something before it."""
        return Found(Finding(problem, seq, until) if self._doubt is None else self._doubt[1])

    def _compare_seen(self) -> None:
        for seen in self._seen.get(self.size, ()):
            if seen.root != self._frontier.root():
                raise self._changed("is not what a witness saw")
            self.witnessed_count = self.size
            self._settle()

    def _changed(self, problem: str) -> Found:
        first = max(self.signed_count, self.witnessed_count)
        if first >= self.size:  # the same records, signed as two things
            return self._found(f"the beginning of the log, up to record {self.size - 1}, {problem}")
        return self._found(problem, first, self.size - 1)

    def _settle(self) -> None:
        """What is covered now is right: a doubt about it was about a stored hash alone."""
        if self._doubt is not None:
            raise Found(self._doubt[0])

    def checkpoint(self, size: int, note: str) -> None:
        """A checkpoint of the records so far, and the size that it is kept under."""
        found = _checked(self._key, note, f"the checkpoint of {size} records")
        if found.size > self.size:
            raise self._found(f"is missing: the checkpoint of {found.size} records stands before it", self.size)
        if found.size != size or size != self.size:
            raise self._found(f"the checkpoint of {found.size} records stands where {self.size} records end")
        if found.root != self._frontier.root():
            raise self._changed("is not what was signed")
        self.checkpoint_count += 1
        self.signed_count = size
        self._settle()

    def end(self, size: int, frontier: bytes | None, root: bytes | None = None) -> None:
        """The log ends here, and says itself that it has `size` records, with this edge or this root."""
        if size > self.size:
            raise self._found(f"is missing: the log says that it has {size} records", self.size)
        if size < self.size:
            raise self._found("is none of the log's: it says that it ends before", size)
        if self._last_seen > self.size:
            raise self._shorter(
                f"the log was rolled back, for a witness saw {self._last_seen} records", self._last_seen
            )
        if self._doubt is not None:
            raise Found(self._doubt[1])
        if frontier not in (None, self._frontier.encoded()) or root not in (None, self._frontier.root()):
            raise Found(Finding("the head of the log is not what its records add up to"))

    def cut_short(self, signed: int) -> Found:
        """A checkpoint of more records than there are: what came after the last one that fits cannot be trusted."""
        return self._shorter(f"the log was signed with {signed} records", signed)

    def _shorter(self, told: str, size: int) -> Found:
        """Any record that no checkpoint covers may be the one: whoever leaves it out moves the others up."""
        return self._found(f"is missing or was changed: {told}", max(self.signed_count, self.witnessed_count), size - 1)

    def report(self, finding: Finding | None) -> Report:
        """How far it got, and what it found."""
        warnings = []
        if finding is None and self.size > max(self.signed_count, self.witnessed_count):
            left = self.size - max(self.signed_count, self.witnessed_count)
            warnings.append(f"the last {left} records are not signed yet: `claviger audit checkpoint` signs them")
        return Report(
            record_count=self.size,
            checkpoint_count=self.checkpoint_count,
            signed_count=self.signed_count,
            witnessed_count=self.witnessed_count,
            origin=self._key.name,
            root=self._frontier.root(),
            finding=finding,
            warnings=warnings,
        )
