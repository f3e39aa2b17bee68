"""Sharing, sorting and cutting of runs: every letter exactly once, nothing over its limit, nothing out of order."""

import itertools
import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from printing import presort
from service.domain.print_envelopes import enveloped
from service.domain.print_runs import Room, Waiting, cut, share

BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)
limits = st.none() | st.integers(0, 40)
rooms = st.builds(Room, limits, limits)


@st.composite
def waiting(draw: st.DrawFn) -> list[Waiting]:
    table = presort.load()
    found = []
    for number in range(draw(st.integers(0, 30))):
        postcode = draw(st.sampled_from(["1000", "1299", "1300", "4000", "9000", "9999", "75001", ""]))
        found.append(
            Waiting(
                uuid.UUID(int=draw(st.integers(0, 2**32)) * 64 + number),
                leg=draw(st.integers(1, 3)),
                attempt=draw(st.integers(0, 1)),
                postcode=postcode,
                sheets=draw(st.integers(1, 9)),
                queued_at=BEGIN + timedelta(minutes=draw(st.integers(0, 5))),
                presort=table.code(postcode),
            )
        )
    return found


@given(waiting(), rooms, st.none() | rooms)
def test_who_gets_what_leaves_nobody_out_and_goes_over_no_limit(
    letters: list[Waiting], first: Room, second: Room | None
) -> None:
    shares = share(letters, first, second)
    everyone = [*shares.first, *shares.second, *shares.waiting]
    assert sorted(everyone, key=lambda each: each.age) == sorted(letters, key=lambda each: each.age)
    assert len(everyone) == len(letters)
    for part, room in ((shares.first, first), (shares.second, second or Room(0, 0))):
        assert room.letters is None or len(part) <= room.letters
        assert room.sheets is None or sum(each.sheets for each in part) <= room.sheets
    # The oldest go first, and nobody younger passes them.
    ages = [each.age for each in everyone]
    assert ages == sorted(ages)
    if shares.waiting:
        following = shares.waiting[0]
        last, room = (shares.first, first) if second is None else (shares.second, second)
        full = room.letters is not None and len(last) == room.letters
        assert full or (room.sheets is not None and sum(each.sheets for each in last) + following.sheets > room.sheets)


@given(waiting(), st.integers(0, 50), st.integers(0, 99))
def test_a_day_s_room_gets_smaller_by_what_went(letters: list[Waiting], went: int, sheets: int) -> None:
    room = Room(20, 50).less(went, sheets)
    assert (room.letters, room.sheets) == (max(0, 20 - went), max(0, 50 - sheets))
    assert Room().less(went, sheets) == Room()
    assert len(share(letters, room, None).first) <= max(0, 20 - went)


@given(waiting(), st.integers(1, 5), st.integers(1, 30))
def test_files_hold_every_letter_once_in_the_order_of_the_run(letters: list[Waiting], most: int, bytes_: int) -> None:
    ordered = [envelope.letters[0] for envelope in enveloped(letters, None)]
    assert [(each.presort, each.postcode) for each in ordered] == sorted(
        (each.presort, each.postcode) for each in letters
    )
    files = list(cut([[each] for each in ordered], lambda each: each.sheets, most=most, most_bytes=bytes_))
    assert [each for file in files for each in file] == ordered
    for file in files:
        assert 1 <= len(file) <= most
        assert len(file) == 1 or sum(each.sheets for each in file) <= bytes_
    # No file is ended before its time.
    for file, after in itertools.pairwise(files):
        assert len(file) == most or sum(each.sheets for each in file) + after[0].sheets > bytes_


@given(st.text("0123456789", min_size=4, max_size=4))
def test_sorting_by_presort_code_keeps_each_code_together(postcode: str) -> None:
    table = presort.load()
    code = table.code(postcode)
    inside = [each for each in table.ranges if each.first <= postcode <= each.last]
    assert [each.code for each in inside] == ([] if code == table.other else [code])
