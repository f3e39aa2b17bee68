"""The life of a submission: what is handed in together, from its upload to its last row.

A submission's rows become deliveries; from then on each delivery has a life of its own (``transitions``).
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final

from service.domain.errors import TransitionRefused


class SubmissionState(StrEnum):
    """Where a submission is.

    - ``uploading``: its file is on its way. The sender moves it, by completing the upload or stopping it.
    - ``checking``: the list is read, and rows are checked. The service moves it.
    - ``checked``: every row was looked at and nothing was made. The sender releases or stops it; a dry run ends here.
    - ``running``: good rows become deliveries. The service moves it.
    - ``paused``: the sender let it wait; nothing of it goes on, deliveries neither. The sender resumes or stops it.
    - ``done``: every row has become a delivery or is bad. The sender can still stop what can be taken back.
    - ``stopped``: the sender ended it. Rows without a delivery end; deliveries are cancelled where that is possible.
    - ``refused``: nothing of it was made: the file can't be used, or has bad rows and was to stop for them. The end.
    """

    UPLOADING = "uploading"
    CHECKING = "checking"
    CHECKED = "checked"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    STOPPED = "stopped"
    REFUSED = "refused"


class SubmissionEvent(StrEnum):
    """What can happen to a submission."""

    COMPLETED = "completed"
    REFUSED = "refused"
    CHECKED = "checked"
    STARTED = "started"
    RELEASED = "released"
    FINISHED = "finished"
    PAUSED = "paused"
    RESUMED = "resumed"
    STOPPED = "stopped"


class OnError(StrEnum):
    """What bad rows mean for the good ones: ``stop`` lets none go until all are good."""

    STOP = "stop"
    CONTINUE = "continue"


class Release(StrEnum):
    """Whether rows that may go do so at once, or wait for somebody's word."""

    AUTO = "auto"
    MANUAL = "manual"


class RowState(StrEnum):
    """Where a row of the list is.

    - ``listed``: read, and its fields are right; its documents were not looked at.
    - ``good``: its documents are right too.
    - ``bad``: can't become a delivery; its codes say why.
    - ``admitted``: is a delivery.
    - ``cancelled``: was a delivery, and was taken back because the submission was stopped.
    - ``stopped``: ended before it was a delivery.
    """

    LISTED = "listed"
    GOOD = "good"
    BAD = "bad"
    ADMITTED = "admitted"
    CANCELLED = "cancelled"
    STOPPED = "stopped"


WAITING_ROWS: Final = frozenset({RowState.LISTED, RowState.GOOD})
"""Rows of which nothing is decided yet."""

_S, _E = SubmissionState, SubmissionEvent

NEXT: Final = MappingProxyType(
    {
        (_S.UPLOADING, _E.COMPLETED): _S.CHECKING,
        (_S.UPLOADING, _E.REFUSED): _S.REFUSED,
        (_S.UPLOADING, _E.STOPPED): _S.STOPPED,
        (_S.CHECKING, _E.REFUSED): _S.REFUSED,
        (_S.CHECKING, _E.CHECKED): _S.CHECKED,
        (_S.CHECKING, _E.STARTED): _S.RUNNING,
        (_S.CHECKING, _E.FINISHED): _S.DONE,
        (_S.CHECKING, _E.PAUSED): _S.PAUSED,
        (_S.CHECKING, _E.STOPPED): _S.STOPPED,
        (_S.CHECKED, _E.RELEASED): _S.RUNNING,
        (_S.CHECKED, _E.STOPPED): _S.STOPPED,
        (_S.RUNNING, _E.FINISHED): _S.DONE,
        (_S.RUNNING, _E.PAUSED): _S.PAUSED,
        (_S.RUNNING, _E.STOPPED): _S.STOPPED,
        (_S.DONE, _E.PAUSED): _S.PAUSED,
        (_S.DONE, _E.STOPPED): _S.STOPPED,
        (_S.PAUSED, _E.STOPPED): _S.STOPPED,
    }
)
"""State × event → state; ``resumed`` is missing because it leads back to where the submission was paused."""

PAUSABLE: Final = frozenset(state for state, event in NEXT if event is _E.PAUSED)
RESUMABLE: Final = PAUSABLE | {_S.CHECKED}
"""States to which a pause leads back; what was being done when it began may have come to its end meanwhile."""
ENDED: Final = frozenset({_S.STOPPED, _S.REFUSED, _S.DONE})
"""States in which nothing of the uploaded file is needed any more."""


def advance(
    state: SubmissionState, event: SubmissionEvent, *, paused_from: SubmissionState | None = None
) -> SubmissionState:
    """The state after an event.

    Args:
        state: where the submission is.
        event: what happens.
        paused_from: where it was when it was paused, for ``resumed``.

    Raises:
        TransitionRefused: the event has no place in this state.
    """
    if (state, event) == (_S.PAUSED, _E.RESUMED) and paused_from in RESUMABLE:
        return paused_from
    target = NEXT.get((state, event))
    if target is None:
        raise TransitionRefused(f"A submission that is {state.value} can't be {event.value}.")
    return target


def after_check(*, bad: int, waiting: int, dry_run: bool, on_error: OnError, release: Release) -> SubmissionEvent:
    """What happens to a submission whose rows have all been looked at.

    Args:
        bad: rows that can't become deliveries.
        waiting: rows that can.
        dry_run: nothing is to be made.
        on_error: what bad rows mean for the good ones.
        release: whether the good ones go by themselves.
    """
    if dry_run:
        return _E.CHECKED
    if bad and on_error is OnError.STOP:
        return _E.REFUSED
    if not waiting:
        return _E.FINISHED if on_error is OnError.CONTINUE else _E.REFUSED
    return _E.STARTED if release is Release.AUTO else _E.CHECKED


def checks_first(*, dry_run: bool, on_error: OnError, release: Release) -> bool:
    """Whether every row's documents must be looked at before the first delivery is made."""
    return dry_run or on_error is OnError.STOP or release is Release.MANUAL
