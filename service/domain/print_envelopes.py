"""Which letters of a run go into one envelope, from numbers alone: never two senders' or two addressees' in one."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from service.domain.print_runs import Waiting


@dataclass(frozen=True, slots=True)
class Fits:
    """What an envelope takes.

    Attributes:
        letters, bytes: of one file, which no envelope is divided over.
        kind: the kind of envelope that holds so many sheets; None where none does.
        cents: the postage of so many sheets in one envelope; None where it is not known.
    """

    letters: int
    bytes: int
    kind: Callable[[int], str | None]
    cents: Callable[[int], int | None]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Letters that go in one, in their order; its kind where there are several, and it is theirs together."""

    letters: tuple[Waiting, ...]
    kind: str | None = None


def enveloped(letters: Iterable[Waiting], fits: Fits | None) -> list[Envelope]:
    """A run's letters by envelope, in the order in which they are printed and franked, however they come.

    Each letter goes into the first envelope of its kin that has room and costs no more for it than two would; with
    ``fits`` None each has its own.
    """
    found: list[list[Waiting]] = []
    kin: dict[bytes, list[list[Waiting]]] = {}
    for letter in sorted(letters, key=lambda letter: letter.place):
        if letter.share_key is None or fits is None:
            found.append([letter])
            continue
        open_ = kin.setdefault(letter.share_key, [])
        place = next((each for each in open_ if _takes(each, letter, fits)), None)
        if place is None:
            open_.append([letter])
            found.append(open_[-1])
        else:
            place.append(letter)
    return [
        Envelope(tuple(each), None if fits is None or len(each) == 1 else fits.kind(_sheets(each))) for each in found
    ]


def _takes(inside: Sequence[Waiting], letter: Waiting, fits: Fits) -> bool:
    before = _sheets(inside)
    sheets = before + letter.sheets
    if len(inside) >= fits.letters or sum(each.size for each in (*inside, letter)) > fits.bytes:
        return False
    if fits.kind(sheets) is None:
        return False
    whole, apart = fits.cents(sheets), (fits.cents(before), fits.cents(letter.sheets))
    known = [cents for cents in apart if cents is not None]
    return whole is None or len(known) < len(apart) or whole <= sum(known)


def _sheets(letters: Iterable[Waiting]) -> int:
    return sum(letter.sheets for letter in letters)
