"""Statements about letters, taken in: appended first, then each leg is settled from all that is known.

A statement that was made before, comes late or out of order, or about a letter that is not handed over yet is only
appended. One that can't be true, or is about nothing of ours, changes nothing and stands in the operators' list.
"""

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy.orm import Session

from service.db import deliveries, mailboxes, post_scans
from service.db import post_reports as rows
from service.db.ids import BATCH, new_id, public_id
from service.db.models import LegRow
from service.db.post_models import PrintReport
from service.db.post_reports import SentLetter
from service.domain.delivery import has_the_post, report_attempt
from service.domain.evidence import External, rfc3339
from service.domain.states import Actor, Event, LegKind, LegState
from service.usecases import dossiers
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.post_returns import came_back
from service.usecases.post_statements import (
    MOVES,
    OF_SET,
    OURS,
    REJECTED,
    SHOWN,
    Effect,
    Known,
    Odd,
    Statement,
    counted,
    evidenced,
    kind_of,
    name_of,
    place,
    report_of,
)
from service.usecases.progress import Cause, Progress, Told

AHEAD: Final = timedelta(hours=1)
"""Clocks differ by less: what happened later than that from now did not happen."""
BEFORE: Final = timedelta(days=1)
"""Likewise for what happened before the batch was closed."""


def take(
    session: Session,
    context: Context,
    printer: str,
    statements: Sequence[Statement],
    *,
    received_at: datetime,
    inbound: uuid.UUID | None = None,
) -> Counter[Effect]:
    """Take in what is said of letters, all of it or (with the transaction) nothing; the senders' rows are seen."""
    return _Taking(session, context, printer, received_at, inbound).all(statements)


def note(
    session: Session, printer: str, odd: Iterable[Odd], *, received_at: datetime, inbound: uuid.UUID | None
) -> None:
    """Put what does not fit into the operators' list, once."""
    given = [
        {
            "id": new_id(),
            "printer": printer,
            "statement": each.statement,
            "code": each.code,
            "letter": each.letter,
            "batch": each.batch,
            "detail": each.detail,
            "at": received_at,
            "inbound_id": inbound,
        }
        for each in odd
    ]
    once = {(each["code"], each["statement"]): each for each in reversed(given)}
    rows.add_exceptions(session, list(once.values()))


def settle_kept(session: Session, context: Context, progress: Progress, handed_over: Collection[Dossier]) -> None:
    """Let what was said before a hand-over count now that it is done; safe to repeat, evidence has its key.

    For legs that ``progress`` moves in the same transaction.
    """
    known = rows.reports(session, [dossier.id for dossier in handed_over])
    if not known:
        return
    letters = rows.sent(session, [dossier.id for dossier in handed_over])
    scans = post_scans.digests(session, [dossier.id for dossier in handed_over])
    ordered = rows.ordered(session, [dossier.id for dossier in handed_over])
    for dossier in handed_over:
        for leg in dossier.legs:
            key = (dossier.id, leg.number)
            fresh = leg.state == LegState.HANDED_OVER.value
            if key in known and leg.kind == LegKind.PAPER.value and fresh:
                all_of_it = Known(known[key], letters.get(key, []), scans.get(key, {}), ordered.get(key, 1))
                _move(session, progress, dossier, leg, all_of_it, known[key], {}, context)
                came_back(session, context, [(dossier, leg)])


