"""The Merkle tree of RFC 6962 and RFC 9162 section 2.1, pure: hashes, the growing edge, proofs and their checks.

A tree of n leaves is cut into whole subtrees, the largest first; `Frontier` holds their roots, which is all that
appending needs. A whole subtree is named by its `Node`: level 0 is a leaf, node i of level l covers the leaves from
i << l up to ((i + 1) << l) - 1. Proofs are made of such nodes, which never change once they are whole; whoever makes a
proof first asks which nodes it needs, reads them all at once, and folds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

HASH_LENGTH = 32
EMPTY_ROOT = sha256(b"").digest()


class Node(NamedTuple):
    """A whole subtree: of 2**level leaves, the `place`-th of its size, from 0."""

    level: int
    place: int

    @property
    def last(self) -> int:
        """The leaf that completes it."""
        return ((self.place + 1) << self.level) - 1


class Span(NamedTuple):
    """The leaves from `start` up to and without `end`, as one subtree of a proof."""

    start: int
    end: int


def leaf_hash(content: bytes) -> bytes:
    """The hash of a leaf: SHA-256 of 0x00 and the content."""
    return sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256 of 0x01 and its two children."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The growing edge of a tree: how many leaves, and the roots of its whole subtrees, largest first."""

    __slots__ = ("_roots", "size")

    def __init__(self, size: int = 0, roots: bytes = b"") -> None:
        """`roots` is what `encoded` gives. Raises ValueError where they are not as many as `size` has."""
        if size < 0 or len(roots) != HASH_LENGTH * size.bit_count():
            raise ValueError("a frontier has one hash for each bit of its size")
        self.size = size
        self._roots = [roots[at : at + HASH_LENGTH] for at in range(0, len(roots), HASH_LENGTH)]

    def append(self, leaf: bytes) -> bytes:
        """Adds a leaf by its hash; that hash and, behind it, those of the subtrees it completes, smallest first."""
        size, roots, completed = self.size, self._roots, leaf
        while size & 1:
            leaf = sha256(b"\x01" + roots.pop() + leaf).digest()
            completed += leaf
            size >>= 1
        roots.append(leaf)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The hash of the whole tree."""
        return folded(self._roots) if self._roots else EMPTY_ROOT

    def encoded(self) -> bytes:
        """All roots in a row, largest subtree first."""
        return b"".join(self._roots)


def folded(roots: Sequence[bytes]) -> bytes:
    """The hash of a tree of whole subtrees, of which the largest comes first."""
    right = roots[-1]
    for left in reversed(roots[:-1]):
        right = node_hash(left, right)
    return right


def whole_subtrees(span: Span) -> list[Node]:
    """The whole subtrees that a span of a proof is made of, largest first. Its start is a multiple of its size."""
    nodes, start = [], span.start
    while start < span.end:
        level = (span.end - start).bit_length() - 1
        nodes.append(Node(level, start >> level))
        start += 1 << level
    return nodes


def _split(count: int) -> int:
    """The largest power of two below `count`, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The subtrees of the proof that leaf `index` is in the tree of `size` leaves, in its order (RFC 9162 2.1.3.1).

    Raises ValueError for a leaf that is not in it.
    """
    if not 0 <= index < size:
        raise ValueError("no such leaf in a tree of that size")
    start, end, spans = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(start, middle))
            start = middle
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """The subtrees of the proof that the tree of `new` leaves begins with that of `old` (RFC 9162 2.1.4.1).

    None for equal sizes, and for an empty old tree. Raises ValueError where `old` is larger.
    """
    if not 0 <= old <= new:
        raise ValueError("the old tree is not larger than the new one")
    if old in (0, new):
        return []
    start, end, known, spans = 0, new, True, []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(start, middle))
            start, known = middle, False
    if not known:
        spans.append(Span(start, end))
    return spans[::-1]


def nodes_of(spans: Iterable[Span]) -> list[Node]:
    """All whole subtrees that the spans of a proof need."""
    return [node for span in spans for node in whole_subtrees(span)]


def proof_of(spans: Iterable[Span], hashes: Mapping[Node, bytes]) -> list[bytes]:
    """The proof itself, out of the hashes of `nodes_of(spans)`."""
    return [folded([hashes[node] for node in whole_subtrees(span)]) for span in spans]


def root_of(size: int, hashes: Mapping[Node, bytes]) -> bytes:
    """The root of the first `size` leaves, out of the hashes of the whole subtrees of `Span(0, size)`."""
    return folded([hashes[node] for node in whole_subtrees(Span(0, size))]) if size else EMPTY_ROOT


def includes(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that `leaf`, a leaf's hash, is number `index` of the tree (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(step, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, step)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def extends(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of `new` leaves begins with that of `old` (RFC 9162 2.1.4.2)."""
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    if old > new or old < 0 or not proof:
        return False
    steps = list(proof) if old & (old - 1) else [old_root, *proof]
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    older = newer = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            older, newer = node_hash(step, older), node_hash(step, newer)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            newer = node_hash(newer, step)
        place, last = place >> 1, last >> 1
    return last == 0 and older == old_root and newer == new_root
