"""The step ``letter``: the print copy of a delivery is composed, checked, stored, and queued for its batch."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from printing.checks import REDUCED
from printing.reducing import reducible, with_reduced
from printing.sentences import problem
from printing.shown import check_shown
from service.db import deliveries
from service.db import printing as rows
from service.db.ids import DELIVERY, public_id
from service.db.jobs import JobKind, Leased
from service.domain.errors import Final
from service.domain.evidence import External
from service.domain.states import Actor, Event, LegState
from service.engine.steps import Outcome, Step
from service.usecases import dossiers, invitations
from service.usecases.admission import intents
from service.usecases.composing import Made, Unprintable, make
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.looking import Looking, together
from service.usecases.print_sharing import share_key
from service.usecases.products import asked, product_of
from service.usecases.progress import Cause, Progress
from service.vault.vault import Prepared

CHUNK = 50


@dataclass(frozen=True)
class LetterWork:
    """A paper leg whose letter is to be composed."""

    dossier: Dossier
    leg: int


@dataclass(frozen=True)
class Composed:
    """A letter and its encrypted print copy."""

    made: Made
    prepared: Prepared


def step(context: Context) -> Step[LetterWork, Composed]:
    """The step, wired."""

    def read(session: Session, jobs: Sequence[Leased]) -> list[tuple[Leased, LetterWork]]:
        found = dossiers.load(session, context, [job.subject_id for job in jobs])
        return [
            (job, LetterWork(found[job.subject_id], job.leg))
            for job in jobs
            if job.subject_id in found and found[job.subject_id].leg(job.leg).state == LegState.PENDING.value
        ]

    def perform(works: Sequence[tuple[Leased, LetterWork]]) -> list[Outcome[LetterWork, Composed]]:
        outcomes = together(
            context, works, lambda work: _compose(context, work), lambda work: work.dossier.delivery.organisation_id
        )
        _store(context, outcomes)
        return outcomes

    def record(session: Session, outcomes: Sequence[Outcome[LetterWork, Composed]]) -> None:
        _record(session, context, outcomes)

    def fail(session: Session, job: Leased, error: Final) -> None:
        for dossier in dossiers.load(session, context, [job.subject_id], lock=True).values():
            leg = dossier.leg(job.leg)
            if leg.state == LegState.PENDING.value:
                progress = Progress(context, now=context.clock())
                if isinstance(error, Unprintable):
                    progress.note_letter(dossier, error.problems)
                else:
                    progress.note(dossier, error.code, error.detail)
                cause = Cause(
                    Actor.SERVICE,
                    reasons=(error.reason,),
                    external=External(context.printers.of(asked(dossier, leg)).name, public_id(DELIVERY, dossier.id)),
                )
                progress.happen(dossier, Event.RELAY_TO_NON_ERDS_FAILURE, cause, leg=leg)
                progress.write(session)

    # Looked at in groups, each of which may be waited for, and each of its letters after that alone.
    return Step(JobKind.LETTER, CHUNK, read, perform, record, fail, prolonged=True)


def _compose(context: Context, work: LetterWork) -> Looking[Composed]:
    dossier = work.dossier
    delivery = dossier.delivery
    documents = [
        context.vault.read(row.path, row.organisation_id, row.delivery_id, f"sealed-{row.position}")
        for row in dossier.documents
    ]
    profile = context.printers.of(asked(dossier, dossier.leg(work.leg))).profile
    made = yield from make(context, dossier, dossier.leg(work.leg), documents, profile)
    size = sum(map(len, documents))
    found = yield made.to_look_at(size)
    # What scans and headings at the edge of a page need is only room.
    if pages := reducible(found.problems, profile):
        made = made.reduced(pages)
        found = with_reduced(found, (yield made.to_look_at(size, pages)), pages)
    if found.problems:
        raise Unprintable(found.problems)
    if made.mode != "adopt" and (wrong := check_shown(found.window_lines, made.lines, profile, own=made.own_codes)):
        raise Unprintable((wrong,))
    prepared = context.vault.prepare(
        delivery.organisation_id, delivery.retention_year, delivery.id, f"print-{work.leg}", made.letter.pdf
    )
    return Composed(made, prepared)


def _store(context: Context, outcomes: Sequence[Outcome[LetterWork, Composed]]) -> None:
    good = [outcome for outcome in outcomes if outcome.result is not None]
    if not good:
        return
    invitations.keep(
        context, [each.result.made.invited for each in good if each.result is not None and each.result.made.invited]
    )
    organisations = {outcome.work.dossier.delivery.organisation_id for outcome in good}
    with context.database.transaction(organisations=organisations) as session:
        deliveries.intend(
            session,
            [
                intent
                for outcome in good
                if outcome.result is not None
                for intent in intents(
                    outcome.work.dossier.delivery.organisation_id, outcome.work.dossier.id, [outcome.result.prepared]
                )
            ],
        )
    context.vault.write_many([outcome.result.prepared for outcome in good if outcome.result is not None])


def _record(session: Session, context: Context, outcomes: Sequence[Outcome[LetterWork, Composed]]) -> None:
    dossiers.lock_again(session, [outcome.work.dossier for outcome in outcomes])
    now = context.clock()
    progress = Progress(context, now=now)
    queued, paths, subjects = [], [], []
    for outcome in outcomes:
        dossier, composed = outcome.work.dossier, outcome.result
        leg = dossier.leg(outcome.work.leg)
        if composed is None or leg.state != LegState.PENDING.value:
            continue
        assert dossier.personal.address is not None
        progress.happen(dossier, Event.LETTER_COMPOSED, Cause(Actor.SERVICE), leg=leg)
        product = product_of(context, dossier, leg, composed.made.letter)
        if any(note.code == REDUCED for note in composed.made.letter.notes):
            progress.note(dossier, REDUCED, problem(REDUCED).detail)
        queued.append(
            {
                "delivery_id": dossier.id,
                "leg": leg.number,
                "attempt": 0,
                "organisation_id": dossier.delivery.organisation_id,
                "product": product,
                "share_key": share_key(context, dossier, leg, composed.made, product),
                "path": composed.prepared.path,
                "sha256": bytes.fromhex(composed.made.letter.sha256),
                "pages": composed.made.letter.pages,
                "sheets": composed.made.letter.sheets,
                "grams": composed.made.letter.grams,
                "size": len(composed.made.letter.pdf),
                "postcode": dossier.personal.address.postcode,
                "queued_at": now,
                "postage_cents": context.printers.of(asked(dossier, leg)).profile.postage(
                    asked(dossier, leg), composed.made.letter.grams
                ),
                "address_mode": composed.made.mode,
                "mail_id": composed.made.marks.mail_id,
                "registered_number": composed.made.marks.registered_number,
            }
        )
        paths.append(composed.prepared.path)
        subjects.append(dossier.id)
    rows.queue(session, queued)
    deliveries.keep(session, subjects, paths)
    progress.write(session)
