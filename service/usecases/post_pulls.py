"""Letters that must not go out any more after their batch was handed over: the list, its way there, and the answer."""

import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import structlog
from sqlalchemy.orm import Session

from printing.errors import ProviderUnavailable
from printing.exchange import FileName, LetterName, Pull, PullAnswer, What, encode, read_name
from printing.providers.base import Parcel, RemoteKind
from service.db import post_pulls as rows
from service.db import post_reports as reports
from service.db import printing
from service.db.ids import new_id
from service.db.models import PrintBatch
from service.db.post_models import PrintInbound, PrintPull
from service.db.session import widen
from service.domain.errors import Invalid
from service.domain.states import LegState
from service.usecases import audit, dossiers, printers, recovery
from service.usecases import post_letters as letters
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.post_statements import OURS, PULLED, Effect, Odd, Statement, name_of, unknown
from service.usecases.post_statements import place as place_of
from service.usecases.printers import sha256_of
from service.usecases.reasons import LENGTH, checked

log = structlog.get_logger()

MOST: Final = 50
_INSIDE: Final = frozenset({LegState.HANDED_OVER.value, LegState.PRINTED.value})
"""As far as a letter can still be taken out; later the post has it."""


def order(context: Context, names: Sequence[str], *, reason: str, actor: str) -> int:
    """Have letters taken out of their batches; how many lists that makes. Those on a list already stay there.

    Args:
        context: the wired parts.
        names: of letters, as manifests have them.
        reason: why, for the trail.
        actor: who wants it.

    Raises:
        Invalid: ``reason_missing``, ``letter_unknown``, ``not_with_the_print_house``: nothing was ordered.
    """
    reason = checked(reason)
    places = [place_of(name) for name in names]
    ids = {place[0] for place in places if place is not None}
    with context.database.transaction() as session:
        widen(session, printing.every_organisation(session))
        found = dossiers.load(session, context, ids, lock=True)
        sent = reports.sent(session, ids)
        before = rows.of_deliveries(session, ids)
        wanted: dict[uuid.UUID, list[dict[str, object]]] = {}
        for name, place in zip(names, places, strict=True):
            if place is None or place[0] not in found or not found[place[0]].has_leg(place[1]):
                raise unknown(name)
            letter = sent[place][-1] if place in sent else None
            if letter is None or found[place[0]].leg(place[1]).state not in _INSIDE:
                raise Invalid(f"The letter {name} is not with the print house.", code="not_with_the_print_house")
            if (*place, letter.attempt) not in before:
                before.add((*place, letter.attempt))
                wanted.setdefault(letter.batch.id, []).append(
                    {
                        "organisation_id": found[place[0]].delivery.organisation_id,
                        "delivery_id": place[0],
                        "leg": place[1],
                        "attempt": letter.attempt,
                    }
                )
        return put(session, context, wanted, reason=reason, actor=actor)


def out_of(
    session: Session, context: Context, former: Collection[tuple[Dossier, int]], *, reason: str, actor: str
) -> int:
    """Have what a print house holds of letters that are printed again taken out there; how many lists that makes.

    What is posted already, or on a list, is left alone. To be called with the dossiers locked, as long as their legs
    are where they were.
    """
    ids = {dossier.id for dossier, _ in former}
    sent, before = reports.sent(session, ids), rows.of_deliveries(session, ids)
    wanted: dict[uuid.UUID, list[dict[str, object]]] = {}
    for dossier, leg in former:
        letter = next(iter(reversed(sent.get((dossier.id, leg), []))), None)
        with_them = letter is not None and letter.batch.handed_over_at is not None
        if letter is None or not with_them or dossier.leg(leg).state not in _INSIDE:
            continue
        if (dossier.id, leg, letter.attempt) not in before:
            wanted.setdefault(letter.batch.id, []).append(
                {
                    "organisation_id": dossier.delivery.organisation_id,
                    "delivery_id": dossier.id,
                    "leg": leg,
                    "attempt": letter.attempt,
                }
            )
    return put(session, context, wanted, reason=reason, actor=actor)


def put(
    session: Session,
    context: Context,
    wanted: Mapping[uuid.UUID, list[dict[str, object]]],
    *,
    reason: str,
    actor: str,
) -> int:
    """Write a list for each batch; how many."""
    for batch_id in sorted(wanted):
        # Two that order at once number their lists one after the other.
        batch = printing.batch(session, batch_id, lock=True)
        assert batch is not None
        pull = PrintPull(
            id=new_id(),
            batch_id=batch_id,
            number=rows.next_number(session, batch_id),
            printer=batch.provider,
            reason=reason[:LENGTH],
            ordered_by=actor,
            ordered_at=context.clock().replace(microsecond=0),
        )
        rows.add(session, pull, wanted[batch_id])
        details: dict[str, str | int | None] = {"letters": len(wanted[batch_id]), "number": pull.number}
        audit.record(session, actor=actor, act="print.pull", subject=batch.file_name, details=details)
    return len(wanted)


