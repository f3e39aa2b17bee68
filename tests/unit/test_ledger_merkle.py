"""RFC 6962 trees against the published vectors of the Certificate Transparency test data."""

import pytest

from service.ledger import merkle
from service.ledger.errors import ProofRefused
from tests.ledger_support import leaves, tiles_over

ENTRIES = [
    bytes.fromhex(entry)
    for entry in (
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
INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int) -> None:
    assert merkle.tree_hash(LEAVES[:size]).hex() == ROOTS[size]
    grown = merkle.GrowingTree(0, {})
    grown.extend(LEAVES[:size])
    assert grown.root().hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(index: int, size: int, proof: list[str]) -> None:
    made = merkle.inclusion_proof(index, size, tiles_over(LEAVES))
    assert [value.hex() for value in made] == proof
    merkle.verify_inclusion(LEAVES[index], index, size, bytes.fromhex(ROOTS[size]), made)


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(old: int, new: int, proof: list[str]) -> None:
    made = merkle.consistency_proof(old, new, tiles_over(LEAVES))
    assert [value.hex() for value in made] == proof
    merkle.verify_consistency(old, bytes.fromhex(ROOTS[old]), new, bytes.fromhex(ROOTS[new]), made)


def test_a_leaf_is_never_taken_for_a_node() -> None:
    left, right = LEAVES[:2]
    assert merkle.leaf_hash(left + right) != merkle.node_hash(left, right)


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0)])
def test_a_leaf_outside_the_tree_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ProofRefused):
        merkle.inclusion_ranges(index, size)
    with pytest.raises(ProofRefused):
        merkle.verify_inclusion(LEAVES[0], index, size, merkle.EMPTY_ROOT, [])


@pytest.mark.parametrize(("old", "new"), [(5, 4), (-1, 4)])
def test_a_smaller_tree_never_continues_a_larger_one(old: int, new: int) -> None:
    with pytest.raises(ProofRefused):
        merkle.consistency_ranges(old, new)
    with pytest.raises(ProofRefused):
        merkle.verify_consistency(old, merkle.EMPTY_ROOT, new, merkle.EMPTY_ROOT, [])


def test_every_tree_continues_the_empty_one_without_proof() -> None:
    root = bytes.fromhex(ROOTS[8])
    merkle.verify_consistency(0, merkle.EMPTY_ROOT, 8, root, [])
    for wrong in ((LEAVES[0], []), (merkle.EMPTY_ROOT, [LEAVES[0]])):
        with pytest.raises(ProofRefused):
            merkle.verify_consistency(0, wrong[0], 8, root, wrong[1])


def test_trees_of_one_size_have_one_root() -> None:
    with pytest.raises(ProofRefused):
        merkle.verify_consistency(2, bytes.fromhex(ROOTS[2]), 2, bytes.fromhex(ROOTS[3]), [])


@pytest.mark.parametrize("length", [0, 1, 2, 4, 5])
def test_proofs_of_another_length_are_refused(length: int) -> None:
    tiles = tiles_over(LEAVES)
    inclusion = (merkle.inclusion_proof(0, 8, tiles) + LEAVES)[:length]
    with pytest.raises(ProofRefused):
        merkle.verify_inclusion(LEAVES[0], 0, 8, bytes.fromhex(ROOTS[8]), inclusion)
    consistency = (merkle.consistency_proof(6, 8, tiles) + LEAVES)[:length]
    with pytest.raises(ProofRefused):
        merkle.verify_consistency(6, bytes.fromhex(ROOTS[6]), 8, bytes.fromhex(ROOTS[8]), consistency)


def test_a_missing_or_short_tile_is_noticed() -> None:
    row = leaves(300)
    tiles = tiles_over(row)
    with pytest.raises(ProofRefused):
        merkle.inclusion_proof(0, 300, {**tiles, (0, 0): tiles[0, 0][:-32]})
    with pytest.raises(ProofRefused):
        merkle.GrowingTree(300, {tile: hashes for tile, hashes in tiles.items() if tile != (0, 1)})
    with pytest.raises(ProofRefused):
        merkle.GrowingTree(300, {**tiles, (0, 1): tiles[0, 1][:-32]})


def test_a_tree_of_70000_has_the_tiles_of_the_specification() -> None:
    tiles = tiles_over(leaves(1) * 70_000)
    widths = {tile: len(hashes) // 32 for tile, hashes in tiles.items()}
    assert sum(1 for (level, _), width in widths.items() if level == 0 and width == 256) == 273
    assert widths[0, 273] == 112
    assert (widths[1, 0], widths[1, 1], widths[2, 0]) == (256, 17, 1)
    assert merkle.edge_tiles(70_000) == [(0, 273), (1, 1), (2, 0)]
