"""The life of a submission: whatever is done to it in whatever order, it keeps to its rules."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import TransitionRefused
from service.domain.submission import (
    ENDED,
    NEXT,
    PAUSABLE,
    RESUMABLE,
    OnError,
    Release,
    advance,
    after_check,
    checks_first,
)
from service.domain.submission import SubmissionEvent as E
from service.domain.submission import SubmissionState as S
from service.usecases.submission_container import SENTENCES
from service.usecases.submission_lists import COLUMNS

HISTORIES = st.lists(st.sampled_from(E), max_size=20)


def live(events: list[E]) -> list[tuple[S, S | None]]:
    """The states that a submission goes through; what is refused changes nothing."""
    state, paused_from = S.UPLOADING, None
    seen: list[tuple[S, S | None]] = [(state, paused_from)]
    for event in events:
        try:
            target = advance(state, event, paused_from=paused_from)
        except TransitionRefused:
            continue
        paused_from = state if target is S.PAUSED else None
        state = target
        seen.append((state, paused_from))
    return seen


@given(HISTORIES)
def test_no_history_leaves_a_refused_or_stopped_submission(events: list[E]) -> None:
    states = [state for state, _ in live(events)]
    for number, state in enumerate(states):
        if state in (S.REFUSED, S.STOPPED):
            assert number == len(states) - 1


@given(HISTORIES)
def test_nothing_runs_that_was_not_uploaded_whole_and_looked_at(events: list[E]) -> None:
    states = [state for state, _ in live(events)]
    if S.RUNNING in states or S.DONE in states:
        assert S.CHECKING in states[: states.index(next(each for each in states if each in (S.RUNNING, S.DONE)))]


@given(HISTORIES)
def test_a_pause_leads_back_to_where_it_began(events: list[E]) -> None:
    for state, paused_from in live(events):
        assert (state is S.PAUSED) == (paused_from is not None)
        if paused_from is not None:
            assert paused_from in PAUSABLE
            assert advance(state, E.RESUMED, paused_from=paused_from) is paused_from


@given(st.sampled_from(S), st.sampled_from(E), st.one_of(st.none(), st.sampled_from(S)))
def test_only_a_paused_submission_can_be_resumed_and_never_into_an_upload(
    state: S, event: E, paused_from: S | None
) -> None:
    if event is not E.RESUMED:
        return
    if state is S.PAUSED and paused_from in RESUMABLE:
        assert advance(state, event, paused_from=paused_from) is paused_from
    else:
        with pytest.raises(TransitionRefused):
            advance(state, event, paused_from=paused_from)


def test_every_state_is_reached_and_what_has_not_ended_can_be_stopped() -> None:
    assert set(NEXT.values()) | {S.UPLOADING} == set(S)
    stoppable = {state for state, event in NEXT if event is E.STOPPED}
    assert stoppable == set(S) - {S.STOPPED, S.REFUSED}
    assert {S.STOPPED, S.REFUSED, S.DONE} == ENDED


def test_the_page_for_integrators_prints_this_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "submissions.md").read_text("utf-8")
    printed = re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \|$", page, re.MULTILINE)
    told = [each for each in printed if each[0] in set(S)]
    assert sorted(told) == sorted((state.value, event.value, target.value) for (state, event), target in NEXT.items())


def test_the_page_for_integrators_names_every_code_and_column() -> None:
    page = (Path(__file__).parents[2] / "docs" / "submissions.md").read_text("utf-8")
    used = "".join(
        (Path(__file__).parents[2] / "service" / "usecases" / f"submission_{name}.py").read_text("utf-8")
        for name in ("lists", "unpack", "recall", "flow")
    )
    codes = set(
        re.findall(r'(?:code=|"code": |ListRefused\(|bad\(|FieldError\((?:None|pointer|"[^"]*"), )"(\w+)"', used)
    )
    assert {"rows_bad", "list_empty", "file_missing", "row_not_json", "header_unknown", "reference_repeated"} <= codes
    for code in (codes | set(SENTENCES)) - {"malformed"}:
        assert f"`{code}`" in page, code
    for column in COLUMNS:
        assert f"`{column}`" in page or f"`.{column.partition('.')[2]}`" in page, column


ROWS = st.integers(0, 5)


@given(ROWS, ROWS, st.booleans(), st.sampled_from(OnError), st.sampled_from(Release))
def test_what_follows_the_check(bad: int, waiting: int, dry_run: bool, on_error: OnError, release: Release) -> None:  # noqa: FBT001
    event = after_check(bad=bad, waiting=waiting, dry_run=dry_run, on_error=on_error, release=release)
    assert (S.CHECKING, event) in NEXT
    if dry_run:
        assert event is E.CHECKED, "a dry run makes nothing, whatever it found"
    elif event in (E.STARTED, E.CHECKED):
        assert waiting
        assert not (bad and on_error is OnError.STOP), "none goes until all are good"
        assert (event is E.STARTED) == (release is Release.AUTO), "nobody's word is waited for, or somebody's is"
    else:
        assert not waiting or on_error is OnError.STOP


@given(st.booleans(), st.sampled_from(OnError), st.sampled_from(Release))
def test_rows_go_before_all_are_checked_only_where_nobody_minds(
    dry_run: bool,  # noqa: FBT001
    on_error: OnError,
    release: Release,
) -> None:
    first = checks_first(dry_run=dry_run, on_error=on_error, release=release)
    assert first or (not dry_run and on_error is OnError.CONTINUE and release is Release.AUTO)
