"""What periods let go of in signature requests: of what came to nothing soon, of results after their period."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy.orm import Session

from service.db import archive, signatures
from service.db import retention as due
from service.db.retention import Removal
from service.db.signatures import CAME_TO_NOTHING, SignatureRequestRow
from service.usecases.context import Context

if TYPE_CHECKING:
    from service.usecases.retention import Periods

CHUNK: Final = 200


def days_kept(periods: Periods, own: Mapping[uuid.UUID, int], row: SignatureRequestRow) -> int:
    """Days for which a request's documents are kept from its end, by its organisation's rule and the settings."""
    usual = own.get(row.organisation_id, periods.content_days)
    return min(usual, periods.ended_days) if row.state in CAME_TO_NOTHING else usual


def end(session: Session, _context: Context, periods: Periods, now: datetime) -> bool:
    """Let go of the documents of a chunk of requests; returns whether there were any."""
    own = due.signature_days(session)
    usual = now - timedelta(days=periods.content_days)
    soon = now - timedelta(days=periods.ended_days)
    over = [
        *signatures.content_over(session, before=usual, limit=CHUNK, others_than=own),
        *(
            row
            for organisation, days in own.items()
            for row in signatures.content_over(
                session, before=now - timedelta(days=days), limit=CHUNK, organisation=organisation
            )
        ),
        *signatures.content_over(session, before=soon, limit=CHUNK, came_to_nothing=True),
    ]
    ids = {row.id for row in over}
    if ids:
        found = due.kept_objects(session, ids)
        due.remove_later(
            session, [Removal(each.path, each.subject_id, each.organisation_id) for each in found], now=now
        )
        archive.REQUESTS.forget(session, ids)
    for row in over:
        row.content_erased_at = now
    session.flush()
    return bool(ids)
