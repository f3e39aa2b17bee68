"""Letters leave their batch: a sender took them back before the print house could have them."""

from datetime import datetime

from sqlalchemy.orm import Session

from service.db import printing as rows
from service.db import retention
from service.db.retention import Removal
from service.db.session import widen
from service.domain.states import LegState
from service.usecases.dossiers import Dossier
from service.usecases.personal import PLATFORM


def out_of_batches(session: Session, dossier: Dossier, *, now: datetime) -> bool:
    """Take a delivery's letters out of the batches that are not fixed yet; False, and nothing is changed, if one is.

    The delivery is locked. What a batch's file was is made anew without the letter; who is at it finds that out before
    anything is told (``batches``).
    """
    removals = []
    for leg in dossier.legs:
        if leg.state != LegState.BATCHED.value:
            continue
        found = rows.take_out(session, dossier.id, leg.number, now=now)
        if found is None:
            return False
        batch, path = found
        if path is not None:
            removals.append(Removal(path, batch, PLATFORM))
    if removals:
        # A batch's file is the platform's, for it mixes senders.
        widen(session, [dossier.delivery.organisation_id, PLATFORM])
        retention.remove_later(session, removals, now=now)
    return True
