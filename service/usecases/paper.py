"""The paper of a delivery as its sender sees it: each letter, what was told of it, its pictures, and what is next."""

import uuid
from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy.orm import Session

from service.db import deliveries, post_scans
from service.db import post_reports as rows
from service.db.ids import DELIVERY, parse_id, public_id
from service.db.models import LegRow
from service.db.post_models import PrintReport, PrintReturn, PrintScan
from service.db.post_reports import SentLetter
from service.domain.addresses import ReturnReason
from service.domain.errors import NotFound
from service.domain.states import LegKind
from service.usecases import post_envelopes
from service.usecases.context import Context
from service.usecases.post_scans import SCAN, file_name, file_of
from service.usecases.post_statements import ACCEPTED
from service.usecases.views import File


class ReportView(msgspec.Struct, frozen=True):
    """Something that was told of a letter; ``attempt`` counts its printings, ``code`` is the provider's own."""

    event: str
    at: datetime
    received_at: datetime
    attempt: int
    cause: str | None
    code: str | None


class ScanView(msgspec.Struct, frozen=True):
    """A picture of a posting proof, a signed receipt or a returned letter."""

    id: str
    what: str
    media_type: str
    size: int
    sha256: str
    at: datetime
    filename: str
    url: str


class ReturnView(msgspec.Struct, frozen=True):
    """That a letter came back, why, and what was decided: ``asked``, ``ended`` or ``sent_again`` (by which leg)."""

    at: datetime
    cause: str | None
    meaning: str | None
    decision: str
    next_leg: int | None


class EnvelopedView(msgspec.Struct, frozen=True):
    """A delivery whose letter lies in an envelope with others, by its id and its sender's reference."""

    delivery: str
    reference: str


class LetterView(msgspec.Struct, frozen=True):
    """A letter of a delivery.

    ``envelope`` has the deliveries whose letters lie in one envelope with it, itself among them, the one whose address
    shows first; it is empty where the letter has an envelope of its own.
    """

    leg: int
    state: str
    registered_number: str | None
    sheets: int | None
    postage_cents: int | None
    envelope: list[EnvelopedView]
    reports: list[ReportView]
    scans: list[ScanView]
    returned: ReturnView | None


def of(context: Context, organisation_id: uuid.UUID, delivery_id: str) -> list[LetterView]:
    """The letters of a delivery, first leg first; none where it never went on paper.

    Raises:
        NotFound: the organisation has no such delivery.
    """
    wanted = parse_id(DELIVERY, delivery_id)
    with context.database.transaction(organisations=[organisation_id]) as session:
        if wanted not in deliveries.by_ids(session, [wanted]):
            raise NotFound
        legs = [leg for leg in deliveries.legs(session, [wanted])[wanted] if leg.kind == LegKind.PAPER.value]
        told, scans = rows.reports(session, [wanted]), post_scans.of(session, [wanted])
        returns = rows.returns(session, [wanted])
        sent = rows.sent(session, [wanted])
        return [
            _letter(
                delivery_id,
                leg,
                _envelope(session, sent.get((wanted, leg.number), [])),
                told.get((wanted, leg.number), []),
                [scan for scan in scans if scan.leg == leg.number],
                returns.get((wanted, leg.number)),
            )
            for leg in legs
        ]


def scan(context: Context, organisation_id: uuid.UUID, delivery_id: str, scan_id: str) -> tuple[File, str]:
    """A picture and its media type.

    Raises:
        NotFound: there is none by this id.
    """
    wanted = parse_id(DELIVERY, delivery_id)
    with context.database.transaction(organisations=[organisation_id]) as session:
        if wanted not in deliveries.by_ids(session, [wanted]):
            raise NotFound
        return file_of(context, session, wanted, scan_id)


def _envelope(session: Session, sent: Sequence[SentLetter]) -> list[EnvelopedView]:
    """Whose letters lie in the envelope of the newest printing; all of one organisation, as envelopes are."""
    newest = sent[-1] if sent else None
    if newest is None or newest.envelope_set is None:
        return []
    inside = post_envelopes.inside(session, newest.envelope_set)
    if newest not in inside or len(inside) == 1:
        # It was taken out, or all others were.
        return []
    known = deliveries.by_ids(session, {each.delivery_id for each in inside})
    return [
        EnvelopedView(public_id(DELIVERY, each.delivery_id), known[each.delivery_id].reference)
        for each in inside
        if each.delivery_id in known
    ]


def _letter(
    delivery: str,
    leg: LegRow,
    envelope: list[EnvelopedView],
    told: Sequence[PrintReport],
    scans: Sequence[PrintScan],
    returned: PrintReturn | None,
) -> LetterView:
    numbers = [row.registered_number for row in told if row.registered_number]
    counts = [row for row in told if row.sheets is not None]
    paid = [row.postage_cents for row in told if row.postage_cents is not None]
    return LetterView(
        leg=leg.number,
        state=leg.state,
        registered_number=numbers[-1] if numbers else None,
        sheets=counts[-1].sheets if counts else None,
        postage_cents=paid[-1] if paid else None,
        envelope=envelope,
        reports=[
            ReportView(row.event, row.at, row.received_at, row.attempt, row.cause, row.code)
            for row in told
            if row.event != ACCEPTED
        ],
        scans=[_scan(delivery, row) for row in scans],
        returned=None if returned is None else _returned(returned),
    )


def _scan(delivery: str, row: PrintScan) -> ScanView:
    scan_id = public_id(SCAN, row.id)
    return ScanView(
        id=scan_id,
        what=row.what,
        media_type=row.media_type,
        size=row.size,
        sha256=bytes(row.sha256).hex(),
        at=row.at,
        filename=file_name(row),
        url=f"/v1/deliveries/{delivery}/scans/{scan_id}",
    )


def _returned(row: PrintReturn) -> ReturnView:
    meaning = None if row.cause is None else ReturnReason(row.cause).meaning
    return ReturnView(row.returned_at, row.cause, meaning, row.decision, row.next_leg)
