"""Letters that came back: once each, however often they are scanned; what follows is the sender's and the policy's."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy.orm import Session

from service.db import post_reports as rows
from service.db.models import LegRow
from service.domain.states import LegState
from service.usecases.context import Context
from service.usecases.dossiers import Dossier

ASK, END = "ask", "end"
ASKED, ENDED, SENT_AGAIN = "asked", "ended", "sent_again"
SERVICE: Final = "service"


def came_back(session: Session, context: Context, found: Iterable[tuple[Dossier, LegRow]]) -> None:
    """Write down those of these letters that came back, and what their senders' policy makes of it; once each."""
    rows.add_returns(
        session,
        [
            {
                "delivery_id": dossier.id,
                "leg": leg.number,
                "organisation_id": dossier.delivery.organisation_id,
                "cause": leg.reason,
                "returned_at": leg.since,
                "decision": ENDED if dossier.organisation.returned_mail == END else ASKED,
                "decided_by": SERVICE,
                "decided_at": context.clock(),
            }
            for dossier, leg in found
            if leg.state == LegState.RETURNED.value
        ],
    )
