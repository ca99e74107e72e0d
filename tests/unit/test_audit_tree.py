"""The Merkle tree: the vectors of Certificate Transparency, and the recursive definitions of RFC 9162 as a model."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claviger.audit import tree
from claviger.audit.tree import Frontier, Node, Span

# Inputs and roots of the reference tests of Certificate Transparency.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSIONS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCIES = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


# The model: RFC 9162 section 2.1 as it is written, over the contents of all leaves.


def split(count: int) -> int:
    k = 1
    while k * 2 < count:
        k *= 2
    return k


def mth(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    k = split(len(leaves))
    return sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], known: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if known else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], known), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def grown(leaves: list[bytes]) -> tuple[Frontier, dict[Node, bytes]]:
    """The edge, and every node that appending gave, by the place that it is stored at."""
    frontier, nodes = Frontier(), {}
    for number, content in enumerate(leaves):
        completed = frontier.append(tree.leaf_hash(content))
        for level in range(len(completed) // 32):
            node = Node(level, ((number + 1) >> level) - 1)
            assert node.last == number
            nodes[node] = completed[32 * level : 32 * level + 32]
    return frontier, nodes


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


@pytest.mark.parametrize("size", range(9))
def test_the_roots_of_certificate_transparency(size: int):
    frontier, nodes = grown(LEAVES[:size])
    assert frontier.root().hex() == ROOTS[size]
    assert tree.root_of(size, nodes).hex() == ROOTS[size]


@pytest.mark.parametrize(("place", "proof"), INCLUSIONS.items())
def test_the_inclusion_proofs_of_certificate_transparency(place: tuple[int, int], proof: list[str]):
    index, size = place
    _, nodes = grown(LEAVES)
    ours = tree.proof_of(tree.inclusion_spans(index, size), nodes)
    assert [step.hex() for step in ours] == proof
    assert tree.includes(index, size, tree.leaf_hash(LEAVES[index]), ours, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("sizes", "proof"), CONSISTENCIES.items())
def test_the_consistency_proofs_of_certificate_transparency(sizes: tuple[int, int], proof: list[str]):
    old, new = sizes
    _, nodes = grown(LEAVES)
    ours = tree.proof_of(tree.consistency_spans(old, new), nodes)
    assert [step.hex() for step in ours] == proof
    assert tree.extends(old, new, bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]), ours)


@given(st.integers(0, 80), st.data())
def test_proofs_are_those_of_the_definition_and_hold(size: int, data: st.DataObject):
    leaves = numbered(size)
    frontier, nodes = grown(leaves)
    root = mth(leaves)
    assert frontier.root() == root
    old = data.draw(st.integers(0, size))
    proof = tree.proof_of(tree.consistency_spans(old, size), nodes)
    assert proof == (subproof(old, leaves, True) if old else [])
    assert tree.extends(old, size, mth(leaves[:old]), root, proof)
    if size:
        index = data.draw(st.integers(0, size - 1))
        included = tree.proof_of(tree.inclusion_spans(index, size), nodes)
        assert included == path(index, leaves)
        assert tree.includes(index, size, tree.leaf_hash(leaves[index]), included, root)


@given(st.integers(2, 60), st.data())
def test_a_proof_of_something_else_does_not_hold(size: int, data: st.DataObject):
    leaves = numbered(size)
    _, nodes = grown(leaves)
    root = mth(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = tree.proof_of(tree.inclusion_spans(index, size), nodes)
    leaf = tree.leaf_hash(leaves[index])
    other = data.draw(st.integers(0, size - 1).filter(lambda number: number != index))
    assert not tree.includes(other, size, leaf, proof, root)
    assert not tree.includes(index, size, tree.leaf_hash(b"other"), proof, root)
    assert not tree.includes(index, size, leaf, proof[:-1], root)
    assert not tree.includes(index, size, leaf, [*proof, root], root)
    assert not tree.includes(index, size, leaf, proof, mth([*leaves, b"more"]))
    step = data.draw(st.integers(0, len(proof) - 1))
    spoilt = [bytes([each[0] ^ 1]) + each[1:] if at == step else each for at, each in enumerate(proof)]
    assert not tree.includes(index, size, leaf, spoilt, root)


@given(st.integers(2, 60), st.data())
def test_a_rewritten_past_is_not_consistent(size: int, data: st.DataObject):
    leaves = numbered(size)
    _, nodes = grown(leaves)
    old = data.draw(st.integers(1, size - 1))
    changed = data.draw(st.integers(0, old - 1))
    rewritten = [b"other" if at == changed else each for at, each in enumerate(leaves)]
    proof = tree.proof_of(tree.consistency_spans(old, size), nodes)
    assert not tree.extends(old, size, mth(rewritten[:old]), mth(leaves), proof)
    _, others = grown(rewritten)
    forged = tree.proof_of(tree.consistency_spans(old, size), others)
    assert not tree.extends(old, size, mth(leaves[:old]), mth(rewritten), forged)
    assert not tree.extends(old, size, mth(leaves[:old]), mth(leaves), proof[:-1])
    assert not tree.extends(size, old, mth(leaves), mth(leaves[:old]), proof)


@given(st.integers(0, 300), st.integers(0, 50))
def test_a_frontier_goes_on_where_it_was_left(size: int, more: int):
    leaves = numbered(size + more)
    frontier, _ = grown(leaves[:size])
    again = Frontier(frontier.size, frontier.encoded())
    for content in leaves[size:]:
        again.append(tree.leaf_hash(content))
    assert (again.size, again.root()) == (size + more, mth(leaves))


def test_a_frontier_that_does_not_fit_its_size_is_refused():
    with pytest.raises(ValueError, match="one hash for each bit"):
        Frontier(3, bytes(32))


@given(st.integers(1, 10**9), st.data())
def test_a_proof_reads_few_nodes(size: int, data: st.DataObject):
    index = data.draw(st.integers(0, size - 1))
    assert len(tree.nodes_of(tree.inclusion_spans(index, size))) <= 2 * size.bit_length()
    assert len(tree.nodes_of(tree.consistency_spans(index, size))) <= 2 * size.bit_length()
    assert all(node.last < size for node in tree.nodes_of(tree.inclusion_spans(index, size)))
    assert len(tree.whole_subtrees(Span(0, size))) == size.bit_count()


def test_what_is_outside_of_a_tree_has_no_proof():
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(ValueError, match="no such leaf"):
            tree.inclusion_spans(index, size)
    with pytest.raises(ValueError, match="not larger"):
        tree.consistency_spans(6, 5)
