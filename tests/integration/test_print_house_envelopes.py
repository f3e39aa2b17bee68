"""The simulated print house and envelopes that letters share: one fate, told once by their set, pulled one by one."""

from dataclasses import replace
from pathlib import Path

import pytest

from printing.codes import read_payload
from printing.envelopes import together
from printing.exchange import Events, FileName, LetterEvent, LetterName, PostalEvent, Pull, PullAnswer, Response, What
from printing.exchange import encode as encoded
from printing.manifest import ManifestLetter
from printing.profiles import load
from printing.simulator.fates import Rates
from tests.print_house_support import BEGUN, Place, letters, merged, pack_up

SET = "000000000000"


def shared(place: Place, number: int = 1, *, changed: dict[int, dict[str, object]] | None = None) -> None:
    """Bring a batch of five letters, of which the first three share an envelope."""
    given = letters(5, product="letter")
    entries = together([each.entry for each in given[:3]], load()) + [each.entry for each in given[3:]]
    made, pdf = merged([replace(each, entry=entry) for each, entry in zip(given, entries, strict=True)])
    told = [replace(entry, **(changed or {}).get(at, {})) for at, entry in enumerate(made)]  # type: ignore[arg-type]
    place.bring(*pack_up(number, told, pdf, schema=3))


def answers(place: Place) -> dict[str, str | None]:
    return {each.id: each.code for response in place.of(Response) for each in response.letters}


def events(place: Place, event: PostalEvent) -> list[LetterEvent]:
    return [each for file in place.of(Events) for each in file.events if each.event is event]


def sheets(*entries: ManifestLetter) -> int:
    return sum(entry.sheets for entry in entries)


def test_what_happens_to_an_envelope_is_told_once_by_its_set(tmp_path: Path) -> None:
    place = Place(tmp_path, {"rates": Rates(give_back=1.0), "seed": 3})
    shared(place)
    with place.house() as house:
        place.days(12, house)
        assert (house.counts.letters, house.counts.posted, house.counts.printed) == (5, 5, 5)
        shared(place)
        place.days(1, house)
        assert (house.counts.submitted_again, house.counts.letters) == (1, 5)
    assert set(answers(place).values()) == {None}
    (posted,) = [each for each in events(place, PostalEvent.POSTED) if each.set]
    inside = together([each.entry for each in letters(3, product="letter")], load())
    assert (posted.id, posted.set, posted.sheets) == ("", SET, sheets(*inside))
    assert posted.postage_cents == sum(entry.postage_cents or 0 for entry in inside) > 0
    assert {each.id for each in events(place, PostalEvent.POSTED)} == {"", "let_3", "let_4"}
    assert {each.set for each in events(place, PostalEvent.RETURNED)} == {SET, None}
    scans = place.scans()
    assert len(scans) == 3
    (one,) = [each for each in scans if each.id is None]
    code = read_payload(one.sheet_code or "")
    assert code is not None
    assert (code.set, code.of) == (SET, sheets(*inside))


def test_one_letter_is_taken_out_and_the_others_go_on(tmp_path: Path) -> None:
    place = Place(tmp_path)
    shared(place)
    name = FileName("VOORBEEL", 1, f"{BEGUN:%y%m%d%H%M%S}", What.PULL, 1)
    first = LetterName(id="let_0"), LetterName(id="let_3")
    with place.house() as house:
        house.round()
        place.bring(str(name), encoded(Pull(batch=1, number=1, at=place.now, letters=first)))
        place.days(2, house)
        late = Pull(batch=1, number=2, at=place.now, letters=(LetterName(id="let_1"),))
        place.bring(str(replace(name, number=2)), encoded(late))
        house.round()
        assert (house.counts.pulled, house.counts.posted) == (2, 3)
    assert [[(each.id, each.pulled) for each in answer.letters] for answer in place.of(PullAnswer)] == [
        [("let_0", True), ("let_3", True)],
        [("let_1", False)],
    ]
    posted = {each.set or each.id: each.sheets for each in events(place, PostalEvent.POSTED)}
    left = [each.entry for each in letters(3)[1:]]
    assert posted == {SET: sheets(*left), "let_4": letters(5)[4].entry.sheets}


def test_an_envelope_that_everybody_left_is_not_posted(tmp_path: Path) -> None:
    place = Place(tmp_path)
    shared(place)
    name = FileName("VOORBEEL", 1, f"{BEGUN:%y%m%d%H%M%S}", What.PULL, 1)
    everybody = tuple(LetterName(id=f"let_{number}") for number in range(3))
    with place.house() as house:
        house.round()
        place.bring(str(name), encoded(Pull(batch=1, number=1, at=place.now, letters=everybody)))
        place.days(2, house)
        assert (house.counts.pulled, house.counts.posted) == (3, 2)
    assert [each.set for each in events(place, PostalEvent.POSTED)] == [None, None]


@pytest.mark.parametrize(
    ("changed", "codes"),
    [
        ({1: {"address_lines": ("Iemand", "Anders 1", "1000 Brussel")}}, ["ENVELOPE_DIFFERS"] * 3),
        ({2: {"first_sheet": 9}}, ["ENVELOPE_DIFFERS"] * 3),
        ({2: {"set": SET.replace("0", "8")}}, ["ENVELOPE_DIFFERS"] * 3),
        ({1: {"return_address": ("Een ander",)}}, ["ENVELOPE_DIFFERS"] * 3),
        # What can't be printed of an envelope keeps the rest of it, and nobody else.
        ({1: {"address_lines": ()}, 0: {"address_lines": ()}, 2: {"address_lines": ()}}, ["ADDRESS_INVALID"] * 3),
    ],
    ids=["addressee", "sheets", "set", "sender", "address"],
)
def test_an_envelope_that_is_not_what_it_says_is_rejected_alone(
    tmp_path: Path, changed: dict[int, dict[str, object]], codes: list[str]
) -> None:
    place = Place(tmp_path)
    shared(place, changed=changed)
    with place.house() as house:
        house.round()
    assert answers(place) == {f"let_{number}": code for number, code in enumerate([*codes, None, None])}


def test_a_code_that_says_something_else_keeps_its_envelope(tmp_path: Path) -> None:
    place = Place(tmp_path)
    given = letters(3)
    entries = [*together([each.entry for each in given[:2]], load()), given[2].entry]
    made, pdf = merged([replace(each, entry=entry) for each, entry in zip(given, entries, strict=True)])
    # As told, every sheet has another sequence than its code.
    wrong = [replace(entry, sequence=77) if entry.place else entry for entry in made[:2]]
    place.bring(*pack_up(1, [*wrong, made[2]], pdf, schema=3))
    with place.house() as house:
        house.round()
    assert answers(place) == {"let_0": "CODE_MISMATCH", "let_1": "CODE_MISMATCH", "let_2": None}


def test_an_envelope_of_which_one_letter_is_refused_waits_whole(tmp_path: Path) -> None:
    place = Place(tmp_path, {"rates": Rates(reject=1.0)})
    shared(place)
    with place.house() as house:
        place.days(2, house)
        assert (house.counts.rejected, house.counts.posted) == (5, 0)
    assert answers(place) == {
        "let_0": "PRINT_REJECTED", "let_1": "SET_INCOMPLETE", "let_2": "SET_INCOMPLETE", "let_3": "PRINT_REJECTED",
        "let_4": "PRINT_REJECTED",
    }  # fmt: skip
