"""Trees of any size: the fast ways agree with the definition, and any changed bit is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.ledger import entry, merkle, verify
from service.ledger.errors import ProofRefused
from tests.ledger_support import leaves, tiles_over

MOST = 1100
ROW = leaves(MOST)
TILES = tiles_over(ROW)
sizes = st.integers(0, MOST)


@st.composite
def leaf_in_tree(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(st.integers(1, MOST))
    return draw(st.integers(0, size - 1)), size


@st.composite
def two_trees(draw: st.DrawFn) -> tuple[int, int]:
    new = draw(sizes)
    return draw(st.integers(0, new)), new


def flip(value: bytes, bit: int) -> bytes:
    changed = bytearray(value)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@given(st.lists(st.integers(0, 600), max_size=6))
def test_a_tree_grown_in_any_steps_is_the_tree(steps: list[int]) -> None:
    tiles: dict[tuple[int, int], bytes] = {}
    size = 0
    for wish in steps:
        step = min(wish, MOST - size)
        edge = {tile: tiles[tile] for tile in merkle.edge_tiles(size)}
        tree = merkle.GrowingTree(size, edge)
        tiles |= tree.extend(ROW[size : size + step])
        size += step
        assert tree.size == size
        assert tree.root() == merkle.tree_hash(ROW[:size])
    assert tiles == tiles_over(ROW[:size])


@given(sizes)
def test_older_roots_are_read_from_tiles_that_grew_since(size: int) -> None:
    tree = merkle.GrowingTree(size, TILES)
    assert tree.root() == merkle.range_hash(0, size, TILES) == merkle.tree_hash(ROW[:size])


@given(leaf_in_tree())
def test_every_leaf_is_proved(where: tuple[int, int]) -> None:
    index, size = where
    wanted = merkle.tiles_of(merkle.inclusion_ranges(index, size))
    proof = merkle.inclusion_proof(index, size, {tile: TILES[tile] for tile in wanted})
    root = merkle.tree_hash(ROW[:size])
    merkle.verify_inclusion(ROW[index], index, size, root, proof)
    assert verify.root_of(ROW[index], index, size, proof) == root


@given(two_trees())
def test_every_growth_is_proved(which: tuple[int, int]) -> None:
    old, new = which
    wanted = merkle.tiles_of(merkle.consistency_ranges(old, new))
    proof = merkle.consistency_proof(old, new, {tile: TILES[tile] for tile in wanted})
    merkle.verify_consistency(old, merkle.tree_hash(ROW[:old]), new, merkle.tree_hash(ROW[:new]), proof)


@given(leaf_in_tree(), st.data())
def test_one_changed_bit_spoils_an_inclusion_proof(where: tuple[int, int], data: st.DataObject) -> None:
    index, size = where
    proof = merkle.inclusion_proof(index, size, TILES)
    parts = [ROW[index], merkle.tree_hash(ROW[:size]), *proof]
    which, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    parts[which] = flip(parts[which], bit)
    with pytest.raises(ProofRefused):
        merkle.verify_inclusion(parts[0], index, size, parts[1], parts[2:])


@given(leaf_in_tree(), st.integers(0, MOST))
def test_a_proof_holds_for_its_own_index_only(where: tuple[int, int], other: int) -> None:
    index, size = where
    if other == index:
        return
    proof = merkle.inclusion_proof(index, size, TILES)
    with pytest.raises(ProofRefused):
        merkle.verify_inclusion(ROW[index], other, size, merkle.tree_hash(ROW[:size]), proof)


@given(two_trees().filter(lambda which: 0 < which[0] < which[1]), st.data())
def test_one_changed_bit_spoils_a_consistency_proof(which: tuple[int, int], data: st.DataObject) -> None:
    old, new = which
    parts = [merkle.tree_hash(ROW[:old]), merkle.tree_hash(ROW[:new]), *merkle.consistency_proof(old, new, TILES)]
    at, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    parts[at] = flip(parts[at], bit)
    with pytest.raises(ProofRefused):
        merkle.verify_consistency(old, parts[0], new, parts[1], parts[2:])


@given(two_trees().filter(lambda which: 0 < which[0] < which[1]), st.data())
def test_a_rewritten_leaf_never_continues_the_old_tree(which: tuple[int, int], data: st.DataObject) -> None:
    old, new = which
    forged = ROW[:new]
    at = data.draw(st.integers(0, old - 1))
    forged[at] = flip(forged[at], 0)
    proof = merkle.consistency_proof(old, new, tiles_over(forged))
    with pytest.raises(ProofRefused):
        merkle.verify_consistency(old, merkle.tree_hash(ROW[:old]), new, merkle.tree_hash(forged), proof)


texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300)
@given(json_values)
def test_both_canonical_forms_agree(value: object) -> None:
    assert verify.canonical(value).encode() == entry.canonical(value)
