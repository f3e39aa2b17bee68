"""The whole log by the definition of its tree: leaves, tiles, every head that was ever signed."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import psycopg

_TILE: Final = 256
_HASH: Final = 32
_LEVELS: Final = 8


class _Tree:
    """Tree heads of RFC 6962, section 2.1, over ``leaves``; whole subtrees are computed once."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._leaves = leaves
        self._known: dict[tuple[int, int], bytes] = {}

    def root(self, first: int, size: int) -> bytes:
        """The head of ``size`` leaves from ``first`` on."""
        if size == 0:
            return hashlib.sha256().digest()
        if size == 1:
            return self._leaves[first]
        found = self._known.get((first, size))
        if found is None:
            split = 1 << (size - 1).bit_length() - 1
            found = hashlib.sha256(b"\x01" + self.root(first, split) + self.root(first + split, size - split)).digest()
            if size & (size - 1) == 0:
                self._known[first, size] = found
        return found


def ledger_faults(connection: "psycopg.Connection[Any]") -> Iterator[str]:
    """Whether the log holds each evidence once, in one order, and everything signed is a beginning of it."""
    leaves = connection.execute("SELECT index, evidence_id, leaf_hash FROM ledger_leaf ORDER BY index").fetchall()
    evidence = dict(connection.execute("SELECT id, leaf_hash FROM evidence").fetchall())
    if len(leaves) != len(evidence) or {row[1] for row in leaves} != evidence.keys():
        yield f"the ledger has {len(leaves)} leaves for {len(evidence)} evidences, or others' leaves"
    if [row[0] for row in leaves] != list(range(len(leaves))):
        yield "the ledger's leaves are not counted from 0 without gaps"
    if any(evidence.get(row[1]) != row[2] for row in leaves):
        yield "a leaf is not its evidence's hash"
    if connection.execute("SELECT count(*) FROM ledger_pending").fetchone() != (0,):
        yield "leaves wait for their place in the ledger"
    hashes = [bytes(row[2]) for row in leaves]
    tree = _Tree(hashes)
    head = connection.execute("SELECT size, root, signed_size FROM ledger_head").fetchone()
    if head is None or head != (len(hashes), tree.root(0, len(hashes)), len(hashes)):
        yield "the ledger's head is not the tree of its leaves, or is not signed"
    yield from _checkpoints(connection, tree, len(hashes))
    yield from _tiles(connection, tree, len(hashes))


def _checkpoints(connection: "psycopg.Connection[Any]", tree: _Tree, size: int) -> Iterator[str]:
    """Nothing signed may ever be taken back: each signed head is a beginning of the log as it is."""
    newest = 0
    for at, root, note in connection.execute("SELECT size, root, note FROM ledger_checkpoint ORDER BY size"):
        newest = at
        if at > size or tree.root(0, at) != root:
            yield f"the head that was signed for {at} leaves is not a beginning of the log"
        if note.split("\n")[1:3] != [str(at), base64.b64encode(root).decode()]:
            yield f"the note for {at} leaves says something else"
    if newest != size:
        yield f"the newest signed head has {newest} leaves of {size}"


def _tiles(connection: "psycopg.Connection[Any]", tree: _Tree, size: int) -> Iterator[str]:
    expected = {}
    for level in range(_LEVELS):
        below = _TILE**level
        for first in range(0, size // below, _TILE):
            count = min(_TILE, size // below - first)
            expected[level, first // _TILE] = b"".join(tree.root((first + n) * below, below) for n in range(count))
    found = {
        (level, number): bytes(hashes)
        for level, number, hashes in connection.execute("SELECT level, number, hashes FROM ledger_tile")
    }
    if found != expected:
        wrong = sorted(each for each in found.keys() | expected.keys() if found.get(each) != expected.get(each))
        yield f"tiles of the ledger are not its leaves: {wrong[:3]}"
