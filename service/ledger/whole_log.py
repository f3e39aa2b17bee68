"""A whole log held against itself: leaves make the tiles and the roots, and what was signed is a beginning of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Final

from service.db.ledger import StoredCheckpoint
from service.ledger import merkle, notes
from service.ledger.checkpoint import Checkpoint
from service.ledger.errors import LedgerDiffers, NoteRefused

SKEW: Final = timedelta(minutes=5)
"""By how much a time-stamp may seem to be older than the checkpoint that it is over."""

_CHUNK: Final = 4096
"""Leaves that are held in memory."""


@dataclass
class Looked:
    """What was looked at, counted; ``unreadable`` are records and documents whose key was destroyed at their end."""

    leaves: int = 0
    tiles: int = 0
    checkpoints: int = 0
    tokens: int = 0
    cosignatures: int = 0
    evidence: int = 0
    documents: int = 0
    unreadable: int = 0


@dataclass(frozen=True)
class WholeLog:
    """One log as its rows tell it.

    Attributes:
        origin: its name.
        keys: the log's own; every checkpoint must bear a signature of each.
        tiles: reads tiles, as wide as they are; missing ones are left out.
        cosignatures: the signature lines beside the checkpoint of a size, each with its key and time.
        witnesses: keys of witnesses that are known; others' lines are looked at for their form only.
        time_of: the moment that a time-stamp token over this text proves; raises ValueError when it does not.
        looked: what was looked at so far.
    """

    origin: str
    keys: Sequence[notes.VerifierKey]
    tiles: Callable[[Sequence[merkle.TileId]], Mapping[merkle.TileId, bytes]]
    cosignatures: Callable[[int], Iterable[tuple[str, str, datetime]]]
    witnesses: Sequence[notes.VerifierKey]
    time_of: Callable[[bytes, str], datetime]
    looked: Looked = field(default_factory=Looked)

    def check(
        self,
        leaves: Iterable[tuple[int, bytes]],
        stored: Iterable[StoredCheckpoint],
        also: Sequence[tuple[Checkpoint, str]] = (),
    ) -> Checkpoint:
        """Grow the tree once more, leaf by leaf, and hold everything against it.

        Args:
            leaves: index and hash of every leaf, by index.
            stored: every checkpoint, by size.
            also: further tree heads that must be beginnings of the log, each with what it is called.

        Returns:
            The tree head that the leaves lead to.

        Raises:
            LedgerDiffers: the first thing that is not as it must be.
        """
        tree, rest = merkle.GrowingTree(0, {}), _counted(leaves)
        heads = ((row.size, 0, f"The checkpoint of {row.size} leaves", row.root, row) for row in stored)
        others = sorted((head.size, number, name, head.root, None) for number, (head, name) in enumerate(also, 1))
        for size, _, name, root, row in merge(heads, others, key=lambda each: each[:2]):
            self._grow(tree, rest, size)
            if tree.size < size:
                raise LedgerDiffers(f"{name} is of {size} leaves, and the log has {tree.size}.")
            if tree.root() != root:
                raise LedgerDiffers(f"{name} has another root than its leaves give.")
            if row is not None:
                self._checkpoint(row)
        self._grow(tree, rest, None)
        self._hold(tree.edge())
        return Checkpoint(self.origin, tree.size, tree.root())

    def _grow(self, tree: merkle.GrowingTree, rest: Iterator[bytes], until: int | None) -> None:
        while until is None or tree.size < until:
            chunk = list(islice(rest, _CHUNK if until is None else min(_CHUNK, until - tree.size)))
            if not chunk:
                return
            grown = tree.extend(chunk)
            self.looked.leaves += len(chunk)
            edge = tree.edge()
            self._hold({tile: hashes for tile, hashes in grown.items() if tile not in edge})

    def _hold(self, expected: Mapping[merkle.TileId, bytes]) -> None:
        found = self.tiles(sorted(expected))
        for tile in sorted(expected):
            if found.get(tile) != expected[tile]:
                raise LedgerDiffers(f"Tile {tile[1]} of level {tile[0]} is not what the leaves give.")
        self.looked.tiles += len(expected)

    def _checkpoint(self, row: StoredCheckpoint) -> None:
        name, text = f"the checkpoint of {row.size} leaves", Checkpoint(self.origin, row.size, row.root).text
        try:
            found, _ = notes.split(row.note)
            opened = notes.open_note(row.note, self.keys)
        except NoteRefused as error:
            raise LedgerDiffers(f"The signature under {name} does not hold: {error.detail}") from error
        if found != text:
            raise LedgerDiffers(f"The note of {name} says something else than its row.")
        if {each.key for each in opened.verified} != set(self.keys):
            raise LedgerDiffers(f"A signature is missing under {name}.")
        if any(each.at not in {None, row.at.replace(microsecond=0)} for each in opened.verified):
            raise LedgerDiffers(f"The time of {name} is not the one that was signed.")
        self.looked.checkpoints += 1
        if row.timestamp_token is not None:
            self._token(row.timestamp_token, text, name, row.at)
        for key, line, at in self.cosignatures(row.size):
            self._cosignature(text, key, line, at, name)

    def _token(self, token: bytes, text: str, name: str, signed_at: datetime) -> None:
        try:
            at = self.time_of(token, text)
        except ValueError as error:
            raise LedgerDiffers(f"The time-stamp of {name} does not hold: {error}") from error
        if at < signed_at - SKEW:
            raise LedgerDiffers(f"The time-stamp of {name} is older than its signature.")
        self.looked.tokens += 1

    def _cosignature(self, text: str, key: str, line: str, at: datetime, name: str) -> None:
        wrong = LedgerDiffers(f"A cosignature under {name} does not hold.")
        try:
            note = f"{text}\n{line}"
            found, (only,) = notes.split(note)
            if found != text or f"{only.name}+{only.key_id.hex()}" != key or str(only) != line:
                raise wrong
            if any((each.name, each.id) == (only.name, only.key_id) for each in self.witnesses):
                (verified,) = notes.open_note(note, self.witnesses).verified
                if verified.at != at:
                    raise wrong
        except (NoteRefused, ValueError) as error:
            raise wrong from error
        self.looked.cosignatures += 1


def _counted(leaves: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """The hashes, whose indexes must count from 0 without gaps."""
    for expected, (index, leaf) in enumerate(leaves):
        if index != expected:
            raise LedgerDiffers(f"The log has no leaf {expected}.")
        yield leaf
