"""Letters that came back: once each, however often they are scanned; what follows is the sender's and the policy's."""

from typing import Final

from sqlalchemy.orm import Session

from service.db import post_reports as rows
from service.db.models import LegRow
from service.usecases.context import Context
from service.usecases.dossiers import Dossier

ASK, END = "ask", "end"
ASKED, ENDED, SENT_AGAIN = "asked", "ended", "sent_again"
SERVICE: Final = "service"


def came_back(session: Session, context: Context, dossier: Dossier, leg: LegRow) -> bool:
    """Write down that a letter came back, and what its sender's policy makes of it; False when that is known."""
    decision = ENDED if dossier.organisation.returned_mail == END else ASKED
    return rows.add_return(
        session,
        {
            "delivery_id": dossier.id,
            "leg": leg.number,
            "organisation_id": dossier.delivery.organisation_id,
            "cause": leg.reason,
            "returned_at": leg.since,
            "decision": decision,
            "decided_by": SERVICE,
            "decided_at": context.clock(),
        },
    )
