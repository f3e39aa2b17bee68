"""Signature requests as their sender sees and steers them: list, read, remind, document, report, evidence, cancel."""

import uuid
from datetime import timedelta
from typing import Final

from sqlalchemy.orm import Session

from service.db import jobs
from service.db import signatures as rows
from service.db.ids import SIGNATURE_REQUEST, parse_id, public_id
from service.db.jobs import JobKind
from service.domain.errors import Erased, Invalid, NotFound, TransitionRefused
from service.domain.signing_folder import FolderEvent, FolderState, SignerState, Way
from service.usecases.context import Context
from service.usecases.signatures import documents, evidence
from service.usecases.signatures.documents import REPORT
from service.usecases.signatures.folders import Signing, happen, job, load
from service.usecases.signatures.views import SignatureRequestPage, SignatureRequestView, request_view
from service.usecases.views import EvidenceEntry, File

MOST: Final = 200


def get(context: Context, organisation_id: uuid.UUID, request_id: str) -> SignatureRequestView:
    """One request of the organisation.

    Raises:
        NotFound: there is none by this id, or it is another organisation's.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        return request_view(context, _own(session, context, organisation_id, request_id))


def list_page(
    context: Context,
    organisation_id: uuid.UUID,
    *,
    state: str | None,
    cursor: str | None,
    limit: int,
    reference: str | None = None,
) -> SignatureRequestPage:
    """One page of the organisation's requests, newest first; of those in one state, of those with one reference.

    Raises:
        Invalid: the cursor is none of ours, the state is unknown, or the limit is out of bounds.
    """
    if not 1 <= limit <= MOST:
        raise Invalid(f"A page has 1 to {MOST} items.", code="limit_out_of_bounds")
    if state is not None and state not in {each.value for each in FolderState}:
        raise Invalid("There is no such state of a signature request.", code="state_unknown")
    try:
        before = None if cursor is None else parse_id(SIGNATURE_REQUEST, cursor)
    except NotFound:
        raise Invalid("The cursor is not one that this list gave.", code="cursor_invalid") from None
    with context.database.transaction(organisations=[organisation_id]) as session:
        found = rows.page(session, organisation_id, state=state, reference=reference, before=before, limit=limit + 1)
        loaded = load(session, context, [row.id for row in found[:limit]])
        items = [request_view(context, loaded[row.id]) for row in found[:limit]]
    return SignatureRequestPage(
        items, public_id(SIGNATURE_REQUEST, found[limit - 1].id) if len(found) > limit else None
    )


def cancel(context: Context, organisation_id: uuid.UUID, request_id: str) -> SignatureRequestView:
    """Take a request back while not all have signed. Safe to repeat.

    Raises:
        NotFound: there is none by this id.
        TransitionRefused: it has ended otherwise, or all have signed.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        signing = _own(session, context, organisation_id, request_id, lock=True)
        if signing.row.state != FolderState.CANCELLED.value:
            happen(session, context, signing, FolderEvent.CANCELLED, now=context.clock())
        return request_view(context, signing)


def remind(context: Context, organisation_id: uuid.UUID, request_id: str) -> SignatureRequestView:
    """Tell those whose turn it is once more, now; by itself the next reminder comes a whole period later.

    Raises:
        NotFound: there is none by this id.
        TransitionRefused: nobody is asked any more.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        signing = _own(session, context, organisation_id, request_id, lock=True)
        if signing.row.state != FolderState.OPEN.value:
            raise TransitionRefused(f"Of a request that is {signing.row.state} nobody is asked to sign.")
        now, days, put = context.clock(), signing.row.remind_days, []
        for own in signing.signers:
            if own.state == SignerState.ASKED.value and own.way != Way.SEAL.value:
                own.remind_at = None if days is None else now + timedelta(days=days)
                put.append(job(signing, JobKind.ASK, own.position))
        jobs.put(session, put)
        session.flush()
        view = request_view(context, signing)
    context.wake([JobKind.ASK])
    return view


def document(context: Context, organisation_id: uuid.UUID, request_id: str, number: int = 1) -> File:
    """A document as it is now, counted from 1, with the signatures it has.

    Raises:
        NotFound: there is no request by this id, or it has no such document.
        Erased: its period is over.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        signing = _own(session, context, organisation_id, request_id)
    return documents.read(context, signing, number)


def report(context: Context, organisation_id: uuid.UUID, request_id: str) -> File:
    """The sealed report of a completed request.

    Raises:
        NotFound: there is none by this id, or it is not completed.
        Erased: its period is over.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        signing = _own(session, context, organisation_id, request_id)
    row = signing.row
    if row.content_erased_at is not None:
        raise Erased
    if row.report_path is None:
        raise NotFound("There is no report yet.")
    content = context.vault.read(row.report_path, row.organisation_id, row.id, REPORT)
    return File(f"{public_id(SIGNATURE_REQUEST, row.id)}.pdf", content)


def evidence_list(context: Context, organisation_id: uuid.UUID, request_id: str) -> list[EvidenceEntry]:
    """What happened to a request, as evidence."""
    with context.database.transaction(organisations=[organisation_id]) as session:
        signing = _own(session, context, organisation_id, request_id)
        return evidence.listed(session, signing.id)


def evidence_one(context: Context, organisation_id: uuid.UUID, request_id: str, evidence_id: str) -> dict[str, object]:
    """One evidence of a request, with its proof."""
    with context.database.transaction(organisations=[organisation_id]) as session:
        signing = _own(session, context, organisation_id, request_id)
        return evidence.whole(session, context, signing.id, evidence_id)


def _own(
    session: Session, context: Context, organisation_id: uuid.UUID, request_id: str, *, lock: bool = False
) -> Signing:
    wanted = parse_id(SIGNATURE_REQUEST, request_id)
    found = load(session, context, [wanted], lock=lock).get(wanted)
    if found is None or found.row.organisation_id != organisation_id:
        raise NotFound
    return found
