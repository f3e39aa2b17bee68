"""An envelope that letters share: each page as it was composed but for its code, and every code read back."""

from dataclasses import replace
from io import BytesIO

import pytest

from printing.batch import BatchLetter, merge
from printing.envelopes import together
from printing.errors import BatchRefused
from printing.manifest import ManifestLetter
from printing.profiles import MM, load
from printing.readback import read_back
from tests.printing_support import batch_letter, document, letter, picture

PROFILE = load()
DPI = 72


def made(count: int = 3) -> list[BatchLetter]:
    """Letters of one or two sheets beside their address pages."""
    found = [
        batch_letter(number, letter(document(*(f"Page {page}" for page in range(number + 1)))))
        for number in range(count)
    ]
    return [
        replace(each, entry=replace(each.entry, set=f"{number + 7:012}", sequence=number + 20, product="letter"))
        for number, each in enumerate(found)
    ]


def merged(letters: list[BatchLetter], entries: list[ManifestLetter]) -> tuple[bytes, list[ManifestLetter]]:
    out = BytesIO()
    told = merge(
        [replace(each, entry=entry) for each, entry in zip(letters, entries, strict=True)], out, profile=PROFILE
    )
    return out.getvalue(), list(told)


def without_code(pdf: bytes, page: int) -> bytes:
    """A page as pixels, its code zone left out."""
    image, zone = picture(pdf, page, DPI).convert("L"), PROFILE.code_zone
    scale = DPI / 72 * MM
    box = tuple(
        int(edge * scale) + more
        for edge, more in zip((zone.left, zone.top, zone.right, zone.bottom), (-1, -1, 2, 2), strict=True)
    )
    image.paste(255, box)
    return image.tobytes()


def test_each_letter_is_printed_as_it_is_alone_and_every_code_is_read_back() -> None:
    letters = made()
    apart, alone = merged(letters, [each.entry for each in letters])
    shared, entries = merged(letters, [*together([each.entry for each in letters[:2]], PROFILE), letters[2].entry])
    assert [(each.first_page, each.pages) for each in entries] == [(each.first_page, each.pages) for each in alone]
    pages = sum(each.pages for each in entries)
    assert all(without_code(shared, page) == without_code(apart, page) for page in range(pages))
    # Each begins on a front.
    assert all(each.first_page % 2 for each in entries)
    assert read_back(shared, entries, PROFILE) == sum(each.sheets for each in entries)
    # Codes are compared with the place in the envelope: the same file as letters by themselves is not what is told.
    with pytest.raises(BatchRefused) as refused:
        read_back(apart, entries, PROFILE)
    assert {problem.code for problem in refused.value.problems} == {"CODE_MISMATCH"}
    assert {problem.page for problem in refused.value.problems} == set(range(1, entries[2].first_page, 2))


@pytest.mark.parametrize(
    "change",
    [
        {"address_lines": ("Somebody else",)}, {"return_address": ("Another",)}, {"place": 3}, {"first_sheet": 1},
        {"set_sheets": None}, {"set_sheets": 3}, {"registered": "registered"}, {"undeliverable": "destroy"},
        {"priority": True}, {"sequence": 99}, {"set": "000000000099"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_two_that_must_not_share_are_not_handed_over(change: dict[str, object]) -> None:
    letters = made(2)
    shared, (head, behind) = merged(letters, together([each.entry for each in letters], PROFILE))
    assert read_back(shared, [head, behind], PROFILE)
    with pytest.raises(BatchRefused) as refused:
        read_back(shared, [head, replace(behind, **change)], PROFILE)  # type: ignore[arg-type]
    assert {problem.code for problem in refused.value.problems} == {"ENVELOPE_DIFFERS"}


def test_an_envelope_that_letters_left_stays_of_its_kind() -> None:
    entry = replace(made(1)[0].entry, envelope="C4")
    (left,) = together([entry], PROFILE)
    c4 = next(each for each in PROFILE.envelopes if each.name == "C4")
    assert (left.set, left.set_sheets, left.place) == (entry.set, None, 1)
    assert left.grams == left.sheets * PROFILE.paper.grams + c4.grams
    assert left.postage_cents == PROFILE.postage("letter", left.grams)