class _Taking:
    """One chunk of statements."""

    def __init__(
        self, session: Session, context: Context, printer: str, received_at: datetime, inbound: uuid.UUID | None
    ) -> None:
        self._session, self._context, self._printer = session, context, printer
        self._received_at, self._inbound = received_at, inbound
        self._odd: list[Odd] = []
        self._tally: Counter[Effect] = Counter()

    def all(self, statements: Sequence[Statement]) -> Counter[Effect]:
        places = {each.letter: place(each.letter) for each in statements}
        ids = {found[0] for found in places.values() if found is not None}
        found = dossiers.load_readable(self._session, self._context, ids, lock=True)
        away = deliveries.by_ids(self._session, ids - found.keys()).keys()
        letters = rows.sent(self._session, found)
        fitting: dict[str, tuple[Statement, Dossier, LegRow]] = {}
        for each in statements:
            at = places[each.letter]
            if at is not None and at[0] in away:
                self._tally[Effect.AWAY] += 1
                continue
            dossier = None if at is None else found.get(at[0])
            leg = None if at is None or dossier is None else _leg(dossier, at[1])
            if at is None or dossier is None or leg is None:
                self._refuse(each, "LETTER_UNKNOWN", "There is no such letter.")
            elif each.name in fitting:
                self._again(each, fitting[each.name][0])
            elif (why := self._why_not(each, leg, letters.get(at, []))) is not None:
                self._refuse(each, *why)
            else:
                fitting[each.name] = (each, dossier, leg)
        self._append(fitting)
        self._settle(fitting, letters)
        note(self._session, self._printer, self._odd, received_at=self._received_at, inbound=self._inbound)
        return self._tally

    def _why_not(self, each: Statement, leg: LegRow, sent: Sequence[SentLetter]) -> tuple[str, str] | None:
        """Why a statement can't be true; None where it can."""
        letter = next((letter for letter in sent if letter.attempt == each.attempt), None)
        if letter is None and not any(other.has_copy for other in sent):
            # Copies are let go of after their period; what is said of a letter then still counts.
            return None if leg.handed_over_at is not None else ("LETTER_UNKNOWN", "There is no such letter.")
        if letter is None:
            return "ATTEMPT_UNKNOWN", f"Attempt {each.attempt} of this letter was never sent."
        batch = letter.batch
        wrong = (
            (each.at > self._received_at + AHEAD, "EVENT_AHEAD", "It happened at a time that is still to come."),
            (batch.provider != self._printer, "OTHER_PRINTER", "The letter is with another print house."),
            (each.batch not in {None, batch.number}, "OTHER_BATCH", f"The letter is in batch {batch.number}."),
            (each.at < batch.frozen_at - BEFORE, "EVENT_TOO_EARLY", "It happened before the letter was made."),
        )
        if (why := next((rest for holds, *rest in wrong if holds), None)) is not None:
            return why[0], why[1]
        if each.sheets is not None and each.sheets != letter.sheets:
            # It happened all the same; only the count is looked at.
            self._odd.append(
                Odd("SHEETS_DIFFER", each.name, f"{each.sheets} sheets of {letter.sheets}.", each.letter, each.batch)
            )
        return None

    def _refuse(self, each: Statement, code: str, detail: str) -> None:
        self._odd.append(Odd(code, each.name, detail, each.letter, each.batch))
        self._tally[Effect.ODD] += 1

    def _again(self, each: Statement, before: Statement | PrintReport) -> None:
        """Count a repeat; the same name with another content is none."""
        if isinstance(before, Statement):
            same = each == before
        else:
            said = (name_of(before.delivery_id, before.leg), before.attempt, before.event, before.cause)
            same = said == (each.letter, each.attempt, each.event, each.cause)
            by_us = each.name.startswith(OURS) and not each.name.startswith(OF_SET)
            same = same and (before.at == each.at or by_us)
        if same:
            self._tally[Effect.REPEATED] += 1
        else:
            self._refuse(each, "STATEMENT_CONTRADICTS", "The same statement was made before with another content.")

    def _append(self, fitting: dict[str, tuple[Statement, Dossier, LegRow]]) -> None:
        """Append what is new, and take what is not out of the chunk."""
        given = [self._row(each, dossier, leg) for each, dossier, leg in fitting.values()]
        added = rows.add(self._session, given)
        old = fitting.keys() - added
        for name, before in rows.stated(self._session, self._printer, old).items() if old else ():
            self._again(fitting.pop(name)[0], before)

    def _row(self, each: Statement, dossier: Dossier, leg: LegRow) -> dict[str, Any]:
        return {
            "printer": self._printer,
            "statement": each.name,
            "organisation_id": dossier.delivery.organisation_id,
            "delivery_id": dossier.id,
            "leg": leg.number,
            "attempt": each.attempt,
            "event": each.event,
            "at": each.at,
            "received_at": self._received_at,
            "inbound_id": self._inbound,
            "cause": each.cause,
            "code": each.code,
            "sheets": each.sheets,
            "postage_cents": each.postage_cents,
            "registered_number": each.registered_number,
        }

    def _settle(
        self,
        fitting: Mapping[str, tuple[Statement, Dossier, LegRow]],
        letters: Mapping[tuple[uuid.UUID, int], Sequence[SentLetter]],
    ) -> None:
        ids = {dossier.id for _, dossier, _ in fitting.values()}
        known, scans = rows.reports(self._session, ids), post_scans.digests(self._session, ids)
        ordered = rows.ordered(self._session, ids)
        progress = Progress(self._context, now=self._context.clock())
        actors = {name: each.actor for name, (each, _, _) in fitting.items()}
        about = {(d.id, leg.number): (d, leg) for _, d, leg in fitting.values()}
        for dossier, leg in about.values():
            key = (dossier.id, leg.number)
            told = known[key]
            new = [row for row in told if row.printer == self._printer and row.statement in fitting]
            self._look_at(new)
            if leg.handed_over_at is None:
                self._tally[Effect.EARLY] += len(new)
                continue
            self._tally[Effect.TAKEN] += len(new)
            all_of_it = Known(told, letters.get(key, []), scans.get(key, {}), ordered.get(key, 1))
            _move(self._session, progress, dossier, leg, all_of_it, new, actors, self._context)
        progress.write(self._session)
        came_back(self._session, self._context, about.values())

    def _look_at(self, new: Iterable[PrintReport]) -> None:
        """Put what an operator must act on into their list."""
        for row in new:
            if row.event == REJECTED:
                detail = f"The print house will not print it: {row.code or 'it did not say why'}."
                self._odd.append(Odd("LETTER_REJECTED", row.statement, detail, name_of(row.delivery_id, row.leg)))


