"""Envelope senders: they name their notice to us, nothing to others, and nobody else can make one."""

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.notifications.base import About, NoticeKind
from service.notifications.envelopes import Envelopes

KEY, OTHER = bytes(range(32)), bytes(32)
ABOUT = About(NoticeKind.ARRIVED, uuid.UUID("01890000-0000-7000-8000-00000000abcd"), 1)
OURS = Envelopes("bounces@zending.test", [KEY])
ALONE = Envelopes("@bounces.zending.test", [KEY])


@given(st.sampled_from(NoticeKind), st.uuids(), st.integers(0, 255))
def test_what_is_written_is_read_whatever_the_way_does_to_its_letters(
    kind: NoticeKind, subject: uuid.UUID, number: int
) -> None:
    about = About(kind, subject, number)
    for envelopes in (OURS, ALONE):
        sender = envelopes.sender(about)
        assert envelopes.sender(about) == sender
        for seen in (sender, sender.upper(), f"<{sender}>", f"Bounces <{sender}>", f"rfc822; {sender}"):
            assert envelopes.find(["", "postmaster@zending.test", seen, sender]) == about


def test_an_address_keeps_within_the_limits_of_mail() -> None:
    for envelopes in (Envelopes("bouncing@zending.test", [KEY]), ALONE):
        local, _, domain = envelopes.sender(ABOUT).partition("@")
        assert len(local) <= 64
        assert re.fullmatch(r"(bouncing\+)?[a-z2-7]+", local)
        assert domain.endswith("zending.test")


def test_an_address_shows_nothing_of_what_it_names() -> None:
    near = About(ABOUT.kind, uuid.UUID(int=ABOUT.subject.int + 1), ABOUT.number)
    one, two = (OURS.sender(each)[8:63] for each in (ABOUT, near))
    # Neighbours by time of creation have nothing in common: beyond chance in the 55 letters.
    assert sum(a == b for a, b in zip(one, two, strict=True)) < 12
    assert ABOUT.subject.hex not in one


@given(st.integers(8, 61), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_an_address_with_another_letter_names_nothing(place: int, letter: str) -> None:
    # All but the last letter, of whose five bits three are spare.
    sender = OURS.sender(ABOUT)
    changed = sender[:place] + letter + sender[place + 1 :]
    assert OURS.find([changed]) == (ABOUT if changed == sender else None)


def test_what_others_made_names_nothing() -> None:
    sender = OURS.sender(ABOUT)
    assert OURS.find([Envelopes("bounces@zending.test", [OTHER]).sender(ABOUT)]) is None
    assert OURS.find([sender.replace("zending.test", "zending.test.evil.test")]) is None
    assert OURS.find([sender.replace("zending.test", "evil.test")]) is None
    assert OURS.find([sender[8:], sender.replace("+", "-"), f"a{sender[8:]}"]) is None
    assert ALONE.find([f"x{ALONE.sender(ABOUT)}", f"a.{ALONE.sender(ABOUT)}", f"a+{ALONE.sender(ABOUT)}"]) is None


def test_two_notices_are_none() -> None:
    other = OURS.sender(About(ABOUT.kind, uuid.uuid4(), 1))
    assert OURS.find([OURS.sender(ABOUT), other]) is None
    assert OURS.find([f"{OURS.sender(ABOUT)}, {other}"]) is None
    # One that is no notice's does not hide the one that is.
    assert OURS.find([OURS.sender(ABOUT), "bounces+" + "a" * 55 + "@zending.test"]) == ABOUT


def test_while_a_key_is_exchanged_addresses_of_both_are_read() -> None:
    both = Envelopes("bounces@zending.test", [OTHER, KEY])
    assert both.find([OURS.sender(ABOUT)]) == ABOUT
    assert OURS.find([both.sender(ABOUT)]) is None


@pytest.mark.parametrize(
    "address",
    ["", "bounces", "bounces@", "bounces@localhost", "too-long-@zending.test", "a b@zending.test", "@", "a@b@c"],
)
def test_an_address_that_can_not_work_is_refused_with_a_sentence(address: str) -> None:
    with pytest.raises(ValueError, match="the address of bounces"):
        Envelopes(address, [KEY])


def test_a_number_that_does_not_fit_is_refused_and_not_cut_off() -> None:
    with pytest.raises(ValueError, match="one byte"):
        OURS.sender(About(NoticeKind.SIGNATURE, uuid.uuid4(), 256))
