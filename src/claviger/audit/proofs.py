"""Proofs about the stored log: that a record is in it, and that an earlier state is its beginning (RFC 9162 2.1)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from claviger.audit import records
from claviger.audit.tree import (
    EMPTY_ROOT,
    Node,
    Span,
    consistency_spans,
    inclusion_spans,
    nodes_of,
    proof_of,
    root_of,
    whole_subtrees,
)
from claviger.core.errors import Damaged, Invalid
from claviger.store.contract import Store


class Inclusion(msgspec.Struct, frozen=True):
    """Record `seq`, by the hash of its leaf, is in the tree of the first `size` records, whose root this is."""

    seq: int
    size: int
    leaf: bytes
    root: bytes
    proof: Sequence[bytes]


class Consistency(msgspec.Struct, frozen=True):
    """The tree of the first `new` records begins with that of the first `old`."""

    old: int
    new: int
    old_root: bytes
    new_root: bytes
    proof: Sequence[bytes]


async def inclusion(store: Store, seq: int, size: int | None = None) -> Inclusion:
    """The proof that a record is among the first `size`, by default all. Reads as many nodes as the tree is high.

    Raises Invalid("AuditProof") for a record or size that is not there, Damaged("AuditTree") where nodes are missing.
    """
    held = (await records.head(store)).size
    size = held if size is None else size
    if not 0 <= seq < size <= held:
        raise Invalid("AuditProof", message=f"the log has {held} records; give a record below a size of at most that")
    spans = inclusion_spans(seq, size)
    leaf = Node(0, seq)
    hashes = await _hashes(store, [leaf, *nodes_of(spans), *whole_subtrees(Span(0, size))])
    return Inclusion(seq, size, hashes[leaf], root_of(size, hashes), proof_of(spans, hashes))


async def consistency(store: Store, old: int, new: int | None = None) -> Consistency:
    """The proof that the first `new` records, by default all, begin with the first `old`. Raises as `inclusion`."""
    held = (await records.head(store)).size
    new = held if new is None else new
    if not 0 <= old <= new <= held:
        raise Invalid(
            "AuditProof", message=f"the log has {held} records; give two sizes up to that, the smaller one first"
        )
    spans = consistency_spans(old, new)
    wanted = [*nodes_of(spans), *whole_subtrees(Span(0, old)), *whole_subtrees(Span(0, new))]
    hashes = await _hashes(store, wanted)
    return Consistency(old, new, root_of(old, hashes), root_of(new, hashes), proof_of(spans, hashes))


async def root_at(store: Store, size: int) -> bytes:
    """The root of the first `size` records. Raises Damaged("AuditTree") where there are not so many."""
    return root_of(size, await _hashes(store, whole_subtrees(Span(0, size)))) if size else EMPTY_ROOT


async def _hashes(store: Store, nodes: Sequence[Node]) -> dict[Node, bytes]:
    found = await records.node_hashes(store, nodes)
    if len(found) != len(set(nodes)):
        raise Damaged(
            "AuditTree", problem="hashes of the audit log are missing", fix="claviger audit verify names the place"
        )
    return found
