"""Returned mail as operators take it in, and what its sender decides on it: another address, or the end."""

import csv
import io
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Final

from sqlalchemy.orm import Session

from printing.codes import read_payload
from printing.exchange import PostalEvent
from service.db import deliveries, printing
from service.db import post_reports as rows
from service.db.jobs import JobKind
from service.db.post_models import PrintReturn
from service.db.session import widen
from service.domain import addresses
from service.domain.addresses import PostalAddress, ReturnReason
from service.domain.errors import Conflict, Invalid, NotFound
from service.domain.states import Actor, DeliveryState, LegKind, LegState
from service.usecases import audit, dossiers, post_envelopes, recovery
from service.usecases import post_letters as letters
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.personal import seal_personal
from service.usecases.post_returns import ASKED, ENDED, SENT_AGAIN
from service.usecases.post_statements import GIVEN_UP, OURS, Effect, Odd, Statement, named, place, unknown
from service.usecases.progress import Cause, Progress

MOST: Final = 5_000
"""Letters of a list."""
_CAUSES: Final = frozenset(reason.value for reason in ReturnReason)
_COLUMNS: Final = 3


@dataclass(frozen=True, slots=True)
class Returned:
    """A letter that came back: its name as manifests have it, or what its sheet code says."""

    letter: str
    cause: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one of a list: ``taken``, ``repeated``, ``early``, ``odd`` (it is none of ours) or ``away``."""

    letter: str
    effect: str


def read_list(text: str) -> list[Returned]:
    """A list as CSV: letter, cause and day of return (both may be missing), by comma, semicolon or tab.

    Raises:
        Invalid: ``list_malformed``, ``list_too_long``: nothing of it is taken.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > MOST + 1:
        raise Invalid(f"A list has at most {MOST} letters.", code="list_too_long")
    divider = next((each for each in ("\t", ";") if each in text), ",")
    found = []
    for number, fields in enumerate(csv.reader(io.StringIO("\n".join(lines)), delimiter=divider), start=1):
        given = [*(each.strip() for each in fields), "", ""][:_COLUMNS]
        if number == 1 and place(given[0]) is None and "|" not in given[0]:
            continue  # the names of the columns
        if len(fields) > _COLUMNS or (given[1] and given[1].upper() not in _CAUSES):
            raise Invalid(f"Line {number} can't be read: letter, cause (M01-M08, F01-F03), day.", code="list_malformed")
        found.append(Returned(given[0], given[1].upper() or None, _day(given[2], number)))
    return found


def noon(day: date | None) -> datetime | None:
    """The moment that stands for a day on which a letter came back."""
    return None if day is None else datetime.combine(day, time(12), UTC)


def _day(text: str, number: int) -> datetime | None:
    try:
        return noon(date.fromisoformat(text)) if text else None
    except ValueError:
        raise Invalid(f"Line {number} can't be read: a day is YYYY-MM-DD.", code="list_malformed") from None


def take(context: Context, given: Sequence[Returned], *, actor: str) -> list[Outcome]:
    """Take letters in that came back to an operator's desk; each once, however often it is scanned.

    Raises:
        Invalid: ``list_too_long``, ``cause_unknown``.
        Retryable: the database was restored and nobody has looked at it yet.
    """
    if len(given) > MOST:
        raise Invalid(f"A list has at most {MOST} letters.", code="list_too_long")
    if any(each.cause is not None and each.cause not in _CAUSES for each in given):
        raise Invalid("A cause is one of M01 to M08 and F01 to F03.", code="cause_unknown")
    recovery.guard(context)
    return [Outcome(each.letter, _take(context, each, actor).value) for each in given]


def _take(context: Context, given: Returned, actor: str) -> Effect:
    now = context.clock()
    with context.database.transaction() as session:
        widen(session, printing.every_organisation(session))
        found, part = _letters(session, given.letter)
        if not found:
            return Effect.ODD
        printer = found[0][2]
        if part is not None:
            letters.note(session, printer, [part], received_at=now, inbound=None)
        statements = [
            Statement(
                f"{OURS}returned:{name}:{attempt}",
                name,
                attempt,
                PostalEvent.RETURNED.value,
                min(given.at or now, now),
                cause=given.cause,
                actor=Actor.OPERATOR,
            )
            for name, attempt, _ in found
        ]
        known = rows.stated(session, printer, [each.name for each in statements])
        new = [each for each in statements if each.name not in known]
        if not new:
            # Another scan of it, whatever cause was chosen this time.
            return Effect.REPEATED
        effects = letters.take(session, context, printer, new, received_at=now)
        effect = next(each for each in Effect if effects[each])
        details: dict[str, str | int | None] = {"cause": given.cause, "effect": effect.value}
        for each in new:
            audit.record(session, actor=actor, act="print_letter.return", subject=each.letter, details=details)
    return effect


def name_known(session: Session, printer: str, statement: str) -> bool:
    """Whether a statement was made before."""
    return bool(rows.stated(session, printer, [statement]))


