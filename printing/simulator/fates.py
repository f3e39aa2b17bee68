"""What becomes of a letter: drawn once from the seed and the letter's name, so that a second run tells the same."""

import random
from dataclasses import dataclass
from typing import Final

from printing.exchange import PostalEvent, ScanOf
from printing.manifest import ManifestLetter

RETURNS: Final = ("M01", "M02", "M03", "M04", "M06", "M07", "M08", "F03")
"""Causes of letters that come back; M05 belongs to the refused, F01 and F02 to the lost."""


@dataclass(frozen=True)
class Rates:
    """How often what goes wrong, each between 0 and 1.

    Attributes:
        reject: letters that are not accepted.
        lose: letters that get lost or stolen after posting.
        give_back: letters that come back with a cause.
        refuse: letters that the addressee refuses, and that come back.
        unclaimed: letters that are not fetched at the post office, and that come back.
        replay: events that are told twice.
        reorder: events that are told late, after what happened later.
        unknown: events about letters that nobody has, for each event.
        contradict: letters of which, after the end, another end is told.
    """

    reject: float = 0.0
    lose: float = 0.0
    give_back: float = 0.0
    refuse: float = 0.0
    unclaimed: float = 0.0
    replay: float = 0.0
    reorder: float = 0.0
    unknown: float = 0.0
    contradict: float = 0.0

    def __post_init__(self) -> None:
        """Refuse rates that are none.

        Raises:
            ValueError: one is not between 0 and 1, or the ends of letters have more than 1 together.
        """
        if not all(0 <= rate <= 1 for rate in vars(self).values()):
            raise ValueError("a rate lies between 0 and 1")
        if self.lose + self.give_back + self.refuse + self.unclaimed > 1:
            raise ValueError("more than all letters would be lost, come back, be refused or stay unclaimed")


@dataclass(frozen=True)
class Happening:
    """Something that happens to a letter, so many days after it was taken in."""

    day: float
    event: PostalEvent
    cause: str | None = None


@dataclass(frozen=True)
class Picture:
    """A picture that is made of a letter, so many days after it was taken in."""

    day: float
    what: ScanOf
    cause: str | None = None


@dataclass(frozen=True)
class Fate:
    """Everything that will happen to a letter."""

    rejected: str | None
    happenings: tuple[Happening, ...] = ()
    pictures: tuple[Picture, ...] = ()


def rolls(seed: int, *of: object) -> random.Random:
    """Chances that depend on the seed and on what they are about, and on nothing else."""
    return random.Random(":".join(map(str, (seed, *of))))  # noqa: S311 - chance, not secrecy


def draw(letter: ManifestLetter, rates: Rates, seed: int, *, tracked: bool) -> Fate:
    """Draw a letter's fate.

    Args:
        letter: as the manifest names it.
        rates: how often what goes wrong.
        seed: the house's.
        tracked: the delivery of ordinary letters is told too, as with a track code; of registered ones it always is.
    """
    chance = rolls(seed, letter.id, letter.attempt)
    if chance.random() < rates.reject:
        return Fate("PRINT_REJECTED")
    registered = letter.registered is not None
    posted = chance.uniform(0.5, 0.9)
    told = [Happening(chance.uniform(0.1, 0.4), PostalEvent.PRINTED), Happening(posted, PostalEvent.POSTED)]
    pictures = [Picture(posted + 0.1, ScanOf.POSTING_PROOF)] if registered else []
    end, come_back = _end(chance, rates, posted, registered=registered, tracked=tracked)
    told += end
    if come_back is not None:
        told.append(come_back)
        pictures.append(Picture(come_back.day + 0.1, ScanOf.RETURNED_LETTER, come_back.cause))
    elif registered and told[-1].event is PostalEvent.DELIVERED:
        pictures.append(Picture(told[-1].day + 0.2, ScanOf.RETURN_RECEIPT))
    if chance.random() < rates.contradict:
        last = told[-1]
        other = PostalEvent.RETURNED if last.event is PostalEvent.DELIVERED else PostalEvent.DELIVERED
        told.append(Happening(last.day + 0.5, other, "M01" if other is PostalEvent.RETURNED else None))
    return Fate(None, tuple(told), tuple(pictures))


def _end(
    chance: random.Random, rates: Rates, posted: float, *, registered: bool, tracked: bool
) -> tuple[list[Happening], Happening | None]:
    """What happens after posting, and the coming back if there is one."""
    moved = Happening(posted + chance.uniform(0.2, 0.5), PostalEvent.IN_TRANSIT)
    tried = posted + chance.uniform(1, 2)
    waiting = [Happening(tried, PostalEvent.ATTEMPTED), Happening(tried + 0.2, PostalEvent.PICKUP_AVAILABLE)]
    told = [moved] if registered or tracked else []
    back: Happening | None = None
    ends = ("lose", "give_back", "refuse", "unclaimed", "deliver")
    weights = [rates.lose, rates.give_back, rates.refuse, rates.unclaimed]
    end = chance.choices(ends, [*weights, max(0.0, 1 - sum(weights))])[0]
    if end == "lose":
        told.append(Happening(tried + 5, PostalEvent.LOST, chance.choice(("F01", "F02"))))
    elif end == "give_back":
        back = Happening(tried + chance.uniform(2, 5), PostalEvent.RETURNED, chance.choice(RETURNS))
    elif end == "refuse":
        told.append(Happening(tried, PostalEvent.REFUSED, "M05"))
        back = Happening(tried + chance.uniform(1, 3), PostalEvent.RETURNED, "M05")
    elif end == "unclaimed":
        told += [*waiting, Happening(tried + 15, PostalEvent.UNCLAIMED)]
        back = Happening(tried + 15 + chance.uniform(1, 3), PostalEvent.RETURNED)
    elif registered and chance.random() < 0.3:  # noqa: PLR2004 - nobody at home at the first try
        told += [*waiting, Happening(tried + chance.uniform(1, 3), PostalEvent.DELIVERED)]
    elif registered or tracked:
        told.append(Happening(tried, PostalEvent.DELIVERED))
    return told, back
