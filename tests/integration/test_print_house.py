"""The simulated print house, from the parcel to the last picture."""

import zipfile
from collections import Counter
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pikepdf
import pytest
from pyrage import x25519

from printing import exchange
from printing.codes import read_payload
from printing.encryption import seal_for
from printing.exchange import (
    INDEX,
    Acknowledgement,
    Deleted,
    Events,
    FileName,
    LetterAnswer,
    LetterEvent,
    LetterName,
    PostalEvent,
    Pull,
    PullAnswer,
    Response,
    ScanOf,
    What,
)
from printing.simulator import telling
from printing.simulator.fates import Rates
from printing.simulator.pictures import sheet_code
from tests.print_house_support import BEGUN, Place, letters, merged, pack_up, package, sha256, well_named


def events(place: Place) -> list[LetterEvent]:
    return [event for message in place.of(Events) for event in message.events]


def answers(place: Place) -> list[LetterAnswer]:
    return [answer for message in place.of(Response) for answer in message.letters]


def test_a_batch_is_acknowledged_answered_printed_posted_and_deleted(tmp_path: Path) -> None:
    place = Place(tmp_path, {"keep_days": 5})
    name, data = package(7, letters(3))
    place.bring(name, data)
    with place.house() as house:
        house.round()
        assert list(place.out.iterdir()) == []
        (received,) = place.of(Acknowledgement)
        assert (received.batch, received.file, received.sha256) == (7, name, sha256(data))
        assert (received.letters, received.sheets) == (3, house.counts.sheets + sum(e.entry.sheets for e in letters(3)))
        assert answers(place) == [LetterAnswer(id=f"let_{n}", accepted=True) for n in range(3)]
        assert house.counts.printed == 0
        place.days(4, house)
        assert (house.counts.printed, house.counts.posted) == (3, 3)
        assert place.of(Deleted) == []
        place.days(2, house)
        assert [(each.batch, each.file) for each in place.of(Deleted)] == [(7, name)]
    told = {(event.id, event.event) for event in events(place)}
    assert told == {(f"let_{n}", kind) for n in range(3) for kind in (PostalEvent.PRINTED, PostalEvent.POSTED)}
    posted = [event for event in events(place) if event.event is PostalEvent.POSTED]
    assert {event.id: event.sheets for event in posted} == {e.entry.id: e.entry.sheets for e in letters(3)}
    assert all(event.postage_cents and event.at > BEGUN for event in posted)
    assert all(well_named(each) for each in place.files())


def test_what_is_submitted_twice_is_printed_once_and_the_house_says_so(tmp_path: Path) -> None:
    place = Place(tmp_path)
    name, data = package(7, letters(2))
    other, again = package(8, letters(2))
    said: list[str] = []
    for _ in range(3):
        place.bring(name, data)
        with place.house() as house:
            said += house.round()
    place.bring(other, again)
    with place.house() as house:
        said += house.round()
        place.days(3, house)
        assert (house.counts.letters, house.counts.printed, house.counts.submitted_again) == (2, 2, 2)
    assert Counter(event.event for event in events(place))[PostalEvent.PRINTED] == 2
    assert sum("submitted again: answered as before, not printed again" in each for each in said) == 2
    assert sum("known already: not printed again" in each for each in said) == 2
    assert len(place.of(Acknowledgement)) == 4
    assert {answer.accepted for answer in answers(place)} == {True}


def test_another_content_under_a_known_name_is_refused(tmp_path: Path) -> None:
    place = Place(tmp_path)
    name, data = package(7, letters(1))
    place.bring(name, data)
    with place.house() as house:
        house.round()
        place.bring(name, package(7, letters(2))[1])
        assert "another content" in house.round()[0]
        assert house.counts.letters == 1


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _other_name(_data: bytes) -> bytes:
    return package(9, letters(1))[1]


def _one_page_less(_data: bytes) -> bytes:
    _, good = package(7, letters(2))
    with zipfile.ZipFile(BytesIO(good)) as archive:
        pdf = archive.read("letters.pdf")
    with pikepdf.open(BytesIO(pdf)) as opened:
        del opened.pages[-1]
        out = BytesIO()
        opened.save(out)
    return pack_up(7, merged(letters(2))[0], out.getvalue())[1]


@pytest.mark.parametrize(
    ("spoil", "code"),
    [(_cut, "PACKAGE_UNREADABLE"), (_other_name, "NAME_DIFFERS"), (_one_page_less, "COUNTS_DIFFER")],
)
def test_a_package_that_is_not_what_it_says_is_refused_whole(tmp_path: Path, spoil: object, code: str) -> None:
    assert callable(spoil)
    place = Place(tmp_path)
    name, data = package(7, letters(2))
    place.bring(name, spoil(data))
    with place.house() as house:
        assert code in house.round()[0]
        assert (house.counts.refused, house.counts.letters) == (1, 0)
    assert place.files() == {}


def test_a_letter_whose_code_is_anothers_is_rejected_and_the_others_are_printed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    entries, pdf = merged(letters(3))
    entries[1] = replace(entries[1], set="999999999999")
    place.bring(*pack_up(7, entries, pdf))
    with place.house() as house:
        house.round()
        place.days(3, house)
        assert (house.counts.rejected, house.counts.printed) == (1, 2)
    assert [(each.id, each.code) for each in answers(place) if not each.accepted] == [("let_1", "CODE_MISMATCH")]
    assert {event.id for event in events(place)} == {"let_0", "let_2"}