def _move(
    session: Session,
    progress: Progress,
    dossier: Dossier,
    leg: LegRow,
    known: Known,
    new: Sequence[PrintReport],
    actors: Mapping[str, Actor],
    context: Context,
) -> None:
    """Settle a handed-over leg from all that is known of it, and show and evidence what is ``new`` of that."""
    names = {(row.printer, row.statement) for row in new}
    reports = counted([row for row in known.told if not known.gave_way(row)], known.sent)
    shown = {kind_of(row) for row in known.told if (row.printer, row.statement) not in names}
    for row in new:
        if kind_of(row) in shown or known.gave_way(row):
            continue
        shown.add(kind_of(row))
        actor = actors.get(row.statement, Actor.POST)
        if row.event in MOVES:
            report = report_of(row)
            reasons = () if report.cause is None else (report.cause.value,)
            cause = Cause(
                actor,
                reasons=reasons,
                external=_external(row, known.sent),
                attempt=report_attempt(report, row.attempt),
                letter=evidenced(known, row.attempt),
            )
            progress.report(dossier, leg, Told(report.event, row.at, reports), cause)
        elif row.event in SHOWN:
            progress.pass_by(dossier, leg, SHOWN[row.event], Cause(actor), at=row.at)
    if has_the_post(reports):
        _give_way(session, context, progress, dossier)


def _external(row: PrintReport, sent: Sequence[SentLetter]) -> External:
    batch = next((letter.batch for letter in sent if letter.attempt == row.attempt), None)
    reference = name_of(row.delivery_id, row.leg) if batch is None else public_id(BATCH, batch.id)
    return External(row.printer, reference, f"{row.event} {rfc3339(row.at)}")


def _give_way(session: Session, context: Context, progress: Progress, dossier: Dossier) -> None:
    """Withdraw the mailbox copy that nobody opened, now that the post has the letter; one that was opened stays."""
    for leg in dossier.legs:
        unopened = leg.kind == LegKind.MAILBOX.value and leg.state in {LegState.AVAILABLE, LegState.OFFERED}
        # The recipient's opening locks the same delivery and then its item: one of the two comes first.
        if unopened and mailboxes.withdraw(session, dossier.id, now=context.clock()):
            progress.happen(dossier, Event.WITHDRAWN, Cause(Actor.SERVICE), leg=leg)


def _leg(dossier: Dossier, number: int) -> LegRow | None:
    return next((leg for leg in dossier.legs if leg.number == number and leg.kind == LegKind.PAPER.value), None)
