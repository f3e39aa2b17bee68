"""How letters that wait are shared over print houses, sorted, and cut: what a run is, from numbers alone."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

_T = TypeVar("_T")

REPRINT_REASONS: Final = frozenset({"lost", "damaged", "misprinted", "pulled", "rejected"})
"""Why a letter is printed again."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A letter that waits for its run, as far as its place depends on it.

    Attributes:
        size: bytes of its copy.
        set_number: of its sheets' codes.
        kind: its batch key.
        share_key: the same for all letters that may share an envelope with it; None where it has its own.
    """

    delivery_id: uuid.UUID
    leg: int
    attempt: int
    postcode: str
    sheets: int
    queued_at: datetime
    presort: str = ""
    size: int = 0
    set_number: int | None = None
    kind: str = ""
    share_key: bytes | None = None

    @property
    def age(self) -> tuple[datetime, uuid.UUID, int, int]:
        """What must go out first comes first: every letter of a product has the same time to go."""
        return (self.queued_at, self.delivery_id, self.leg, self.attempt)

    @property
    def place(self) -> tuple[str, str, uuid.UUID, int, int]:
        """Where it stands in a run: by presort code, by postcode, and then as it came."""
        return (self.presort, self.postcode, self.delivery_id, self.leg, self.attempt)


@dataclass(frozen=True, slots=True)
class Room:
    """What a print house still takes today; None for as much as comes."""

    letters: int | None = None
    sheets: int | None = None

    def less(self, letters: int, sheets: int) -> "Room":
        """What is left after so much went there already."""
        return Room(
            None if self.letters is None else max(0, self.letters - letters),
            None if self.sheets is None else max(0, self.sheets - sheets),
        )


@dataclass(frozen=True, slots=True)
class Shares:
    """Who gets which letters; those that nobody has room for wait."""

    first: tuple[Waiting, ...]
    second: tuple[Waiting, ...]
    waiting: tuple[Waiting, ...]


def share(letters: Iterable[Waiting], first: Room, second: Room | None) -> Shares:
    """Fill the first print house with the letters that are oldest, then the second; the rest waits.

    A letter that doesn't fit lets no younger one pass it: whoever waits longest goes out first.
    """
    left = sorted(letters, key=lambda letter: letter.age)
    to_first, left = _fill(left, first)
    to_second, left = ([], left) if second is None else _fill(left, second)
    return Shares(tuple(to_first), tuple(to_second), tuple(left))


def _fill(letters: list[Waiting], room: Room) -> tuple[list[Waiting], list[Waiting]]:
    sheets = 0
    for count, letter in enumerate(letters):
        sheets += letter.sheets
        full = room.letters is not None and count >= room.letters
        if full or (room.sheets is not None and sheets > room.sheets):
            return letters[:count], letters[count:]
    return letters, []


def cut(
    envelopes: Iterable[Sequence[_T]], size: Callable[[_T], int], *, most: int, most_bytes: int
) -> Iterator[list[_T]]:
    """Files of a batch: as many letters as fit one, at least one envelope's, in the order given, no envelope divided.

    Sizes are those of the letters alone; the merged file is never larger than their sum.
    """
    file: list[_T] = []
    total = 0
    for letters in envelopes:
        bytes_ = sum(map(size, letters))
        if file and (len(file) + len(letters) > most or total + bytes_ > most_bytes):
            yield file
            file, total = [], 0
        file += letters
        total += bytes_
    if file:
        yield file
