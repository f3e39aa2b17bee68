"""RFC 6962 Merkle trees over SHA-256: hashes, proofs, and growing a tree through tiles that are 256 hashes wide.

A *leaf* below is always a leaf hash (32 bytes); ``leaf_hash`` makes one of an entry. A *tile* is the concatenation of
up to 256 hashes: tile ``(level, number)`` holds the roots of the complete subtrees of ``256**level`` leaves, from
subtree ``number * 256`` on (C2SP tlog-tiles). A hash in a tile never changes, so a proof for an older tree can be read
from tiles that have grown since.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from service.ledger.errors import ProofRefused

HASH_SIZE = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
EMPTY_ROOT = sha256(b"").digest()

TileId = tuple[int, int]
"""Level and number of a tile."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a log entry (RFC 6962 §2.1): SHA-256 of 0x00 and the entry."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node (RFC 6962 §2.1): SHA-256 of 0x01, the left and the right child."""
    return sha256(b"\x01" + left + right).digest()


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """The root over ``leaves`` (RFC 6962 §2.1, as the RFC defines it): what every faster way must agree with."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = _largest_power_below(len(leaves))
    return node_hash(tree_hash(leaves[:split]), tree_hash(leaves[split:]))


def _largest_power_below(number: int) -> int:
    """The largest power of two smaller than ``number`` (at least 2)."""
    return 1 << ((number - 1).bit_length() - 1)


def _fold(hashes: bytes) -> bytes:
    """The root over a power of two of concatenated hashes."""
    row = [hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE)]
    while len(row) > 1:
        row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


# --- which parts of the tree a proof is made of ---------------------------------------------------------------------


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The leaf ranges whose roots prove leaf ``index`` in a tree of ``size``, from the leaf upwards (RFC 6962 §2.1.1).

    Raises:
        ProofRefused: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ProofRefused("The tree has no leaf with this index.")
    start, end, downwards = 0, size, []
    while end - start > 1:
        split = start + _largest_power_below(end - start)
        if index < split:
            downwards.append((split, end))
            end = split
        else:
            downwards.append((start, split))
            start = split
    return downwards[::-1]


def consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """The leaf ranges whose roots prove that a tree of ``new`` leaves begins with the one of ``old`` (RFC 6962 §2.1.2).

    Empty when nothing needs proving (an empty old tree, or both of one size).

    Raises:
        ProofRefused: the old tree is the larger one.
    """
    if not 0 <= old <= new:
        raise ProofRefused("A tree cannot begin with a larger one.")
    if old in {0, new}:
        return []
    start, end, whole, downwards = 0, new, True, []
    while old != end:
        split = start + _largest_power_below(end - start)
        if old <= split:
            downwards.append((split, end))
            end = split
        else:
            downwards.append((start, split))
            start, whole = split, False
    if not whole:
        downwards.append((start, end))
    return downwards[::-1]


def _complete_parts(start: int, end: int) -> list[tuple[int, int]]:
    """The complete subtrees that make up ``[start, end)``, as (height, position), left to right.

    ``start`` must be a multiple of the largest of them, as it is for every range of a proof.
    """
    parts = []
    while start < end:
        height = (end - start).bit_length() - 1
        parts.append((height, start >> height))
        start += 1 << height
    return parts


def _place(height: int, position: int) -> tuple[TileId, int, int]:
    """Where a complete subtree lies: its tile, and the first and the last-plus-one hash in it."""
    level, above = divmod(height, TILE_HEIGHT)
    first = position << above
    number, offset = divmod(first, TILE_WIDTH)
    return (level, number), offset, offset + (1 << above)


def tiles_of(ranges: Iterable[tuple[int, int]]) -> set[TileId]:
    """The tiles from which the roots of ``ranges`` can be computed."""
    return {_place(*part)[0] for start, end in ranges for part in _complete_parts(start, end)}


def range_hash(start: int, end: int, tiles: Mapping[TileId, bytes]) -> bytes:
    """The root over the leaves ``[start, end)``, computed from ``tiles`` (the ones ``tiles_of`` names).

    Raises:
        ProofRefused: a tile is missing or narrower than the range needs.
    """
    root = b""
    for height, position in reversed(_complete_parts(start, end)):
        tile, first, last = _place(height, position)
        hashes = tiles.get(tile, b"")[first * HASH_SIZE : last * HASH_SIZE]
        if len(hashes) != (last - first) * HASH_SIZE:
            raise ProofRefused("A tile that the proof needs is missing or too short.")
        part = _fold(hashes)
        root = node_hash(part, root) if root else part
    return root or EMPTY_ROOT


def inclusion_proof(index: int, size: int, tiles: Mapping[TileId, bytes]) -> list[bytes]:
    """The hashes that prove leaf ``index`` in the tree of ``size`` leaves, from the leaf upwards."""
    return [range_hash(start, end, tiles) for start, end in inclusion_ranges(index, size)]


