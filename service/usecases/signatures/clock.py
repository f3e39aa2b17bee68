"""What comes by itself: requests end at their time, and signers are told again. Two schedulers at once do no harm."""

from datetime import timedelta
from typing import Final

from service.db import jobs
from service.db import signatures as rows
from service.db.jobs import JobKind
from service.db.printing import every_organisation
from service.db.session import widen
from service.domain.signing_folder import FolderEvent
from service.usecases.context import Context
from service.usecases.signatures.folders import happen, job, load

CHUNK: Final = 50


def round_(context: Context) -> int:
    """End what is over and remind where that is due, a bounded amount; returns how many requests were dealt with."""
    return _expire(context) + _remind(context)


def _expire(context: Context) -> int:
    now = context.clock()
    with context.database.transaction() as session:
        widen(session, every_organisation(session))
        over = rows.expired(session, now=now, limit=CHUNK)
        for signing in load(session, context, over, lock=True).values():
            happen(session, context, signing, FolderEvent.EXPIRED, now=now)
    return len(over)


def _remind(context: Context) -> int:
    now = context.clock()
    with context.database.transaction() as session:
        widen(session, every_organisation(session))
        found = rows.to_remind(session, now=now, limit=CHUNK)
        loaded = load(session, context, {row.request_id for row in found})
        put = []
        for row in found:
            signing = loaded[row.request_id]
            own = signing.signers[row.position - 1]
            days = signing.row.remind_days
            own.remind_at = None if days is None else now + timedelta(days=days)
            put.append(job(signing, JobKind.ASK, row.position))
        jobs.put(session, put)
        session.flush()
    if found:
        context.wake([JobKind.ASK])
    return len(found)
