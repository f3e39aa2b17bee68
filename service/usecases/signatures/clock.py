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
from service.usecases.signatures.notices import last_told

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
        told = last_told(session, loaded)
        put = []
        for row in found:
            signing = loaded[row.request_id]
            own = signing.signers[row.position - 1]
            days, last = signing.row.remind_days, told.get((row.request_id, row.position))
            # A database that was restored doesn't know that this reminder went out.
            already = last is not None and own.remind_at is not None and last >= own.remind_at
            own.remind_at = None if days is None else (last if already and last else now) + timedelta(days=days)
            if not already:
                put.append(job(signing, JobKind.ASK, row.position))
        jobs.put(session, put)
        session.flush()
    if found:
        context.wake([JobKind.ASK])
    return len(found)