def give_up(context: Context, names: Sequence[str], *, actor: str) -> int:
    """End letters that a print house has and will not print; their senders see it. How many were not ended before.

    Raises:
        Invalid: ``letter_unknown``, ``not_with_the_print_house``: nothing was ended.
    """
    now = context.clock()
    with context.database.transaction() as session:
        widen(session, printing.every_organisation(session))
        done = 0
        for name in names:
            (found, _), at = _letters(session, name), place(name)
            if at is None:
                raise unknown(name)
            if not found:
                known = any(leg.number == at[1] for leg in deliveries.legs(session, [at[0]])[at[0]])
                raise _not_there(name) if known else unknown(name)
            leg = next(leg for leg in deliveries.legs(session, [at[0]])[at[0]] if leg.number == at[1])
            _, attempt, printer = found[0]
            statement = f"{OURS}given_up:{name}:{attempt}"
            if name_known(session, printer, statement):
                continue
            if leg.state not in {LegState.HANDED_OVER.value, LegState.PRINTED.value}:
                raise _not_there(name)
            given = Statement(statement, name, attempt, GIVEN_UP, now, actor=Actor.OPERATOR)
            done += letters.take(session, context, printer, [given], received_at=now)[Effect.TAKEN]
            audit.record(session, actor=actor, act="print_letter.give_up", subject=name)
    return done


def _not_there(name: str) -> Invalid:
    return Invalid(f"The letter {name} is not with the print house.", code="not_with_the_print_house")


def _letters(session: Session, given: str) -> tuple[list[tuple[str, int, str]], Odd | None]:
    """A letter's name, the attempt that was sent last, and the print house that has it; by a sheet code the envelope's.

    All letters that share one are with the same print house. Beside them what operators are told where not all of that
    envelope are known.
    """
    code = read_payload(given)
    if code is not None:
        found = post_envelopes.opened(session, [int(code.set)]).get(int(code.set))
        if found is None:
            return [], None
        part = found.part(f"{OURS}returned:{code.set}", code.of)
        return [(*named(each), each.batch.provider) for each in found.letters], part
    at = place(given)
    sent = [] if at is None else rows.sent(session, [at[0]]).get(at, [])
    return ([(given, sent[-1].attempt, sent[-1].batch.provider)] if sent else []), None


def send_again(context: Context, organisation_id: uuid.UUID, delivery: uuid.UUID, address: PostalAddress) -> int:
    """Send a letter that came back once more, to another address; the number of the new leg.

    Raises:
        NotFound: the organisation has no such delivery.
        Conflict: ``nothing_returned``: no letter of it came back, or that was decided on.
        Invalid: ``address_refused``: the post would not take the address; ``errors`` says why.
    """
    errors = addresses.check(address)
    if errors:
        raise Invalid("The address can't be used.", code="address_refused", errors=errors)
    with context.database.transaction(organisations=[organisation_id]) as session:
        dossier, row = _open(session, context, organisation_id, delivery)
        personal = replace(dossier.personal, address=address)
        own = dossier.delivery
        dossier.personal = personal
        blob = seal_personal(context, personal, own.organisation_id, own.retention_year, own.id)
        deliveries.readdress(session, own.id, blob)
        progress = Progress(context, now=context.clock())
        before = dossier.leg(row.leg)
        leg = progress.begin_leg(dossier, LegKind.PAPER, Cause(Actor.SERVICE), registered=before.registered)
        progress.write(session)
        _decide(context, row, SENT_AGAIN, next_leg=leg.number)
        session.flush()
    context.wake([JobKind.LETTER])
    return leg.number


def end(context: Context, organisation_id: uuid.UUID, delivery: uuid.UUID) -> None:
    """Leave a letter that came back at that. Safe to repeat.

    Raises:
        NotFound: the organisation has no such delivery.
        Conflict: ``nothing_returned``.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        _, row = _open(session, context, organisation_id, delivery)
        if row.decision == ASKED:
            _decide(context, row, ENDED)
            session.flush()


def _open(
    session: Session, context: Context, organisation_id: uuid.UUID, delivery: uuid.UUID
) -> tuple[Dossier, PrintReturn]:
    """A delivery whose newest leg is a letter that came back, and on which its sender may still decide."""
    dossier = dossiers.load(session, context, [delivery], lock=True).get(delivery)
    if dossier is None or dossier.delivery.organisation_id != organisation_id:
        raise NotFound
    row = rows.returns(session, [delivery]).get((delivery, dossier.legs[-1].number if dossier.legs else 0))
    stands = dossier.delivery.state == DeliveryState.SEALED.value
    if row is None or not stands or dossier.legs[-1].state != LegState.RETURNED.value or row.decision == SENT_AGAIN:
        raise Conflict("No letter of this delivery came back and waits for a word.", code="nothing_returned")
    return dossier, row


def _decide(context: Context, row: PrintReturn, decision: str, *, next_leg: int | None = None) -> None:
    row.decision, row.next_leg = decision, next_leg
    row.decided_by, row.decided_at = "sender", context.clock()
