"""What the scheduler sees to: due work is woken, cut-offs close, partitions are there, orphans and old sessions go."""

import itertools
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from service.db import jobs, queues, retention
from service.db import printing as print_rows
from service.db.ids import moment_of
from service.db.models import Job, VaultObject, WebSession
from service.db.session import widen
from service.usecases.context import Context
from service.vault.errors import ObjectMissing, VaultIntegrityError

MONTHS_AHEAD: Final = 13
COLLECT: Final = 500
MEND: Final = 50
STORE_REST: Final = timedelta(minutes=1)
STORE_TROUBLE: Final = (VaultIntegrityError.code, ObjectMissing.code)
"""What a job is parked with when stored bytes are not what was written, or not there."""


def wake_due(context: Context) -> int:
    """Wake workers for every kind with due jobs: what makes lost messages harmless. Returns the wake-ups sent."""
    with context.database.transaction() as session:
        due = jobs.due_kinds(session)
    return int(context.wake(list(due))) if due else 0  # type: ignore[call-overload]


def make_partitions(session: Session, *, now: datetime) -> int:
    """See to it that the tables have a partition for each month to come; returns how many were made."""
    query = select(func.zending_make_partitions(now.date(), MONTHS_AHEAD))
    return int(session.scalar(query) or 0)


def end_sessions(session: Session, *, now: datetime) -> int:
    """Remove people's sessions whose time is over."""
    result = session.execute(delete(WebSession).where(WebSession.expires_at < now))
    return int(result.rowcount)  # type: ignore[attr-defined]


def collect_orphans(context: Context, *, window: timedelta) -> int:
    """Remove objects that were stored and never counted, once no restore can need them; returns how many.

    The object goes first and the row after it: a crash between the two repeats a removal, which is harmless.
    """
    now = context.clock()
    with context.database.transaction() as session:
        widen(session, print_rows.every_organisation(session))
        query = select(VaultObject).where(VaultObject.kept_at.is_(None), VaultObject.intended_at < now - window)
        found = session.scalars(query.limit(COLLECT).with_for_update(skip_locked=True)).all()
        context.vault.remove_many([row.path for row in found])
        for row in found:
            session.delete(row)
    context.vault.sweep(now - timedelta(days=1))
    return len(found)


def collect_removed(context: Context, *, window: timedelta) -> int:
    """Remove objects that no row names any more (retention), once no restore can need them; returns how many.

    As with orphans the object goes first, and two collectors take different rows.
    """
    with context.database.transaction() as session:
        widen(session, print_rows.every_organisation(session))
        found = retention.due_removals(session, before=context.clock() - window, limit=COLLECT)
        if found:
            context.vault.remove_many([row.path for row in found])
            retention.removed(session, found)
    return len(found)


def try_stored_again(context: Context, *, rest: timedelta = STORE_REST) -> int:
    """Put jobs back to work that are parked because the store gave something wrong or nothing; returns how many.

    Such a job stays visible as parked, with its cause, while the store is wrong; when the store is right again, it goes
    on without a person. The longest parked go first, and one that fails again joins the end of the line.
    """
    with context.database.transaction() as session:
        # Time is the database's, as for all jobs.
        query = select(Job.id).where(Job.last_error.in_(STORE_TROUBLE), Job.parked_at < func.clock_timestamp() - rest)
        ids = session.scalars(query.order_by(Job.parked_at).limit(MEND).with_for_update(skip_locked=True)).all()
        kinds = queues.retry(session, ids) if ids else {}
    if kinds:
        context.wake(sorted(set(kinds.values())))
    return len(kinds)


def unknown_objects(context: Context, *, window: timedelta) -> Iterator[str]:
    """Paths of objects that no row knows of, stored before the recovery window: what a restore has forgotten.

    Reads the whole listing of the store, and only looks. What stands under other names than a delivery's, a batch's or
    a submission's (the ledger's head) is nothing of the vault and left alone. Of the store's word for when it took an
    object nothing is believed that the object's own id contradicts: a store whose clock is wrong loses nothing.
    """
    before = context.clock() - window
    old = (found.path for found in context.vault.stored() if found.modified < before and _is_old(found.path, before))
    while chunk := list(itertools.islice(old, COLLECT)):
        with context.database.transaction() as session:
            widen(session, print_rows.every_organisation(session))
            query = select(VaultObject.path).where(
                VaultObject.subject_id.in_({subject_of(path) for path in chunk}), VaultObject.path.in_(chunk)
            )
            known = set(session.scalars(query))
        yield from (path for path in chunk if path not in known)


def _is_old(path: str, before: datetime) -> bool:
    subject = subject_of(path)
    return subject is not None and ((made := moment_of(subject)) is None or made < before)


def subject_of(path: str) -> uuid.UUID | None:
    """The delivery, batch or submission whose object stands under a path; None for what is not the vault's."""
    first, *rest = path.split("/")
    try:
        return uuid.UUID(first) if len(rest) == 2 else None  # noqa: PLR2004  subject, role and hash
    except ValueError:
        return None


def database_ready(context: Context) -> bool:
    """Whether the database answers with the schema of this release."""
    with context.database.transaction() as session:
        return session.scalar(text("SELECT to_regclass('public.ledger_checkpoint') IS NOT NULL")) is True
