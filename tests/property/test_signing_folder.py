"""Signature requests, by their rules: whatever happens in whatever order, one end, and nobody out of turn."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import TransitionRefused
from service.domain.signing_folder import (
    ACTORS,
    FINAL,
    MOST_SIGNERS,
    NEXT,
    Folder,
    FolderEvent,
    FolderState,
    Order,
    SignerState,
    advance,
    begin,
    newly_asked,
)

SIGNERS_ACTS = (FolderEvent.SIGNED, FolderEvent.REFUSED)
ENDED = {SignerState.SIGNED, SignerState.REFUSED, SignerState.RELEASED}
Act = tuple[FolderEvent, int]
acts = st.lists(st.tuples(st.sampled_from(list(FolderEvent)), st.integers(0, 4)), max_size=12)
folders = st.builds(begin, st.sampled_from(Order), st.integers(1, 5))


def happens(folder: Folder, act: Act) -> Folder:
    event, signer = act
    try:
        return advance(folder, event, signer if event in SIGNERS_ACTS else None)
    except TransitionRefused:
        return folder


def history(folder: Folder, given_acts: list[Act]) -> list[Folder]:
    known = [folder]
    for act in given_acts:
        known.append(happens(known[-1], act))
    return known


@given(folders, acts)
def test_no_history_leaves_a_final_state(folder: Folder, happening: list[Act]) -> None:
    known = history(folder, happening)
    for before, after in pairwise(known):
        if before.state in FINAL:
            assert after == before
        for old, new in zip(before.signers, after.signers, strict=True):
            assert old not in ENDED or old is new


@given(folders, acts)
def test_a_request_is_signed_exactly_when_everybody_has_signed(folder: Folder, happening: list[Act]) -> None:
    for each in history(folder, happening):
        everybody = all(one is SignerState.SIGNED for one in each.signers)
        assert everybody == (each.state in {FolderState.SIGNED, FolderState.COMPLETED} or _failed_late(each))
        if each.state is FolderState.OPEN:
            assert SignerState.ASKED in each.signers
            assert not {SignerState.REFUSED, SignerState.RELEASED} & set(each.signers)
        if each.state in FINAL:
            assert set(each.signers) <= ENDED
        assert (SignerState.REFUSED in each.signers) == (each.state is FolderState.REFUSED)


def _failed_late(folder: Folder) -> bool:
    return folder.state is FolderState.FAILED and SignerState.RELEASED not in folder.signers


@given(st.integers(1, 5), acts)
def test_in_sequence_one_is_asked_at_a_time_and_in_order(signers: int, happening: list[Act]) -> None:
    for each in history(begin(Order.SEQUENCE, signers), happening):
        if each.state is FolderState.OPEN:
            first = each.signers.index(SignerState.ASKED)
            assert each.signers[:first] == (SignerState.SIGNED,) * first
            assert set(each.signers[first + 1 :]) <= {SignerState.WAITING}


@given(st.integers(1, 5), acts)
def test_side_by_side_nobody_waits(signers: int, happening: list[Act]) -> None:
    for each in history(begin(Order.PARALLEL, signers), happening):
        assert SignerState.WAITING not in each.signers


@given(folders, acts)
def test_everybody_is_asked_once(folder: Folder, happening: list[Act]) -> None:
    known: list[Folder | None] = [None, *history(folder, happening)]
    asked = [place for before, after in pairwise(known) if after for place in newly_asked(before, after)]
    assert len(asked) == len(set(asked))


def test_nobody_signs_out_of_turn_or_twice() -> None:
    folder = begin(Order.SEQUENCE, 2)
    for signer in (1, 2, -1):
        with pytest.raises(TransitionRefused) as caught:
            advance(folder, FolderEvent.SIGNED, signer)
        assert caught.value.code == "not_your_turn"
    folder = advance(folder, FolderEvent.SIGNED, 0)
    with pytest.raises(TransitionRefused):
        advance(folder, FolderEvent.SIGNED, 0)
    assert advance(folder, FolderEvent.SIGNED, 1).state is FolderState.SIGNED


def test_what_is_signed_by_all_can_not_be_taken_back() -> None:
    folder = advance(begin(Order.SEQUENCE, 1), FolderEvent.SIGNED, 0)
    for event in (FolderEvent.CANCELLED, FolderEvent.EXPIRED):
        with pytest.raises(TransitionRefused):
            advance(folder, event)


def test_acts_of_signers_name_them_and_others_do_not() -> None:
    with pytest.raises(ValueError, match="names the signer"):
        advance(begin(Order.SEQUENCE, 1), FolderEvent.SIGNED)
    with pytest.raises(ValueError, match="names the signer"):
        advance(begin(Order.SEQUENCE, 1), FolderEvent.CANCELLED, 0)


@pytest.mark.parametrize("signers", [0, MOST_SIGNERS + 1])
def test_a_request_has_somebody_to_sign_and_not_too_many(signers: int) -> None:
    with pytest.raises(ValueError, match="signers"):
        begin(Order.PARALLEL, signers)


def test_the_page_prints_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "signing.md").read_text("utf-8")
    printed = set(re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \| (\w+) \|$", page, re.MULTILINE))
    expected = {(state, ACTORS[event], event, target) for (state, event), target in NEXT.items()}
    assert printed == expected | {("open", "signer", "Signed", "signed")}
