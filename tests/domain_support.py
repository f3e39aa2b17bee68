"""Values of the domain for tests: fixed times and ids, and the page that holds the transition table."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from service.domain.delivery import Delivery, Leg, LegKind, LegState, hand_in
from service.domain.transitions import transition_rows
from service.usecases import policies

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DELIVERY_ID = UUID("0193556e-0000-7000-8000-000000000001")
LEG_ID = UUID("0193556e-0000-7000-8000-000000000002")

STATE_MACHINE = Path(__file__).parents[1] / "docs" / "state-machine.md"
_HEADER = ("of", "state", "actor", "event", "next state", "evidence", "follow-up")


def a_delivery() -> Delivery:
    return hand_in(DELIVERY_ID, NOON)


def a_leg(
    kind: LegKind,
    state: LegState,
    *,
    number: int = 1,
    effective_at: datetime | None = None,
    handed_over_at: datetime | None = None,
) -> Leg:
    return Leg(LEG_ID, DELIVERY_ID, kind, number, state, NOON, handed_over_at, effective_at)


def printed_table() -> str:
    """The transition table as docs/state-machine.md must show it."""
    rows = (_HEADER, ("---",) * len(_HEADER), *transition_rows())
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


USUAL: Final = policies.built_in(date(2026, 11, 24))
"""What an organisation sends under that named nothing."""
