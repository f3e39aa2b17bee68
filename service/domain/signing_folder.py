"""The life of a signature request: its documents, signers in turn or side by side, and one end.

The request and each of its signers have a state; one table says what may happen to both. Names of the field: a request
is "asked for", a signer "refuses", what nobody answered "expires".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from service.domain.errors import TransitionRefused

MOST_SIGNERS: Final = 20
MOST_DOCUMENTS: Final = 10
LONGEST_DAYS: Final = 90
REASON_LENGTH: Final = 1000


class FolderState(StrEnum):
    """Where a request is.

    - ``open``: signers are asked. They move it on, or its sender, or the clock.
    - ``signed``: all have signed; the service seals the result and its report.
    - ``completed``: sealed, and handed in for delivery where that was asked for. The end.
    - ``refused``: a signer refused; nobody else is asked. The end.
    - ``expired``: not all signed in time. The end.
    - ``cancelled``: its sender took it back. The end.
    - ``failed``: signed by all, and can never be sealed; the reason says why. The end.
    """

    OPEN = "open"
    SIGNED = "signed"
    COMPLETED = "completed"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"


class SignerState(StrEnum):
    """Where a signer is.

    - ``waiting``: others come first.
    - ``asked``: may sign or refuse now.
    - ``signed``: has signed. The end.
    - ``refused``: has refused, with a reason. The end.
    - ``released``: the request ended before it came to their signature. The end.
    """

    WAITING = "waiting"
    ASKED = "asked"
    SIGNED = "signed"
    REFUSED = "refused"
    RELEASED = "released"


class FolderEvent(StrEnum):
    """What can happen; the same word in the table, the evidence and the timeline."""

    REQUESTED = "SignatureRequested"
    SIGNED = "Signed"
    REFUSED = "SignatureRefused"
    EXPIRED = "SignatureRequestExpired"
    CANCELLED = "SignatureRequestCancelled"
    COMPLETED = "SignatureRequestCompleted"
    FAILED = "SignatureRequestFailed"


class Order(StrEnum):
    """Who may sign when."""

    SEQUENCE = "sequence"
    PARALLEL = "parallel"


class Way(StrEnum):
    """How a signer signs."""

    WEB_EID = "web-eid"
    """With an identity card in their own reader."""
    CSC = "csc"
    """At a remote signing service that asks for their consent."""
    SEAL = "seal"
    """The organisation's seal, by the service itself, when its turn comes."""


FINAL: Final = frozenset(
    {
        FolderState.COMPLETED,
        FolderState.REFUSED,
        FolderState.EXPIRED,
        FolderState.CANCELLED,
        FolderState.FAILED,
    }
)

_F, _E = FolderState, FolderEvent

NEXT: Final = MappingProxyType(
    {
        (_F.OPEN, _E.SIGNED): _F.OPEN,
        (_F.OPEN, _E.REFUSED): _F.REFUSED,
        (_F.OPEN, _E.EXPIRED): _F.EXPIRED,
        (_F.OPEN, _E.CANCELLED): _F.CANCELLED,
        (_F.OPEN, _E.FAILED): _F.FAILED,
        (_F.SIGNED, _E.COMPLETED): _F.COMPLETED,
        (_F.SIGNED, _E.FAILED): _F.FAILED,
    }
)
"""State × event → state. The last signature leads to ``signed`` instead of ``open``."""

ACTORS: Final = MappingProxyType(
    {
        _E.REQUESTED: "sender",
        _E.SIGNED: "signer",
        _E.REFUSED: "signer",
        _E.EXPIRED: "clock",
        _E.CANCELLED: "sender",
        _E.COMPLETED: "service",
        _E.FAILED: "service",
    }
)


@dataclass(frozen=True, slots=True)
class Folder:
    """A request as the rules see it."""

    state: FolderState
    order: Order
    signers: tuple[SignerState, ...]


def begin(order: Order, signers: int) -> Folder:
    """A request that was just made: the first signer is asked, or all of them.

    Raises:
        ValueError: nobody, or more than may be asked.
    """
    if not 1 <= signers <= MOST_SIGNERS:
        raise ValueError("a request has between one and twenty signers")
    return Folder(_F.OPEN, order, _asked(order, (SignerState.WAITING,) * signers))


def advance(folder: Folder, event: FolderEvent, signer: int | None = None) -> Folder:
    """The request after an event.

    Args:
        folder: as it is.
        event: what happens.
        signer: whose act it is, counted from 0; for signatures and refusals, and for them only.

    Raises:
        TransitionRefused: the event has no place in this state, or it is not this signer's turn.
    """
    target = NEXT.get((folder.state, event))
    if target is None:
        raise TransitionRefused(f"A signature request that is {folder.state.value} can't have this happen to it.")
    if (signer is not None) != (event in (_E.SIGNED, _E.REFUSED)):
        raise ValueError("an act of a signer names the signer")
    signers = list(folder.signers)
    if signer is not None:
        if not 0 <= signer < len(signers) or signers[signer] is not SignerState.ASKED:
            raise TransitionRefused("It is not this signer's turn.", code="not_your_turn")
        signers[signer] = SignerState.SIGNED if event is _E.SIGNED else SignerState.REFUSED
    if target is _F.OPEN:
        if all(each is SignerState.SIGNED for each in signers):
            return replace(folder, state=_F.SIGNED, signers=tuple(signers))
        return replace(folder, signers=_asked(folder.order, signers))
    return replace(folder, state=target, signers=tuple(_released(each) for each in signers))


def newly_asked(before: Folder | None, after: Folder) -> tuple[int, ...]:
    """Whose turn has come, counted from 0."""
    were = (SignerState.WAITING,) * len(after.signers) if before is None else before.signers
    return tuple(
        place
        for place, (old, new) in enumerate(zip(were, after.signers, strict=True))
        if old is SignerState.WAITING and new is SignerState.ASKED
    )


def _asked(order: Order, signers: Sequence[SignerState]) -> tuple[SignerState, ...]:
    if order is Order.PARALLEL:
        return tuple(SignerState.ASKED if each is SignerState.WAITING else each for each in signers)
    if SignerState.ASKED in signers or SignerState.WAITING not in signers:
        return tuple(signers)
    first = list(signers).index(SignerState.WAITING)
    return (*signers[:first], SignerState.ASKED, *signers[first + 1 :])


def _released(state: SignerState) -> SignerState:
    return SignerState.RELEASED if state in (SignerState.WAITING, SignerState.ASKED) else state