def consistency_proof(old: int, new: int, tiles: Mapping[TileId, bytes]) -> list[bytes]:
    """The hashes that prove that the tree of ``new`` leaves begins with the tree of ``old`` leaves."""
    return [range_hash(start, end, tiles) for start, end in consistency_ranges(old, new)]


# --- checking proofs --------------------------------------------------------------------------------------------------


def verify_inclusion(leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Check that ``leaf`` stands at ``index`` in the tree of ``size`` leaves with this ``root`` (RFC 9162 §2.1.3.2).

    Raises:
        ProofRefused: the proof does not show it.
    """
    if not 0 <= index < size:
        raise ProofRefused("The tree has no leaf with this index.")
    at, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofRefused("The inclusion proof is too long.")
        if at & 1 or at == last:
            computed = node_hash(sibling, computed)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofRefused("The inclusion proof is too short.")
    if computed != root:
        raise ProofRefused("The inclusion proof leads to another root.")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree ``(new, new_root)`` begins with the tree ``(old, old_root)`` (RFC 9162 §2.1.4.2).

    Raises:
        ProofRefused: the proof does not show it.
    """
    if not 0 <= old <= new:
        raise ProofRefused("A tree cannot begin with a larger one.")
    if old == 0 and (proof or old_root != EMPTY_ROOT):
        raise ProofRefused("An empty tree has one root and needs no proof.")
    if old == new and (proof or old_root != new_root):
        raise ProofRefused("Two trees of one size must have one root and need no proof.")
    if old not in {0, new}:
        before, after = _both_roots(old, old_root, new, proof)
        if before != old_root or after != new_root:
            raise ProofRefused("The consistency proof does not lead to both roots.")


def _both_roots(old: int, old_root: bytes, new: int, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The roots of the old and the new tree to which a consistency proof leads."""
    # The old tree is itself a part of the new one where its size is a power of two: the proof then leaves it out.
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        raise ProofRefused("The consistency proof is too short.")
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofRefused("The consistency proof is too long.")
        if at & 1 or at == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofRefused("The consistency proof is too short.")
    return before, after


# --- growing ----------------------------------------------------------------------------------------------------------


def edge_tiles(size: int) -> list[TileId]:
    """The tiles that are partly filled in a tree of ``size`` leaves: at most one at each level, the lowest first."""
    return [
        (level, (size >> (TILE_HEIGHT * level)) // TILE_WIDTH)
        for level in range((size.bit_length() + TILE_HEIGHT - 1) // TILE_HEIGHT)
        if (size >> (TILE_HEIGHT * level)) % TILE_WIDTH
    ]


class GrowingTree:
    """The right edge of a tree: all that is needed to append leaves and to know the new root.

    Args:
        size: number of leaves so far.
        edge: the tiles that ``edge_tiles(size)`` names; wider ones are cut to what belongs to this size.

    Raises:
        ProofRefused: an edge tile is missing or too short.
    """

    def __init__(self, size: int, edge: Mapping[TileId, bytes]) -> None:
        self.size = size
        self._rows: list[bytearray] = []
        for level in range((size.bit_length() + TILE_HEIGHT - 1) // TILE_HEIGHT):
            number, width = divmod(size >> (TILE_HEIGHT * level), TILE_WIDTH)
            row = bytearray(edge[level, number][: width * HASH_SIZE] if width and (level, number) in edge else b"")
            if len(row) != width * HASH_SIZE:
                raise ProofRefused("A tile at the edge of the tree is missing or too short.")
            self._rows.append(row)

    def extend(self, leaves: Iterable[bytes]) -> dict[TileId, bytes]:
        """Append ``leaves`` and return every tile that was begun, grown or filled, whole."""
        changed: dict[TileId, bytes] = {}
        touched: set[int] = set()
        for leaf in leaves:
            self._put(0, self.size, leaf, changed, touched)
            self.size += 1
        return changed | {tile: hashes for tile, hashes in self.edge().items() if tile[0] in touched}

    def _put(self, level: int, position: int, value: bytes, changed: dict[TileId, bytes], touched: set[int]) -> None:
        if level == len(self._rows):
            self._rows.append(bytearray())
        row = self._rows[level]
        row += value
        touched.add(level)
        if len(row) == TILE_WIDTH * HASH_SIZE:
            full = bytes(row)
            row.clear()
            changed[level, position // TILE_WIDTH] = full
            self._put(level + 1, position // TILE_WIDTH, _fold(full), changed, touched)

    def edge(self) -> dict[TileId, bytes]:
        """The tiles that are partly filled now: those that ``edge_tiles`` names."""
        return {
            (level, (self.size >> (TILE_HEIGHT * level)) // TILE_WIDTH): bytes(row)
            for level, row in enumerate(self._rows)
            if row
        }

    def root(self) -> bytes:
        """The root over all leaves so far."""
        root = b""
        for row in self._rows:
            end = len(row) // HASH_SIZE
            while end:
                width = end & -end
                part = _fold(bytes(row[(end - width) * HASH_SIZE : end * HASH_SIZE]))
                root = node_hash(part, root) if root else part
                end -= width
        return root or EMPTY_ROOT
