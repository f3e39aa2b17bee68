"""Letters of one sender to one addressee in one envelope: where each stands in it, and its share of weight and postage.

Every letter stays as it was composed and begins on a front. What they share are the codes on their sheets: one set,
counted over all of them, so that the machine closes the envelope after the last sheet. The address of the first letter
shows in the window; those of the others lie behind it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, groupby, pairwise

from printing.errors import Problem
from printing.manifest import ManifestLetter
from printing.profiles import Profile

DIFFERS = "ENVELOPE_DIFFERS"


def together(entries: Sequence[ManifestLetter], profile: Profile) -> list[ManifestLetter]:
    """The entries of letters that go in one envelope, in their order, with their places in it.

    Set and sequence become those of the first. Weight and postage are those of the whole: the envelope's own weight is
    in the first letter's, and postage is shared by sheets, to the cent. An envelope from which letters were taken stays
    of its kind, and the last letter in it has its own set.
    """
    first, sheets = entries[0], sum(entry.sheets for entry in entries)
    kind = next((each for each in profile.envelopes if each.name == first.envelope), None)
    whole = profile.grams(sheets) if kind is None else sheets * profile.paper.grams + kind.grams
    paper = [entry.sheets * profile.paper.grams for entry in entries]
    cents = profile.postage(first.product, whole)
    paid = [None] * len(entries) if cents is None else shares(cents, [entry.sheets for entry in entries])
    found, before = [], 0
    for number, entry in enumerate(entries, 1):
        envelope = whole - sum(paper) if number == 1 else 0
        placed = replace(entry, grams=paper[number - 1] + envelope, postage_cents=paid[number - 1])
        if len(entries) > 1:
            placed = replace(
                placed, set=first.set, sequence=first.sequence, place=number, first_sheet=before + 1, set_sheets=sheets
            )
        found.append(placed)
        before += entry.sheets
    return found


def shares(cents: int, sheets: Sequence[int]) -> list[int]:
    """What each letter of an envelope pays of its postage, by its sheets; together exactly that."""
    ends = [0, *accumulate(sheets)]
    return [cents * after // ends[-1] - cents * before // ends[-1] for before, after in pairwise(ends)]


def differing(entries: Iterable[ManifestLetter], profile: Profile) -> list[Problem]:
    """What is wrong with how letters of one file share envelopes: the first page of each envelope that is not right."""
    told = "The letters from {} on don't share their envelope as they should."
    return [
        Problem(DIFFERS, told.format(wrong[0].id), wrong[0].first_page) for wrong in wrongly_together(entries, profile)
    ]


def wrongly_together(entries: Iterable[ManifestLetter], profile: Profile) -> Iterator[list[ManifestLetter]]:
    """Letters with one set that are not an envelope, whatever is said of them.

    An envelope holds letters of one sender to one addressee, whole, one after the other, and no more sheets than the
    largest takes.
    """
    most = profile.envelopes[-1].most_sheets
    seen: set[str | None] = {None}
    for letters in by_set(entries):
        first, sheets = letters[0], sum(letter.sheets for letter in letters)
        new = first.set not in seen
        seen.add(first.set)
        if all((letter.set_sheets, letter.place, letter.first_sheet) == (None, 1, 1) for letter in letters):
            right = first.set is None or (new and len(letters) == 1)
        else:
            right = (
                new
                and len(letters) > 1
                and sheets <= most
                and all(letter.set_sheets == sheets for letter in letters)
                and [letter.place for letter in letters] == list(range(1, len(letters) + 1))
                and first.first_sheet == 1
                and all(one.first_sheet + one.sheets == next_.first_sheet for one, next_ in pairwise(letters))
                and all(letter.registered is None for letter in letters)
                and len({_seen_outside(letter) for letter in letters}) == 1
            )
        if not right:
            yield letters


def by_set(entries: Iterable[ManifestLetter]) -> Iterator[list[ManifestLetter]]:
    """Letters, in their order, by the set that their sheets say; one without codes is by itself."""
    for number, inside in groupby(entries, key=lambda entry: entry.set):
        letters = list(inside)
        yield from ([letter] for letter in letters) if number is None else [letters]


def _seen_outside(letter: ManifestLetter) -> tuple[object, ...]:
    """All by which the post and the machines know an envelope."""
    return (
        letter.address_lines, letter.return_address, letter.undeliverable, letter.product, letter.priority,
        letter.envelope, letter.duplex, letter.colour, letter.sequence,
    )  # fmt: skip
