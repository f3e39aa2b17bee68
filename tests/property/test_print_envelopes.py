"""Letters that share envelopes: none lost or doubled, never two addressees in one or too many sheets, to the cent."""

import uuid
from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from printing import presort
from printing.envelopes import differing, together
from printing.manifest import ManifestLetter, code_of
from printing.profiles import load
from service.domain.print_envelopes import Fits, enveloped
from service.domain.print_runs import Waiting, cut

PROFILE = load()
MOST = PROFILE.envelopes[-1].most_sheets
QUEUED = datetime(2026, 3, 2, 9, tzinfo=UTC)


def fits(letters: int = 1000, bytes_: int = 10**9) -> Fits:
    def kind(sheets: int) -> str | None:
        found = PROFILE.envelope_for(sheets)
        return None if found is None else found.name

    return Fits(letters, bytes_, kind, lambda sheets: PROFILE.postage("letter", PROFILE.grams(sheets)))


@st.composite
def waiting(draw: st.DrawFn) -> list[Waiting]:
    """A run's letters; those of the same kin live in the same place, as their address is the same."""
    found = []
    for number in range(draw(st.integers(0, 40))):
        kin = draw(st.none() | st.integers(0, 4))
        postcode = draw(st.sampled_from(["1000", "4000"])) if kin is None else ["1000", "1299", "4000", "9000", ""][kin]
        found.append(
            Waiting(
                uuid.UUID(int=draw(st.integers(0, 2**32)) * 64 + number),
                leg=draw(st.integers(1, 2)),
                attempt=0,
                postcode=postcode,
                sheets=draw(st.integers(1, MOST)),
                queued_at=QUEUED,
                presort=presort.load().code(postcode),
                size=draw(st.integers(1, 100)),
                set_number=number + 1,
                share_key=None if kin is None else bytes([kin]),
            )
        )
    return found


@given(waiting(), st.integers(1, 5), st.integers(1, 300), st.randoms(use_true_random=False))
def test_every_letter_is_in_one_envelope_of_its_own_kin(
    letters: list[Waiting],
    most: int,
    bytes_: int,
    chance: object,
) -> None:
    found = enveloped(letters, fits(most, bytes_))
    assert Counter(each for envelope in found for each in envelope.letters) == Counter(letters)
    for envelope in found:
        inside, sheets = envelope.letters, sum(each.sheets for each in envelope.letters)
        if len(inside) == 1:
            assert envelope.kind is None
            continue
        assert len({each.share_key for each in inside}) == 1
        assert inside[0].share_key is not None
        assert sheets <= MOST
        held = PROFILE.envelope_for(sheets)
        assert held is not None
        assert envelope.kind == held.name
        assert len(inside) <= most
        assert sum(each.size for each in inside) <= bytes_
        whole = PROFILE.postage("letter", PROFILE.grams(sheets))
        apart = [PROFILE.postage("letter", PROFILE.grams(each.sheets)) for each in inside]
        assert whole is not None
        assert whole <= sum(each or 0 for each in apart)
    # The order of the run holds for envelopes, and in each of them.
    assert [each.letters[0].place for each in found] == sorted(each.letters[0].place for each in found)
    assert all(list(each.letters) == sorted(each.letters, key=lambda one: one.place) for each in found)
    assert [(each.letters[0].presort, each.letters[0].postcode) for each in found] == sorted(
        (each.letters[0].presort, each.letters[0].postcode) for each in found
    )
    shuffled = list(letters)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert enveloped(shuffled, fits(most, bytes_)) == found
    # No file divides an envelope.
    files = list(cut([each.letters for each in found], lambda each: each.size, most=most, most_bytes=bytes_))
    assert [each for file in files for each in file] == [each for envelope in found for each in envelope.letters]
    where = {each.place: number for number, file in enumerate(files) for each in file}
    assert all(len({where[each.place] for each in envelope.letters}) == 1 for envelope in found)


@given(waiting())
def test_two_that_fit_share_and_nobody_shares_where_none_may(letters: list[Waiting]) -> None:
    alone = enveloped(letters, None)
    assert all(len(each.letters) == 1 for each in alone)
    assert [each.letters[0] for each in alone] == sorted(letters, key=lambda one: one.place)
    found = enveloped(letters, fits())
    for kin in {each.share_key for each in letters} - {None}:
        sizes = [sum(one.sheets for one in each.letters) for each in found if each.letters[0].share_key == kin]
        # Two that are not half full would not have stayed apart: here no step of postage costs more than two letters.
        assert sum(2 * size < PROFILE.envelopes[0].most_sheets for size in sizes) <= 1


def entry(number: int, sheets: int, envelope: str) -> ManifestLetter:
    return ManifestLetter(
        id=f"let_{number}",
        attempt=1,
        sheets=sheets,
        grams=0,
        envelope=envelope,
        product="letter",
        address_lines=("Jan Peeters", "Kerkstraat 1", "1000 Brussel"),
        return_address=("Gemeente",),
        undeliverable="return",
        content_sha256="",
        set=f"{number:012d}",
        sequence=number,
        first_page=1,
    )


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12).filter(lambda each: sum(each) <= MOST))
def test_sheets_grams_and_postage_of_an_envelope_are_those_of_the_whole(sheets: list[int]) -> None:
    kind = PROFILE.envelope_for(sum(sheets))
    assert kind is not None
    made = together([entry(number, each, kind.name) for number, each in enumerate(sheets, 5)], PROFILE)
    assert sum(each.grams for each in made) == PROFILE.grams(sum(sheets))
    cents = PROFILE.postage("letter", PROFILE.grams(sum(sheets)))
    assert cents is not None
    assert sum(each.postage_cents or 0 for each in made) == cents
    # Each pays for its sheets, to the cent.
    assert all(abs((each.postage_cents or 0) - cents * each.sheets / sum(sheets)) < 1 for each in made)
    codes = [code_of(each, sheet) for each in made for sheet in range(1, each.sheets + 1)]
    assert [code.sheet for code in codes] == list(range(1, sum(sheets) + 1))
    assert {(code.set, code.of, code.sequence) for code in codes} == {("000000000005", sum(sheets), 5)}
    assert differing(made, PROFILE) == []
    assert [each.id for each in made] == [f"let_{number}" for number in range(5, 5 + len(sheets))]