def test_an_encrypted_parcel_is_opened_with_the_houses_key_only(tmp_path: Path) -> None:
    own, foreign = x25519.Identity.generate(), x25519.Identity.generate()
    name, data = package(7, letters(1))
    sealed = seal_for([str(own.to_public())], data)
    for identity, refused in ((str(own), 0), (str(foreign), 1), (None, 1)):
        place = Place(tmp_path / f"{identity}"[:40], {"identity": identity})
        place.bring(name + ".age", sealed)
        with place.house() as house:
            house.round()
            assert house.counts.refused == refused
        assert [(each.file, each.sha256) for each in place.of(Acknowledgement)] == (
            [] if refused else [(name + ".age", sha256(sealed))]
        )


def _pull(place: Place, number: int, *names: str) -> None:
    own = FileName("VOORBEEL", 7, f"{BEGUN:%y%m%d%H%M%S}", What.PULL, number)
    message = Pull(batch=7, number=number, at=place.now, letters=tuple(LetterName(id=name) for name in names))
    place.bring(str(own), exchange.encode(message))


def test_a_pull_list_takes_letters_out_until_they_are_posted(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.bring(*package(7, letters(3)))
    with place.house() as house:
        house.round()
        _pull(place, 1, "let_1", "nobody")
        house.round()
        place.days(3, house)
        _pull(place, 2, "let_0")
        house.round()
        assert (house.counts.posted, house.counts.pulled) == (2, 1)
    found = {each.id: (each.pulled, each.code) for message in place.of(PullAnswer) for each in message.letters}
    assert found == {"let_1": (True, None), "nobody": (False, "UNKNOWN"), "let_0": (False, "POSTED")}
    assert "let_1" not in {event.id for event in events(place)}


def test_pictures_are_what_they_say_and_a_returned_letter_shows_its_code(tmp_path: Path) -> None:
    place = Place(tmp_path, {"rates": Rates(give_back=0.5), "seed": 3})
    made = letters(6, registered="gs1")
    place.bring(*package(7, made))
    with place.house() as house:
        house.round()
        place.days(20, house)
    scans = {}
    for name, data in place.files().items():
        if not name.endswith(".ZIP"):
            continue
        with zipfile.ZipFile(BytesIO(data)) as archive:
            index = exchange.decode(archive.read(INDEX))
            assert isinstance(index, exchange.Scans)
            for scan in index.scans:
                content = archive.read(scan.file)
                assert sha256(content) == scan.sha256
                scans[scan.id, scan.what] = (scan, content)
    proofs = {letter for letter, what in scans if what is ScanOf.POSTING_PROOF}
    back = {letter for letter, what in scans if what is ScanOf.RETURNED_LETTER}
    receipts = {letter for letter, what in scans if what is ScanOf.RETURN_RECEIPT}
    everybody = {letter.entry.id for letter in made}
    assert proofs == everybody
    assert back | receipts == everybody
    assert not back & receipts
    assert back
    assert receipts
    ended = {event.id: event for event in events(place) if event.event is PostalEvent.RETURNED}
    assert ended.keys() == back
    for letter in made:
        if letter.entry.id in back:
            scan, content = scans[letter.entry.id, ScanOf.RETURNED_LETTER]
            code = read_payload(sheet_code(content) or "")
            assert code is not None
            assert (code.set, scan.sheet_code) == (letter.entry.set, code.payload)
            assert scan.cause == ended[letter.entry.id].cause is not None


def test_mishaps_come_as_often_as_asked_and_the_same_seed_tells_the_same(tmp_path: Path) -> None:
    rates = Rates(reject=0.1, lose=0.1, give_back=0.1, replay=0.3, reorder=0.2, unknown=0.05)
    told = []
    for run in ("a", "b"):
        place = Place(tmp_path / run, {"rates": rates, "seed": 11, "tracked": True})
        place.bring(*package(7, letters(150)))
        with place.house() as house:
            house.round()
            place.days(30, house)
            counts = house.counts
        told.append(place.files())
    assert told[0] == told[1]
    every = events(place)
    known = [event for event in every if event.id.startswith("let_")]
    once = {event.event_id: event for event in known}
    assert all(once[event.event_id] == event for event in known)
    assert 0.2 < (len(known) - len(once)) / len(once) < 0.4
    assert 0.02 < (len(every) - len(known)) / len(every) < 0.1
    assert 5 <= counts.rejected <= 28
    lost = {event.id for event in known if event.event is PostalEvent.LOST}
    back = {event.id for event in known if event.event is PostalEvent.RETURNED}
    assert 4 <= len(lost) <= 28
    assert 4 <= len(back) <= 28
    first: dict[str, list[LetterEvent]] = {}
    for event in known:
        first.setdefault(event.id, []).append(event)
    assert any(a.at > b.at for each in first.values() for a, b in pairwise(each))
    assert counts.printed == 150 - counts.rejected


def test_a_house_that_dies_between_deciding_and_telling_tells_it_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    place.bring(*package(7, letters(2)))
    with place.house() as house, monkeypatch.context() as patched:
        patched.setattr(telling, "bring", _dies)
        with pytest.raises(KeyboardInterrupt):
            house.round()
    assert place.files() == {}
    with place.house() as house:
        house.round()
        place.days(3, house)
        assert house.counts.printed == 2
    assert len(place.of(Acknowledgement)) == 1
    assert len(events(place)) == 4


def _dies(*_: object) -> None:
    raise KeyboardInterrupt


def test_parcels_that_are_left_lying_are_taken_once(tmp_path: Path) -> None:
    place = Place(tmp_path, {"leave": True, "keep_days": 2})
    name, data = package(7, letters(1))
    place.bring(name, data)
    with place.house() as house:
        for _ in range(3):
            house.round()
        assert [path.name for path in place.out.iterdir()] == [name]
        assert (house.counts.submitted_again, len(place.of(Acknowledgement))) == (0, 1)
        place.bring(name, data)
        house.round()
        assert house.counts.submitted_again == 1
        place.days(3, house)
    assert list(place.out.iterdir()) == []
