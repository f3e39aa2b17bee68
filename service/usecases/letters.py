"""The step ``letter``: the print copy of a delivery is composed, checked, stored, and queued for its batch."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from printing import profiles
from printing.errors import PrintingError, Problem
from printing.letters import Letter, Sender, compose
from service.db import deliveries
from service.db import printing as rows
from service.db.ids import DELIVERY, public_id
from service.db.jobs import JobKind, Leased
from service.domain import addresses
from service.domain.errors import Final
from service.domain.evidence import External
from service.domain.states import Actor, Event, LegState
from service.engine.patience import OutOfPatience, patience
from service.engine.steps import Outcome, Step, attempt
from service.usecases import dossiers
from service.usecases.admission import intents
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.products import product_of
from service.usecases.progress import Cause, Progress
from service.usecases.seal import TOO_COMPLEX
from service.vault.vault import Prepared

CHUNK = 50
REFUSED = "letter_refused"
ADDRESS_REFUSED = "address_refused"


@dataclass(frozen=True)
class LetterWork:
    """A paper leg whose letter is to be composed."""

    dossier: Dossier
    leg: int


@dataclass(frozen=True)
class Composed:
    """A letter and its encrypted print copy."""

    letter: Letter
    prepared: Prepared


class Unprintable(Final):
    """No letter can be made of this delivery, for these reasons."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        reason = ADDRESS_REFUSED if first.code.startswith("ADDR_") else REFUSED
        super().__init__(first.detail, reason=reason, code=first.code)
        self.problems = tuple(problems)


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
        outcomes = [attempt(job, work, lambda each: _compose(context, each)) for job, work in works]
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
                    external=External(context.printing.provider, public_id(DELIVERY, dossier.id)),
                )
                progress.happen(dossier, Event.RELAY_TO_NON_ERDS_FAILURE, cause, leg=leg)
                progress.write(session)

    return Step(JobKind.LETTER, CHUNK, read, perform, record, fail)


def _compose(context: Context, work: LetterWork) -> Composed:
    dossier = work.dossier
    delivery, organisation = dossier.delivery, dossier.organisation
    address = dossier.personal.address
    if address is None:
        raise Final("There is no address to send a letter to.", reason="address_missing", code="address_missing")
    documents = [
        context.vault.read(row.path, row.organisation_id, row.delivery_id, f"sealed-{row.position}")
        for row in dossier.documents
    ]
    profile = profiles.load()
    try:
        with patience():
            letter = compose(
                documents[0],
                documents[1:],
                address_lines=addresses.lines(address, language=delivery.language),
                sender=Sender(organisation.name, tuple(organisation.return_address), (organisation.contact,)),
                reference=delivery.reference,
                language=delivery.language,  # type: ignore[arg-type]
                duplex=bool(delivery.print_options["duplex"]),
                profile=profile,
            )
    except OutOfPatience:
        raise Unprintable((Problem(TOO_COMPLEX, "The document takes too long to prepare for printing."),)) from None
    except PrintingError as error:
        raise Unprintable(error.problems or (Problem(error.code, error.detail),)) from error
    found = context.letters.check_letter(
        letter.pdf, sheets=letter.sheets, profile=profile, duplex=letter.duplex, source_bytes=sum(map(len, documents))
    )
    if found.problems:
        raise Unprintable(found.problems)
    prepared = context.vault.prepare(
        delivery.organisation_id, delivery.retention_year, delivery.id, f"print-{work.leg}", letter.pdf
    )
    return Composed(letter, prepared)


def _store(context: Context, outcomes: Sequence[Outcome[LetterWork, Composed]]) -> None:
    good = [outcome for outcome in outcomes if outcome.result is not None]
    if not good:
        return
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
        dossier, made = outcome.work.dossier, outcome.result
        leg = dossier.leg(outcome.work.leg)
        if made is None or leg.state != LegState.PENDING.value:
            continue
        assert dossier.personal.address is not None
        progress.happen(dossier, Event.LETTER_COMPOSED, Cause(Actor.SERVICE), leg=leg)
        queued.append(
            {
                "delivery_id": dossier.id,
                "leg": leg.number,
                "attempt": 0,
                "organisation_id": dossier.delivery.organisation_id,
                "product": product_of(context, dossier, leg, made.letter),
                "path": made.prepared.path,
                "sha256": bytes.fromhex(made.letter.sha256),
                "pages": made.letter.pages,
                "sheets": made.letter.sheets,
                "grams": made.letter.grams,
                "size": len(made.letter.pdf),
                "postcode": dossier.personal.address.postcode,
                "queued_at": now,
            }
        )
        paths.append(made.prepared.path)
        subjects.append(dossier.id)
    rows.queue(session, queued)
    deliveries.keep(session, subjects, paths)
    progress.write(session)