def send(context: Context) -> int:
    """Bring lists that wait to their print houses; how many were brought. Who can't be reached is left for later."""
    with context.database.transaction() as session:
        waiting = rows.unsent(session, limit=MOST)
    if waiting:
        recovery.guard(context)
    return sum(_send(context, each) for each in waiting)


def _send(context: Context, pull_id: uuid.UUID) -> bool:
    with context.database.transaction() as session:
        widen(session, printing.every_organisation(session))
        found = rows.one(session, pull_id)
        assert found is not None
        pull, batch = found
        named = [
            LetterName(id=name_of(each.delivery_id, each.leg), attempt=each.attempt)
            for each in rows.letters(session, [pull_id])
        ]
    # The same list gives the same bytes: brought twice, it is one list for the print house.
    content = encode(Pull(batch=batch.number, number=pull.number, at=pull.ordered_at, letters=tuple(named)))
    parcel = Parcel(_file_name(batch, pull), len(content), sha256_of(content))
    try:
        way = printers.way(context, pull.printer)
        if way.state(parcel).kind is not RemoteKind.HANDED_OVER:
            way.upload(parcel, content)
            way.publish(parcel)
    except ProviderUnavailable:
        log.warning("pull_list_not_sent", printer=pull.printer, batch=batch.number, number=pull.number)
        return False
    with context.database.transaction() as session:
        again = rows.one(session, pull_id, lock=True)
        assert again is not None
        again[0].sent_at = again[0].sent_at or context.clock()
        session.flush()
    return True


def _file_name(batch: PrintBatch, pull: PrintPull) -> str:
    own = read_name(batch.file_name.removesuffix(".age"))
    stamp = f"{batch.frozen_at:%y%m%d%H%M%S}" if own is None else own.stamp
    sender = batch.file_name.split("_")[2] if own is None else own.sender
    return str(FileName(sender, batch.number, stamp, What.PULL, pull.number))


def answered(session: Session, context: Context, row: PrintInbound, message: PullAnswer) -> Counter[Effect]:
    """Take in which letters were taken out in time; those are brought by nobody, the others are looked at."""
    pull = rows.by_number(session, row.printer, message.batch, message.number)
    if pull is None:
        odd = Odd("PULL_UNKNOWN", row.sha256.hex(), "There is no such pull list.", batch=message.batch)
        letters.note(session, row.printer, [odd], received_at=row.received_at, inbound=row.id)
        return Counter({Effect.ODD: 1})
    of_list = rows.letters(session, [pull.id])
    ordered = reports.ordered(session, [each.delivery_id for each in of_list])
    listed = {(name_of(each.delivery_id, each.leg), each.attempt): each for each in of_list}
    out: list[Statement] = []
    strange: list[Odd] = []
    tally: Counter[Effect] = Counter()
    for each in message.letters:
        name = f"{OURS}pull:{each.id}:{each.attempt}"
        known = listed.get((each.id, each.attempt))
        if known is None:
            strange.append(Odd("PULL_NOT_ASKED", name, "It answers for a letter that is not on the list.", each.id))
        elif known.pulled is not None and known.pulled != each.pulled:
            strange.append(Odd("STATEMENT_CONTRADICTS", name, "It was answered otherwise before.", each.id))
        elif known.pulled is not None:
            tally[Effect.REPEATED] += 1
        else:
            known.pulled, known.code = each.pulled, each.code
            if each.pulled:
                out.append(Statement(name, each.id, each.attempt, PULLED, message.at, code=each.code))
            else:
                tally[Effect.TAKEN] += 1
                late = f"It was too late to take it out: {each.code or 'no code'}."
                if each.attempt < ordered.get((known.delivery_id, known.leg), 0):
                    late += " It is printed again too."
                strange.append(Odd("PULL_TOO_LATE", name, late, each.id, message.batch))
    session.flush()
    if all(each.pulled is not None for each in listed.values()):
        pull.answered_at = pull.answered_at or row.received_at
        session.flush()
    tally += letters.take(session, context, row.printer, out, received_at=row.received_at, inbound=row.id)
    letters.note(session, row.printer, strange, received_at=row.received_at, inbound=row.id)
    tally[Effect.ODD] += sum(each.code != "PULL_TOO_LATE" for each in strange)
    return +tally
